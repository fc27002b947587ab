# What a developer of Swath does, by name. `make` alone lists the targets.
#
#   make demo PYTHON=/path/to/python3.11     another interpreter for the environment
#   make test TESTS=tests/plan TEST_JOBS=1   one room only, in one process

PYTHON    ?= python3
TESTS     ?= src tests
TEST_JOBS ?= 3
DEMO_ROOT ?= out/demo

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
UV    := uv==0.13.8

# Several processes share the cores; each one's own thread pool would make them fight. There are three
# to two cores, as a third of the time is waiting for what runners have started.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 GDAL_NUM_THREADS=1

# Hundreds of processes are started, and where modules may not be kept compiled each one compiles
# all of torch anew: three times the processor time of an import.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env demo test conformance check format bench docs lock clean

help:  ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

env: $(READY)  ## make .venv with every locked dependency and Swath itself, editable

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Swath needs Python 3.11 or later, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another interpreter: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(UV)'
	$(BIN)/uv pip install --quiet -p $(VENV) --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet -p $(VENV) --no-deps -e .
	@touch $@

demo: $(READY)  ## run the example of Olinda in two splits: scores, map, bundle and a picture
	$(BIN)/swath run local examples/olinda/experiment.py -a root_uri $(DEMO_ROOT) --splits 2

test: $(READY)  ## run every test and the examples in docstrings, warnings as errors
	$(ONE_THREAD) $(BIN)/pytest -n $(TEST_JOBS) --dist worksteal $(TESTS)

conformance: $(READY)  ## run the suite of the runners with 1,000 splits for each
	SWATH_TEST_SPLITS=1000 $(ONE_THREAD) $(BIN)/pytest -n $(TEST_JOBS) --timeout 1800 tests/conformance

check: $(READY)  ## run what a machine can check: style, types, layers, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports --no-logo
	$(MAKE) --no-print-directory docs

format: $(READY)  ## put the code into the form that `check` wants
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## build the documentation into docs/_build/html, warnings as errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

bench: $(READY)  ## measure against named alternatives: ratios from one run
	$(BIN)/python -m benchmarks

lock: | $(READY)  ## choose versions anew: requirements.lock, hashes and no index addresses
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --generate-hashes \
	  --no-emit-index-url --no-header --universal --python-version 3.11 --upgrade \
	  --quiet -o requirements.lock

clean:  ## remove results, built pages and caches; the environment stays
	rm -rf out dist docs/_build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
