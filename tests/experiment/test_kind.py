"""Kinds of commands that users define: they run wherever their code lies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swath import Resources, command
from swath.errors import ConfigError
from swath.plan.command import Pipeline
from swath.run.load import load_function

KIND = """
from swath import Pipeline, command

@command(outputs={"text": "t.txt"}, version=2)
def shout(work):
    import swath_lazy_neighbour
    text = open(work.input("text")).read()
    work.output("text").write_text(swath_lazy_neighbour.louder(text))
"""


@command(outputs={"text": "t.txt"}, version=3, resources=Resources(gpus=1))
def here(work):
    """Write something."""
    work.output("text").write_text("here")


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path, text in zip(paths, ("a", "bcd"), strict=True):
        path.write_text(text)
    return paths


def test_units_have_inputs_outputs_and_work_by_size(tmp_path, sources):
    declared = here.each(tmp_path / "root", {"a": {"t": sources[0]}, "b": {"t": sources}}, k=1)
    assert (declared.kind, declared.version, declared.resources.gpus) == ("here", 3, 1)
    assert declared.root == str(tmp_path / "root")
    assert declared.params == {"k": 1}
    assert [unit.work for unit in declared.units] == [1, 4]
    assert declared.units[0].inputs == {"t": str(sources[0])}
    assert declared.units[1].outputs == {"text": "t.txt"}


def test_command_reads_what_another_one_wrote(tmp_path, sources):
    first = here.each(tmp_path, {"a": {"t": sources[0]}})
    last = here.once(tmp_path, {"t": first.refs("text")})
    assert last.units[0].inputs == {"t": first.refs("text")}
    assert last.units[0].work == 1


def test_paths_in_parameters_are_text_and_anything_else_is_refused(tmp_path):
    declared = here.once(tmp_path, {}, place=Path("/a"), many=[Path("/b")], deep={"c": (1,)})
    assert declared.params == {"place": "/a", "many": ["/b"], "deep": {"c": [1]}}
    with pytest.raises(ConfigError, match="here: a parameter cannot be part of a fingerprint"):
        _ = here.once(tmp_path, {}, n=np.float32(1)).params_key


def test_kind_without_outputs_is_refused():
    with pytest.raises(ConfigError, match="without outputs can never be up to date"):
        command(outputs={})


def test_reference_finds_the_function_again():
    assert load_function(here.reference).__name__ == "here"


LOAD = """
from pathlib import Path
from swath.run.load import load_file
shout = load_file(Path({name!r}).absolute()).shout
"""


def run_elsewhere(code: str, folder: Path, root: Path) -> dict:
    """Run a client in `folder`; return its declared function and what its command wrote."""
    client = f"""
import json, sys
from pathlib import Path
{code}
from swath import Pipeline, run_experiments
made = shout.once({str(root)!r}, {{"text": {str(folder / "in.txt")!r}}})
result = run_experiments(
    [Pipeline("p", {str(root)!r}, (made,), results={{"t": made.ref("all", "text")}})],
    "local",
)
texts = [Path(path).read_text() for path in result.results["p"].values()]
print(json.dumps({{"function": made.function, "texts": texts, "done": result.succeeded}}))
"""
    told = subprocess.run(
        [sys.executable, "-c", client], cwd=folder, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    found: dict = json.loads(told.stdout)
    return found


@pytest.fixture
def neighbours(tmp_path: Path) -> Path:
    """A folder with the file of a kind, and one beside it that it imports when it runs."""
    folder = tmp_path / "code"
    (folder / "swath_pack").mkdir(parents=True)
    (folder / "in.txt").write_text("text")
    (folder / "swath_kind.py").write_text(KIND)
    (folder / "swath_lazy_neighbour.py").write_text("def louder(text): return text.upper()\n")
    (folder / "swath_pack" / "__init__.py").touch()
    (folder / "config.py").write_text("from swath_kind import shout")
    relative = KIND.replace("import swath_lazy_neighbour", "from . import swath_lazy_neighbour")
    (folder / "swath_pack" / "kind.py").write_text(relative)
    (folder / "swath_pack" / "swath_lazy_neighbour.py").write_text(
        "def louder(text): return text.upper() + '!'\n"
    )
    return folder


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("from swath_kind import shout", "TEXT"),
        ("from swath_pack.kind import shout", "TEXT!"),
        (LOAD.format(name="swath_kind.py"), "TEXT"),
        (LOAD.format(name="config.py"), "TEXT"),
    ],
    ids=["module", "package", "file", "imported by a config"],
)
def test_kind_that_only_the_client_can_import_is_found_by_its_file(
    neighbours, tmp_path, code, text
):
    found = run_elsewhere(code, neighbours, tmp_path / "root")
    assert found["done"]
    assert found["texts"] == [text]
    assert found["function"].startswith(str(neighbours))


def test_installed_kind_is_found_by_its_module(tmp_path):
    from swath.commands import analyze
    from swath.experiment.kind import Kind

    kind = Kind(analyze.run, {"o": "o"}, 1, Resources())
    assert kind.reference == "swath.commands.analyze:run"


def test_pipeline_of_kinds_survives_json(tmp_path, sources):
    pipeline = Pipeline("p", str(tmp_path), (here.each(tmp_path, {"a": {"t": sources}}, k=[1]),))
    again = Pipeline.from_json(json.loads(json.dumps(pipeline.to_json())))
    assert again.commands[0].unit_keys == pipeline.commands[0].unit_keys
