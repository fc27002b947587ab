"""Hazards seen in older systems that only a whole experiment can show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def test_hazard_cache_keyed_by_path_is_revalidated(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    # Headers are remembered below the root; another file under an old name is looked at anew.
    data = tiny.copy_data(tmp_path / "data")
    arguments = ["why", *tiny.arguments(tmp_path / "root", "-a", "block_size", "64", data=data)]

    def blocks() -> list[str]:
        rows = json.loads(swath_cli(*arguments, "--json").out)
        return [row["unit"] for row in rows if row["command"] == "predict"]

    assert blocks() == ["v"]
    assert (tmp_path / "root" / "headers.json").exists()
    for suffix in (".tif", "-labels.tif"):
        shutil.copy(data / f"large{suffix}", data / f"v{suffix}")
    assert len(blocks()) == 9


def test_hazard_failed_upload_is_not_ignored(swath_cli: Any, tmp_path: Path) -> None:
    # The result is made, and cannot be put where the user wants it: the unit is not done.
    in_the_way = tmp_path / "results"
    in_the_way.write_text("a file, not a folder")
    config = tmp_path / "config.py"
    config.write_text(f"""
import swath

def write(work):
    work.output("text").write_text("made")

def get_config(runner, root_uri: str):
    unit = swath.Unit(name="x", outputs={{"text": {str(in_the_way / "text.txt")!r}}})
    command = swath.Command("write", {str(config) + ":write"!r}, root_uri, (unit,))
    return swath.Pipeline(id="upload", root=root_uri, commands=(command,))
""")
    arguments = ["run", "local", config, "-a", "root_uri", tmp_path / "root"]
    for _ in range(2):
        answer = swath_cli(*arguments)
        assert answer.exit_code == 1
        assert "write x: " in answer.err
        assert str(in_the_way) in answer.err
    in_the_way.unlink()
    assert swath_cli(*arguments).exit_code == 0
    assert (in_the_way / "text.txt").read_text() == "made"


def test_hazard_forced_rerun_neither_adds_chips_nor_scores(
    tiny: Any, swath_cli: Any, outputs_of: Any, tmp_path: Path
) -> None:
    root = tiny.copy_to(tmp_path / "root")
    before = outputs_of(root)
    answer = swath_cli("run", "inprocess", *tiny.arguments(root, "--until", "score", "--rerun"))
    assert answer.exit_code == 0, answer.err
    assert "up to date" not in answer.err.split("run 20")[0].replace("bundle", "")
    assert outputs_of(root) == before


def test_hazard_nothing_is_found_only_when_a_worker_starts(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    # A label value without a class is met by the chips of one scene, deep in the run; it is told
    # before the first process starts, and before a run is even written.
    data = tiny.copy_data(tmp_path / "data")
    shutil.copy(data / "a.tif", data / "v-labels.tif")  # an image in place of labels
    answer = swath_cli("run", "local", *tiny.arguments(tmp_path / "root", data=data))
    assert answer.exit_code == 2
    assert "v-labels.tif" in answer.err
    assert not (tmp_path / "root" / "runs").exists()


def test_hazard_two_runs_in_one_root_share_and_do_not_disturb(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    root = tiny.copy_to(tmp_path / "root")
    other = tiny.arguments(root, "-a", "learning_rates", "0.01", "--until", "train")
    assert swath_cli("run", "inprocess", *other).exit_code == 0
    answer = swath_cli("run", "inprocess", *tiny.arguments(root))
    assert "nothing to run" in answer.err
    ids = sorted(path.name for path in (root / "experiments").iterdir())
    assert ids == ["tiny-0.001", "tiny-0.01"]
