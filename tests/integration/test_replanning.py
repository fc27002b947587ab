"""After a change, only what depends on it is planned, and the plan says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

FROM_TRAIN = ["train", "predict", "mosaic", "evaluate", "score", "bundle"]


def invert_labels(path: Path) -> None:
    with rasterio.open(path, "r+") as labels:
        labels.write(np.where(labels.read() == 0, 1, 0).astype("uint8"))


def units_done(root: Path) -> list[str]:
    """Return kind and name of every unit that the runs of a root did, in order."""
    done = []
    for run in sorted((root / "runs").glob("*/plan.json")):
        plan = json.loads(run.read_bytes())
        kinds = {node["key"]: node["kind"] for node in plan["nodes"]}
        kind_of = {split["key"]: kinds[split["node"]] for split in plan["splits"]}
        for file in sorted(run.parent.glob("events/*.jsonl")):
            for line in file.read_text().splitlines():
                _, what, data = json.loads(line)
                if what == "unit_done":
                    done.append(f"{kind_of[file.stem]} {data['unit']}")
    return done


def test_nothing_is_planned_where_nothing_changed(tiny: Any, planned: Any) -> None:
    assert planned(*tiny.arguments(tiny.root)) == {}


def test_another_training_parameter_replans_train_and_what_follows_and_is_named(
    tiny: Any, planned: Any, swath_cli: Any
) -> None:
    arguments = tiny.arguments(tiny.root, "-a", "epochs", "7")
    found = planned(*arguments)
    assert list(found) == FROM_TRAIN
    assert found["train"] == {"model": "parameter changed: train.epochs 1 -> 7"}
    assert found["predict"] == {"v": "upstream will run: train model"}
    shown = swath_cli("plan", *arguments).out
    assert "parameter changed: train.epochs 1 -> 7" in shown


def test_another_label_file_replans_only_what_depends_on_it(
    tiny: Any, planned: Any, run_swath: Any, tmp_path: Path
) -> None:
    data = tiny.copy_data(tmp_path / "data")
    arguments = tiny.arguments(
        tmp_path / "root", "--until", "analyze", "--until", "chip", data=data
    )
    assert list(planned(*arguments)["chip"]) == ["a", "b", "v"]
    assert run_swath("run", "inprocess", *arguments) == 0
    assert planned(*arguments) == {}
    invert_labels(data / "a-labels.tif")
    reason = f"input changed: labels {data / 'a-labels.tif'}"
    assert planned(*arguments) == {"analyze": {"a": reason}, "chip": {"a": reason}}


def test_another_scene_is_the_only_one_that_is_chipped(
    tiny: Any, planned: Any, run_swath: Any, tmp_path: Path
) -> None:
    root = tiny.copy_to(tmp_path / "root")
    arguments = tiny.arguments(root, "-a", "train", "a,b,c")
    found = planned(*arguments)
    assert found["analyze"] == {"c": "never ran: "}
    assert found["chip"] == {"c": "never ran: "}
    assert list(found["train"]) == ["model"]
    assert run_swath("run", "inprocess", *arguments, "--until", "analyze", "--until", "chip") == 0
    assert units_done(root)[-2:] == ["analyze c", "chip c"]


def test_experiments_that_differ_in_learning_rate_share_analysis_and_chips(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    arguments = tiny.arguments(tmp_path, "-a", "learning_rates", "0.001,0.0003")
    plan = json.loads(swath_cli("plan", *arguments, "--json").out)
    users = {
        kind: [node["experiments"] for node in plan["nodes"] if node["kind"] == kind]
        for kind in ("analyze", "chip", "train")
    }
    both = ["tiny-0.001", "tiny-0.0003"]
    assert users == {"analyze": [both], "chip": [both], "train": [[both[0]], [both[1]]]}
    assert "tiny-0.001, tiny-0.0003" in swath_cli("plan", *arguments).out
    assert (
        swath_cli("run", "inprocess", *arguments, "--until", "analyze", "--until", "chip").exit_code
        == 0
    )
    kinds = ["analyze a", "analyze b", "analyze v", "chip a", "chip b", "chip v"]
    assert sorted(units_done(tmp_path)) == kinds


def test_changed_config_in_an_old_root_is_not_silently_skipped(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    root = tiny.copy_to(tmp_path / "root")
    arguments = tiny.arguments(root, "-a", "block_size", "32")
    answer = swath_cli("run", "inprocess", *arguments, "--until", "mosaic")
    assert answer.exit_code == 0, answer.err
    assert len([unit for unit in units_done(root) if unit.startswith("predict")]) == 1 + 4
    # Results of the old declaration are no longer shown as those of the new one.
    links = {p.name for p in (root / "experiments" / "tiny-0.001").iterdir() if p.is_symlink()}
    assert "v.tif" in links
    assert "bundle.zip" not in links
    assert (tiny.root / "experiments" / "tiny-0.001" / "bundle.zip").is_symlink()


def test_deleted_output_is_made_again(tiny: Any, planned: Any, tmp_path: Path) -> None:
    root = tiny.copy_to(tmp_path / "root")
    (lost,) = (root / "evaluate").glob("*/v-*/counts.json")
    lost.unlink()
    found = planned(*tiny.arguments(root))
    assert found["evaluate"] == {"v": f"output missing: {lost}"}
    assert "mosaic" not in found


def test_output_cut_short_is_made_again(tiny: Any, planned: Any, tmp_path: Path) -> None:
    root = tiny.copy_to(tmp_path / "root")
    (map_file,) = (root / "mosaic").glob("*/v-*/map.tif")
    map_file.write_bytes(map_file.read_bytes()[:-1])
    assert planned(*tiny.arguments(root))["mosaic"] == {"v": f"output changed: {map_file}"}


def test_output_without_a_record_is_partial_and_made_again(
    tiny: Any, planned: Any, tmp_path: Path
) -> None:
    root = tiny.copy_to(tmp_path / "root")
    (records,) = (root / "score").glob("*/records")
    shutil.rmtree(records)
    assert planned(*tiny.arguments(root))["score"] == {"scores": "never ran: "}
