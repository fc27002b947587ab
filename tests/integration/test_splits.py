"""Splits: how units are cut, and that no result knows of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rasterio


def test_fifty_and_twenty_five_scenes_in_five_splits_are_five_chip_commands_of_fifteen(
    tiny: Any, swath_cli: Any, tmp_path: Path
) -> None:
    config = tmp_path / "many_scenes.py"
    config.write_text(f"""
import swath

def get_config(runner, root_uri):
    def scene(name):
        return swath.Scene(
            id=name, image={str(tiny.data / "a.tif")!r}, labels={str(tiny.data / "a-labels.tif")!r}
        )
    return swath.Experiment(
        id="many-scenes",
        root_uri=root_uri,
        task=swath.SemanticSegmentation(
            classes=swath.ClassConfig(names=("dark", "bright")), chips=swath.ChipSampling(size=32)
        ),
        train_scenes=[scene(f"train-{{i}}") for i in range(50)],
        validation_scenes=[scene(f"validation-{{i}}") for i in range(25)],
    )
""")
    arguments = [config, "-a", "root_uri", tmp_path / "root", "--splits", "5", "--json"]
    splits = json.loads(swath_cli("plan", *arguments).out)["splits"]
    chips = [split for split in splits if split["key"].startswith("chip")]
    assert [len(split["units"]) for split in chips] == [15] * 5
    (train,) = [split for split in splits if split["key"].startswith("train")]
    assert {split["key"] for split in chips} <= set(train["upstream"])


@pytest.mark.slow
def test_map_of_one_scene_is_the_same_bytes_for_one_two_and_seven_splits(
    tiny: Any, swath_cli: Any, outputs_of: Any, tmp_path: Path
) -> None:
    found = {}
    for n_splits in (1, 2, 7):
        root = tiny.copy_to(tmp_path / f"splits-{n_splits}")
        arguments = tiny.arguments(root, "-a", "test", "large", "-a", "block_size", "64")
        more = ("--from", "predict", "--until", "mosaic", "--splits", n_splits)
        answer = swath_cli("run", "inprocess", *arguments, *more)
        assert answer.exit_code == 0, answer.err
        plan = json.loads(max((root / "runs").glob("*/plan.json")).read_bytes())
        splits = [split for split in plan["splits"] if split["key"].startswith("predict")]
        assert len(splits) == n_splits
        assert sum(len(split["units"]) for split in splits) == 9  # v is up to date
        before = outputs_of(tiny.root)
        found[n_splits] = {k: v for k, v in outputs_of(root).items() if k not in before}
        with rasterio.open(root / "experiments" / "tiny-0.001" / "large.tif") as mapped:
            assert mapped.shape == (160, 160)
    assert found[1] == found[2] == found[7]


def test_last_row_and_column_are_always_sampled(tiny: Any, swath_cli: Any, tmp_path: Path) -> None:
    # 160 px in blocks of 64: the last block of a row is 32 px; chips of 48 px reach the edge.
    config = tmp_path / "uneven.py"
    config.write_text(f"""
import swath

def get_config(runner, root_uri):
    scenes = [
        swath.Scene(
            id=name,
            image={str(tiny.data / "large.tif")!r},
            labels={str(tiny.data / "large-labels.tif")!r},
        )
        for name in ("train", "validation")
    ]
    return swath.Experiment(
        id="uneven",
        root_uri=root_uri,
        task=swath.SemanticSegmentation(
            classes=swath.ClassConfig(names=("dark", "bright")), chips=swath.ChipSampling(size=96)
        ),
        train_scenes=scenes[:1],
        validation_scenes=scenes[1:],
    )
""")
    answer = swath_cli("run", "inprocess", config, "chip", "-a", "root_uri", tmp_path / "root")
    assert answer.exit_code == 0, answer.err
    import geopandas

    (index,) = (tmp_path / "root").glob("chip/*/train-*/index.parquet")
    chips = geopandas.read_parquet(index)
    with rasterio.open(tiny.data / "large.tif") as image:
        assert tuple(chips.total_bounds) == tuple(image.bounds)
