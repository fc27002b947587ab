"""Only what is labelled, inside the area, and predicted is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swath.errors import DataError
from swath.evaluate import counts
from swath.evaluate.counts import SceneCounts, count_scene
from swath.grid.window import Window
from swath.scene.spec import ClassConfig, Scene, WindowArea

CLASSES = ClassConfig(names=("a", "b"))
MakeScene = Callable[..., Scene]
WriteImage = Callable[..., str]


def test_truth_is_by_row_and_prediction_by_column(
    make_scene: MakeScene, write_image: WriteImage, tmp_path: Path
) -> None:
    scene = make_scene([[0, 0, 0], [1, 1, 255]])
    prediction = write_image("map.tif", [[0, 0, 1], [1, 255, 1]], nodata=255)
    counted = count_scene(scene, CLASSES, prediction)
    assert counted.confusion.counts.tolist() == [[2, 1], [0, 1]]
    assert (counted.n_labelled, counted.n_not_predicted) == (5, 1)
    counted.write(tmp_path / "counts.json")
    read = SceneCounts.read(tmp_path / "counts.json")
    assert read.to_json() == counted.to_json()


def test_hazard_aoi_counted_as_correct_background(
    make_scene: MakeScene, write_image: WriteImage
) -> None:
    area = WindowArea(windows=(Window(0, 0, 1, 2),))
    scene = make_scene(np.zeros((10, 10)), area=area)
    prediction = write_image("map.tif", np.zeros((10, 10)), nodata=255)
    counted = count_scene(scene, CLASSES, prediction)
    assert counted.confusion.counts.tolist() == [[2, 0], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [(255, 0, "no pixel has a label"), (0, 255, "no labelled pixel was predicted")],
)
def test_hazard_evaluation_that_succeeds_with_no_metrics(
    make_scene: MakeScene, write_image: WriteImage, labels: int, predicted: int, message: str
) -> None:
    scene = make_scene(np.full((4, 4), labels))
    prediction = write_image("map.tif", np.full((4, 4), predicted), nodata=255)
    with pytest.raises(DataError, match=f"scene 'a': {message}, so there is nothing to evaluate"):
        count_scene(scene, CLASSES, prediction)


def test_a_map_on_another_grid_is_refused(make_scene: MakeScene, write_image: WriteImage) -> None:
    prediction = write_image("map.tif", np.zeros((4, 4)), nodata=255, left=10)
    with pytest.raises(DataError, match=r"are not on one grid: .*Predict the scene again"):
        count_scene(make_scene(np.zeros((4, 4))), CLASSES, prediction)


def test_strips_add_up_to_the_whole(
    make_scene: MakeScene, write_image: WriteImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    scene = make_scene(rng.integers(0, 2, (700, 40)))
    prediction = write_image("map.tif", rng.integers(0, 2, (700, 40)), nodata=255)
    rows: list[tuple[int, int]] = []
    whole = count_scene(scene, CLASSES, prediction, progress=lambda *at: rows.append(at))
    assert rows == [(700, 700)]
    rows.clear()
    monkeypatch.setattr(counts, "PART_PIXELS", 1)
    parts = count_scene(scene, CLASSES, prediction, progress=lambda *at: rows.append(at))
    assert rows == [(256, 700), (512, 700), (700, 700)]
    assert parts.confusion.counts.tolist() == whole.confusion.counts.tolist()
    assert whole.confusion.counts.sum() == 700 * 40
