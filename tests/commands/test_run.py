"""A whole tiny experiment, from analyze to bundle, on real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swath.commands import predict
from swath.evaluate.counts import SceneCounts
from swath.evaluate.scores import ScoreTable
from swath.learn.bundle.read import check_bundle
from swath.raster.reader import open_raster
from swath.raster.spec import Raster
from swath.scene.spec import Scene

Make = Callable[..., Any]


@pytest.fixture
def made(make_experiment: Make, scenes: list[Scene]) -> Any:
    return make_experiment(scenes)


def test_every_result_of_the_experiment_is_there(made: Any, chain: Any) -> None:
    counts = SceneCounts.read(chain.path(made.evaluate, "s1", "counts"))
    assert counts.n_labelled == 64 * 96
    scores = ScoreTable.read(chain.path(made.score, "scores", "scores"))
    assert scores.overall.n_pixels == 64 * 96
    assert check_bundle(chain.path(made.bundle, "bundle", "bundle")).is_proven
    with Image.open(chain.path(made.evaluate, "s1", "preview")) as picture:
        assert picture.width > 3 * 96


def test_counts_are_those_of_the_map_against_the_labels(
    made: Any, chain: Any, scenes: list[Scene]
) -> None:
    def read(path: str | Path) -> Any:
        with open_raster(Raster(uris=(str(path),))) as reader:
            return reader.read(reader.grid.window).values[0]

    found = read(chain.path(made.mosaic, "s1", "map"))
    truth = read(scenes[1].labels.raster.uris[0])  # type: ignore[union-attr]
    expected = [[int(np.sum((truth == t) & (found == p))) for p in (0, 1)] for t in (0, 1)]
    counts = SceneCounts.read(chain.path(made.evaluate, "s1", "counts"))
    assert counts.confusion.counts.tolist() == expected


def test_running_everything_again_gives_the_same_bytes(
    made: Any, chain: Any, tmp_path: Path
) -> None:
    again = type(chain)(tmp_path)
    for command in made.commands:
        again.run(command)
    for command in made.commands:
        for unit in command.units:
            for output in unit.outputs:
                one, two = (each.path(command, unit.name, output) for each in (chain, again))
                assert one.read_bytes() == two.read_bytes(), (command.kind, output)


def test_units_of_one_split_share_the_model_and_blocks_do_not_show(
    made: Any, chain: Any, make_experiment: Make, scenes: list[Scene], task: Any
) -> None:
    assert len(made.predict.units) == 4
    whole = task.replace(predict=task.predict.replace(block_size=1000))
    other = make_experiment(scenes, whole)
    assert len(other.predict.units) == 1
    chain.run(other.predict)
    chain.run(other.mosaic)
    for output in ("map", "scores"):
        one, two = (chain.path(each.mosaic, "s1", output) for each in (made, other))
        assert one.read_bytes() == two.read_bytes()


def test_an_unlabelled_scene_can_be_mapped(
    made: Any, chain: Any, scenes: list[Scene], task: Any
) -> None:
    from swath.grid.grid import Grid

    scene = Scene(id="plain", image=scenes[0].image)
    with open_raster(scene.image) as reader:
        grids: dict[str, Grid] = {"plain": reader.grid}
    command = predict.declare("root", [scene], task, grids, made.train)
    chain.run(command, threads=2)
    assert chain.path(command, "plain/r000-c000", "labels").is_file()
