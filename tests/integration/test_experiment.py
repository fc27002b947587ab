"""A whole experiment: the same results from every runner, nothing twice, and results that serve."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

KINDS = ["analyze", "chip", "train", "predict", "mosaic", "evaluate", "score", "bundle"]
RESULTS = ["scores.json", "scores.csv", "bundle.zip", "v.tif", "v.png"]


def test_every_named_result_is_linked_below_the_experiment(tiny: Any) -> None:
    folder = tiny.root / "experiments" / "tiny-0.001"
    named = json.loads((folder / "outputs.json").read_bytes())
    assert list(named) == RESULTS
    for name, uri in named.items():
        assert (folder / name).is_symlink()
        assert (folder / name).read_bytes() == Path(uri).read_bytes()


def test_links_survive_moving_the_root(tiny: Any, tmp_path: Path) -> None:
    moved = tiny.copy_to(tmp_path / "elsewhere")
    link = moved / "experiments" / "tiny-0.001" / "scores.json"
    assert link.resolve().is_relative_to(moved)


@pytest.mark.slow
def test_local_and_inprocess_runners_give_the_same_bytes(
    tiny: Any, swath_cli: Any, outputs_of: Any, tmp_path: Path
) -> None:
    arguments = tiny.arguments(tmp_path / "local", "--splits", "2", "--until", "score")
    assert swath_cli("run", "local", *arguments).exit_code == 0
    local = outputs_of(tmp_path / "local")
    inprocess = {
        path: data for path, data in outputs_of(tiny.root).items() if not path.startswith("bundle")
    }
    assert {path.split("/")[0] for path in local} == set(KINDS) - {"bundle"}
    assert sorted(local) == sorted(inprocess)
    assert [path for path in local if local[path] != inprocess[path]] == []


def test_rerun_executes_nothing_and_prints_scores_and_links(
    tiny: Any, swath_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny.copy_to(tmp_path / "root")
    runs = sorted((root / "runs").iterdir())
    monkeypatch.chdir(tmp_path)
    answer = swath_cli("run", "local", *tiny.arguments(root))
    assert answer.exit_code == 0
    assert "nothing to run" in answer.err
    assert "macro F1" in answer.out
    assert "root/experiments/tiny-0.001/v.tif" in answer.out
    assert str(tmp_path) not in answer.out
    assert sorted((root / "runs").iterdir()) == runs


def test_rerun_of_what_is_up_to_date_loads_nothing_heavy(tiny: Any) -> None:
    probe = """
import resource, sys
from swath.cli.app import run_app
code = run_app(sys.argv[1:])
heavy = {"geopandas", "pandas", "rasterio", "pyarrow", "torch"} & set(sys.modules)
used = resource.getrusage(resource.RUSAGE_SELF)
print(code, sorted(heavy), round(used.ru_utime + used.ru_stime, 1), file=sys.stderr)
"""
    arguments = map(str, ["run", "local", *tiny.arguments(tiny.root)])
    command = [sys.executable, "-c", probe, *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    code, heavy, seconds = told.splitlines()[-1].split()
    assert (code, heavy) == ("0", "[]")
    assert float(seconds) < 2.5  # of one core


def test_resolved_experiment_runs_again_from_its_file_alone(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    stored = tiny.root / "experiments" / "tiny-0.001" / "experiment.json"
    alone = tmp_path / "sent-by-mail.json"
    alone.write_bytes(stored.read_bytes())
    answer = swath_cli("run", "local", alone)
    assert answer.exit_code == 0
    assert "nothing to run" in answer.err
    declared = json.loads(stored.read_bytes())
    assert set(declared) == {"schema", "experiment", "swath", "versions"}
    declared["experiment"]["root_uri"] = str(tmp_path / "other")
    alone.write_text(json.dumps([declared]))
    answer = swath_cli("run", "inprocess", alone, "analyze")
    assert answer.exit_code == 0
    assert len(list((tmp_path / "other" / "analyze").glob("*/*/stats.json"))) == 3


def test_predict_with_the_bundle_gives_the_map_of_the_experiment(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    results = tiny.root / "experiments" / "tiny-0.001"
    target = tmp_path / "new" / "map.tif"
    answer = swath_cli("predict", results / "bundle.zip", tiny.data / "v.tif", target)
    assert answer.exit_code == 0, answer.err
    assert answer.out == f"{target}\n"
    with rasterio.open(target) as ours, rasterio.open(results / "v.tif") as theirs:
        assert ours.transform == theirs.transform
        np.testing.assert_array_equal(ours.read(), theirs.read())


def test_predict_takes_several_images_and_folders_and_overwrites_only_if_asked(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    bundle = tiny.root / "experiments" / "tiny-0.001" / "bundle.zip"
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a", "b"):
        (images / f"{name}.tif").symlink_to(tiny.data / f"{name}.tif")
    answer = swath_cli("predict", bundle, images, tiny.data / "v.tif", tmp_path / "out")
    assert answer.exit_code == 0, answer.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tif", "b.tif", "v.tif"]
    image, target = tiny.data / "a.tif", tmp_path / "one.tif"
    told = json.loads(swath_cli("predict", bundle, image, target, "--json").out)
    assert told == [{"image": str(image), "map": str(target)}]
    again = swath_cli("predict", bundle, images, tmp_path / "out")
    assert again.exit_code == 2
    assert "a.tif exists" in again.err
    assert "--overwrite" in again.err


def test_predict_takes_nan_for_missing_pixels(tiny: Any, swath_cli: Any, tmp_path: Path) -> None:
    bundle = tiny.root / "experiments" / "tiny-0.001" / "bundle.zip"
    image, target = tmp_path / "nan.tif", tmp_path / "map.tif"
    with rasterio.open(tiny.data / "v.tif") as file:
        values, profile = file.read().astype(np.float32), file.profile
    values[:, :5] = np.nan
    with rasterio.open(image, "w", **{**profile, "dtype": "float32", "nodata": None}) as file:
        file.write(values)
    answer = swath_cli("predict", bundle, image, target, "--nodata", "nan", "--update-stats")
    assert answer.exit_code == 0, answer.err
    with rasterio.open(target) as file:
        missing = file.read(1) == 255
    assert missing[:5].all()
    assert not missing[5:].all()


def test_bundle_is_proven_by_its_golden_chip(tiny: Any, swath_cli: Any) -> None:
    bundle = tiny.root / "experiments" / "tiny-0.001" / "bundle.zip"
    answer = swath_cli("bundle", "test", bundle)
    assert answer.exit_code == 0, answer.err
    assert "The bundle is proven on this machine." in answer.out
    report = json.loads(swath_cli("bundle", "test", bundle, "--json").out)
    assert report["is_proven"] is True
    about = json.loads(swath_cli("bundle", "show", bundle).out)
    assert about


def test_nine_scenes_in_eight_splits_leave_no_split_empty(
    tiny: Any, swath_cli: Callable[..., Any], tmp_path: Path
) -> None:
    data = tiny.copy_data(tmp_path / "data")
    names = [f"s{i}" for i in range(8)]
    for name in names:
        for suffix in (".tif", "-labels.tif"):
            (data / f"{name}{suffix}").symlink_to(tiny.data / f"a{suffix}")
    arguments = tiny.arguments(tmp_path / "root", "-a", "train", ",".join(names), data=data)
    answer = swath_cli("plan", *arguments, "--splits", "8", "--json")
    chips = [s for s in json.loads(answer.out)["splits"] if s["key"].startswith("chip")]
    assert sorted(len(split["units"]) for split in chips) == [1] * 7 + [2]
