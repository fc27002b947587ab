"""The picture shows image, truth and prediction, in memory of what it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swath.evaluate.preview import FONT_PX, GAP, NOTHING, stretched, write_preview
from swath.grid.window import Window
from swath.scene.spec import ClassConfig, Scene, WindowArea

CLASSES = ClassConfig(names=("red", "blue"), colours=("#ff0000", "#0000ff"))
TOP = GAP + FONT_PX + GAP // 2
MakeScene = Callable[..., Scene]
WriteImage = Callable[..., str]


def _panels(path: Path, width: int, height: int) -> list[np.ndarray]:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    lefts = [GAP + index * (width + GAP) for index in range(3)]
    return [pixels[TOP : TOP + height, left : left + width] for left in lefts]


def test_panels_show_image_truth_and_prediction(
    make_scene: MakeScene, write_image: WriteImage, tmp_path: Path
) -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 40:] = 1
    area = WindowArea(windows=(Window(0, 0, 30, 80),))
    ramp = np.tile(np.arange(1, 81), (60, 1))
    scene = make_scene(labels, image=np.stack([ramp, ramp, ramp]), area=area)
    prediction = write_image("map.tif", 1 - labels, nodata=255)
    write_preview(tmp_path / "p.png", scene, CLASSES, prediction, panel_px=80)
    image, truth, predicted = _panels(tmp_path / "p.png", 80, 60)
    assert image[5, 0].tolist() == [0, 0, 0]
    assert image[5, 79].tolist() == [255, 255, 255]
    assert truth[5, 0].tolist() == [255, 0, 0]
    assert truth[5, 79].tolist() == [0, 0, 255]
    assert truth[50, 0].tolist() == list(NOTHING)  # outside the area
    assert predicted[50, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("panel_px", "width", "height"), [(50, 50, 38), (300, 240, 180)])
def test_large_scenes_are_sampled_and_small_ones_enlarged_by_a_whole_factor(
    make_scene: MakeScene,
    write_image: WriteImage,
    tmp_path: Path,
    panel_px: int,
    width: int,
    height: int,
) -> None:
    scene = make_scene(np.ones((60, 80)))
    prediction = write_image("map.tif", np.zeros((60, 80)), nodata=255)
    write_preview(tmp_path / "p.png", scene, CLASSES, prediction, panel_px=panel_px)
    _, truth, predicted = _panels(tmp_path / "p.png", width, height)
    assert (truth == (0, 0, 255)).all()
    assert (predicted == (255, 0, 0)).all()
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width == 3 * width + 4 * GAP


def test_bands_can_be_chosen(
    make_scene: MakeScene, write_image: WriteImage, tmp_path: Path
) -> None:
    ramp = np.tile(np.arange(1, 81), (60, 1))
    bands = np.stack([ramp, ramp, ramp[:, ::-1], ramp[:, ::-1]])
    scene = make_scene(np.ones((60, 80)), image=bands)
    prediction = write_image("map.tif", np.zeros((60, 80)), nodata=255)
    seen = []
    for chosen in ((0, 1, 2), (2, 1, 0), (7, 8, 9)):
        write_preview(tmp_path / "p.png", scene, CLASSES, prediction, panel_px=80, bands=chosen)
        seen.append(_panels(tmp_path / "p.png", 80, 60)[0][5, 0].tolist())
    assert seen == [[0, 0, 255], [255, 0, 0], [0, 0, 0]]


def test_a_stretch_of_a_flat_or_empty_band_is_no_error() -> None:
    valid = np.array([[True, True, False]])
    flat = stretched(np.full((3, 1, 3), 7, np.uint16), valid)
    assert flat[0, 2].tolist() == list(NOTHING)
    nothing = stretched(np.full((1, 1, 3), np.nan), np.zeros((1, 3), bool))
    assert (nothing == NOTHING).all()
