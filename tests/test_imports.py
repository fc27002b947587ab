"""`import swath`, `swath plan` and the start of a worker load no heavy library.

The linter's contract `light` says the same of the import statements that it can see; this test
looks at `sys.modules`, where imports by name and through third parties show as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
HEAVY = (
    "boto3",
    "botocore",
    "dask",
    "distributed",
    "geopandas",
    "numba",
    "numpy",
    "obstore",
    "onnx",
    "onnxruntime",
    "pandas",
    "PIL",
    "pyarrow",
    "pyogrio",
    "rasterio",
    "shapely",
    "sklearn",
    "torch",
)
LIGHT_ROOMS = ("grid", "store", "plan", "run", "commands", "experiment", "cli")
LIGHT_MODULES = (
    "swath",
    "swath.errors",
    "swath.optional",
    "swath.raster.header",
    "swath.settings",
    "swath.spec",
)

# One fresh process, in which each module is imported by a fork of its own: as strict as a process
# per module, at the price of one.
PROBE = """
import importlib, json, os, sys, traceback
import click, pydantic  # what every light module may use
modules, heavy = json.load(sys.stdin)
found = {}
for module in modules:
    end, start = os.pipe()
    if os.fork() == 0:
        try:
            importlib.import_module(module)
            answer = [name for name in heavy if name in sys.modules]
        except BaseException:
            answer = [traceback.format_exc()]
        os.write(start, json.dumps(answer).encode()[:60_000])
        os._exit(0)
    os.close(start)
    with os.fdopen(end) as pipe:
        found[module] = json.load(pipe)
    os.wait()
json.dump(found, sys.stdout)
"""


def light_modules() -> list[str]:
    """Return every module that must stay light, by the rule of docs/architecture.md."""
    modules = set(LIGHT_MODULES)
    package = SRC / "swath"
    modules |= {f"swath.{path.parent.name}" for path in package.glob("*/__init__.py")}
    files = {path for room in LIGHT_ROOMS for path in (package / room).rglob("*.py")}
    for path in files | set(package.glob("**/spec.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        modules.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(modules)


@pytest.fixture(scope="module")
def heavy_after_import() -> dict[str, list[str]]:
    """Return, for each light module, the heavy libraries in `sys.modules` after its import."""
    probe = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps([light_modules(), HEAVY]),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SRC)},
    )
    found: dict[str, list[str]] = json.loads(probe.stdout)
    return found


@pytest.mark.parametrize("module", light_modules())
def test_light_module_loads_no_heavy_library(
    module: str, heavy_after_import: dict[str, list[str]]
) -> None:
    assert heavy_after_import[module] == []


def test_probe_sees_a_heavy_library_that_is_loaded() -> None:
    probe = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=json.dumps([["rasterio", "json"], HEAVY]),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(probe.stdout)
    assert "numpy" in found["rasterio"]
    assert found["json"] == []
