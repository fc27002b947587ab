"""Pictures of outlines: where lines are, and what is behind them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from swath.errors import DataError
from swath.grid.window import Window
from swath.raster.spec import Raster
from swath.segmentation.outlines import YELLOW, outline_picture, write_outlines
from swath.stats.stretch import NOTHING

LABELS = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])


def lines(picture: np.ndarray) -> list[str]:
    return ["".join("#" if on else "." for on in row) for row in (picture == YELLOW).all(axis=2)]


def flat(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((3, *shape), np.uint8), np.ones(shape, bool)


def test_lines_are_on_the_pixels_after_a_change() -> None:
    assert lines(outline_picture(*flat((3, 3)), LABELS)) == ["..#", "..#", "###"]


def test_lines_are_one_picture_pixel_wide_and_meet_at_corners() -> None:
    assert lines(outline_picture(*flat((3, 3)), LABELS, zoom=3)) == [
        "......#..",
        "......#..",
        "......#..",
        "......#..",
        "......#..",
        "......#..",
        "#########",
        ".........",
        ".........",
    ]
    # A line from above that turns to the left has its corner.
    turned = outline_picture(*flat((2, 2)), np.array([[1, 2], [2, 2]]), zoom=2)
    assert lines(turned) == ["..#.", "..#.", "###.", "...."]


def test_image_is_stretched_and_pixels_without_data_are_grey() -> None:
    values = np.stack([np.arange(100).reshape(10, 10)] * 3)
    valid = np.ones((10, 10), bool)
    valid[0, 0] = False
    picture = outline_picture(values, valid, np.ones((10, 10), int))
    assert picture[0, 0].tolist() == list(NOTHING)
    assert picture[9, 9].tolist() == [255, 255, 255]
    assert picture[0, 1].tolist() == [0, 0, 0]


def test_bands_are_chosen_or_the_first_is_grey() -> None:
    ramp = np.tile(np.arange(50), (4, 1))
    values = np.stack([ramp, ramp[:, ::-1], ramp[:, ::-1]])
    valid = np.ones((4, 50), bool)
    one = outline_picture(values, valid, valid.astype(int), bands=(2, 1, 0))
    assert one[0, 0].tolist() == [255, 255, 0]
    grey = outline_picture(values, valid, valid.astype(int), bands=(0, 1, 3))
    assert grey[0, 0].tolist() == [0, 0, 0]


def write(path: Path, values: np.ndarray, *, left: float = 500_000) -> str:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[1],
        width=values.shape[2],
        count=len(values),
        dtype=values.dtype.name,
        crs="EPSG:32633",
        transform=Affine(10, 0, left, 0, -10, 5_000_000),
    ) as file:
        file.write(values)
    return str(path)


def test_picture_of_a_window_is_written(tmp_path: Path) -> None:
    image = Raster(uris=write(tmp_path / "image.tif", np.ones((1, 3, 3), np.uint8)))
    labels = write(tmp_path / "labels.tif", LABELS[np.newaxis].astype(np.uint32))
    write_outlines(tmp_path / "o.png", image, labels, window=Window(1, 1, 2, 2), zoom=2)
    with Image.open(tmp_path / "o.png") as picture:
        assert lines(np.asarray(picture)) == ["..#.", "..#.", "####", "...."]
    with pytest.raises(DataError, match=r"not within the image of 3 x 3 px"):
        write_outlines(tmp_path / "o.png", image, labels, window=Window(2, 2, 2, 2))


def test_labels_of_another_grid_are_refused(tmp_path: Path) -> None:
    image = Raster(uris=write(tmp_path / "image.tif", np.ones((1, 3, 3), np.uint8)))
    labels = write(tmp_path / "l.tif", LABELS[np.newaxis].astype(np.uint32), left=500_010)
    with pytest.raises(DataError, match="not on one grid"):
        write_outlines(tmp_path / "o.png", image, labels)
    assert not (tmp_path / "o.png").exists()
