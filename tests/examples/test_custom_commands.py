"""The example of own kinds of commands: right numbers, and what comes with Swath for free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

CONFIG = Path(__file__).parents[2] / "examples" / "custom_commands" / "experiment.py"


def summary(root: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(
        (root / "experiments" / "greenness" / "greenness.json").read_text()
    )
    return found


def test_summary_of_two_scenes_is_that_of_their_pixels_together(
    olinda: Path, swath_cli: Any, tmp_path: Path
) -> None:
    image, flipped = olinda / "L7_ETMs.tif", tmp_path / "half.tif"
    with rasterio.open(image) as source:
        bands = source.read().astype("float32")
        profile = source.profile | {"height": 100}
        with rasterio.open(flipped, "w", **profile) as target:
            target.write(source.read()[:, :100])
    arguments = ["-a", "root_uri", tmp_path / "root", "-a", "images", f"{image},{flipped}"]
    answer = swath_cli("run", "local", CONFIG, *arguments, "--splits", "2")
    assert answer.exit_code == 0, answer.err
    red, infrared = bands[2], bands[3]
    whole = (infrared - red) / (infrared + red)
    index = np.concatenate([whole.ravel(), whole[:100].ravel()])
    expected = {
        "mean_ndvi": np.nanmean(index, dtype="float64"),
        "green_share": np.mean(index.astype("float64") > 0.3),
    }
    assert summary(tmp_path / "root") == pytest.approx(expected, rel=1e-5)


def test_another_threshold_costs_the_summary_and_another_image_its_index(
    olinda: Path, swath_cli: Any, tmp_path: Path
) -> None:
    image = olinda / "L7_ETMs.tif"
    arguments = ["-a", "root_uri", tmp_path / "root"]
    assert swath_cli("run", "inprocess", CONFIG, *arguments).exit_code == 0
    before = summary(tmp_path / "root")["green_share"]
    told = swath_cli("why", CONFIG, *arguments, "-a", "threshold", "0.1", "--json").out
    rows = {row["command"]: row for row in json.loads(told)}
    assert rows["ndvi"]["state"] == "up to date"
    assert rows["greenness"]["reason"] == "parameter changed: threshold 0.3 -> 0.1"
    answer = swath_cli("run", "inprocess", CONFIG, *arguments, "-a", "threshold", "0.1")
    assert answer.exit_code == 0
    assert summary(tmp_path / "root")["green_share"] > before
    (tmp_path / "second.tif").symlink_to(image)
    more = ["-a", "images", image, "-a", "images", tmp_path / "second.tif"]
    rows = json.loads(swath_cli("why", CONFIG, *arguments, *more, "--json").out)
    assert {row["unit"]: row["state"] for row in rows if row["command"] == "ndvi"} == {
        "L7_ETMs": "up to date",
        "second": "run",
    }


def test_stored_pipeline_runs_again_from_its_file_in_another_folder(
    swath_cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert swath_cli("run", "inprocess", CONFIG, "-a", "root_uri", "out/ndvi").exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    stored = tmp_path / "out" / "ndvi" / "experiments" / "greenness" / "experiment.json"
    answer = swath_cli("run", "local", stored)
    assert answer.exit_code == 0
    assert "nothing to run" in answer.err
    assert not list((tmp_path / "elsewhere").iterdir())
