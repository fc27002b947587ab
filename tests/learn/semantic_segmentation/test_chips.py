"""Chips of a block: what is written is what the scene holds, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.window import Window, tiles
from swath.learn.chip_set import ChipFiles
from swath.learn.semantic_segmentation.chips import write_chips
from swath.scene.spec import ChipSampling, ClassConfig, Scene, WindowArea

CLASSES = ClassConfig(names=("a", "b"))
MakeScene = Callable[..., Scene]


def _files(folder: Path) -> ChipFiles:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("images.npy", "labels.npy", "valid.npy", "index.parquet")
    return ChipFiles(*(folder / name for name in names))


def _image(height: int, width: int, n_bands: int = 3) -> NDArray[np.uint16]:
    values = np.arange(n_bands * height * width).reshape(n_bands, height, width)
    return (values % 60_000 + 300).astype(np.uint16)


def test_a_chip_holds_the_pixels_and_labels_of_its_window(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    image, labels = _image(10, 14), (np.indices((10, 14)).sum(0) % 2).astype(np.uint8)
    files = _files(tmp_path / "chips")
    sampling = ChipSampling(size=4, stride=3)
    n_chips = write_chips(make_scene(image, labels), CLASSES, sampling, Window(0, 0, 10, 14), files)
    chips, ids = np.load(files.images), np.load(files.labels)
    index = gpd.read_parquet(files.index)
    assert n_chips == len(chips) == len(ids) == len(index) == 3 * 5  # columns 0, 3, 6, 9, 10
    for chip, label, row in zip(chips, ids, index.itertuples(), strict=True):
        at = Window(row.row_off, row.col_off, row.height, row.width).slices
        np.testing.assert_array_equal(chip, image[:, *at])
        np.testing.assert_array_equal(label, labels[at])
    assert index["col_off"].max() == 10  # the last column is sampled
    assert index["row_off"].max() == 6


def test_hazard_uint16_chips_of_three_bands_cast_to_uint8(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    image = _image(8, 8)
    files = _files(tmp_path / "chips")
    scene = make_scene(image, np.zeros((8, 8), np.uint8))
    write_chips(scene, CLASSES, ChipSampling(size=8), Window(0, 0, 8, 8), files)
    chips = np.load(files.images)
    assert chips.dtype == np.uint16
    assert chips.max() == image.max() > 255


def test_hazard_a_retry_adds_chips_twice(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(_image(8, 8), np.zeros((8, 8), np.uint8))
    files = _files(tmp_path / "chips")
    written = []
    for _ in range(2):
        write_chips(scene, CLASSES, ChipSampling(size=4), Window(0, 0, 8, 8), files)
        paths = (files.images, files.labels, files.valid, files.index)
        written.append([path.read_bytes() for path in paths])
    assert len(np.load(files.images)) == 4
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "sampling",
    [
        ChipSampling(size=4, stride=3),
        ChipSampling(size=4, method="random", n_random=40),
        ChipSampling(size=4, stride=2, target_classes=("b",), min_class_pixels=9),
    ],
)
def test_blocks_together_give_the_chips_of_the_whole_scene_once(
    make_scene: MakeScene, tmp_path: Path, sampling: ChipSampling
) -> None:
    image, labels = _image(20, 23), (np.indices((20, 23)).sum(0) // 7 % 2).astype(np.uint8)
    scene = make_scene(image, labels)

    def chips(blocks: list[Window], name: str) -> list[tuple[int, int, bytes]]:
        found = []
        for index, block in enumerate(blocks):
            files = _files(tmp_path / name / str(index))
            write_chips(scene, CLASSES, sampling, block, files)
            rows = gpd.read_parquet(files.index)
            images = np.load(files.images)
            found += [
                (row.row_off, row.col_off, chip.tobytes())
                for row, chip in zip(rows.itertuples(), images, strict=True)
            ]
        return sorted(found)

    whole = chips(tiles((20, 23), 100), "whole")
    assert len(whole) == len(set(whole)) > 0
    assert chips(tiles((20, 23), 7), "parts") == whole


def test_pixels_without_data_are_masked_and_have_no_class(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    image = _image(4, 8)
    image[:, 1, 1] = 0
    scene = make_scene(image, np.ones((4, 8), np.uint8), nodata=0)
    files = _files(tmp_path / "chips")
    write_chips(scene, CLASSES, ChipSampling(size=4), Window(0, 0, 4, 8), files)
    labels, valid = np.load(files.labels), np.load(files.valid)
    assert valid.shape == (2, 4, 4)
    assert np.argwhere(~valid).tolist() == [[0, 1, 1]]
    assert np.argwhere(labels == 255).tolist() == [[0, 1, 1]]


def test_the_mask_has_no_rows_where_everything_is_valid_and_catches_up_where_not(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    image = _image(4, 12)
    files = _files(tmp_path / "chips")
    sampling, block = ChipSampling(size=4), Window(0, 0, 4, 12)
    write_chips(make_scene(image, np.ones((4, 12), np.uint8)), CLASSES, sampling, block, files)
    assert np.load(files.valid).shape == (0, 4, 4)
    image[:, 0, 9] = 0
    late = make_scene(image, np.ones((4, 12), np.uint8), nodata=0, id="late")
    write_chips(late, CLASSES, sampling, block, files)
    assert np.argwhere(~np.load(files.valid)).tolist() == [[2, 0, 1]]


def test_pixels_outside_the_area_have_no_class(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(
        _image(4, 4), np.ones((4, 4), np.uint8), area=WindowArea(windows=(Window(0, 0, 4, 3),))
    )
    files = _files(tmp_path / "chips")
    sampling = ChipSampling(size=4, min_area_share=0.5)
    write_chips(scene, CLASSES, sampling, Window(0, 0, 4, 4), files)
    assert np.load(files.labels)[0].tolist() == [[1, 1, 1, 255]] * 4


def test_a_block_without_chips_is_legal(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene(_image(4, 4), np.full((4, 4), 255, np.uint8))
    files = _files(tmp_path / "chips")
    assert write_chips(scene, CLASSES, ChipSampling(size=4), Window(0, 0, 4, 4), files) == 0
    assert np.load(files.images, mmap_mode=None).shape == (0, 3, 4, 4)
    index = gpd.read_parquet(files.index)
    assert len(index) == 0
    assert {"scene", "pixels a", "pixels b"} <= set(index.columns)


def test_the_index_tells_footprint_and_pixels_of_each_class(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[0, 5:7] = 1
    labels[1, 5] = 255
    files = _files(tmp_path / "chips")
    scene = make_scene(_image(4, 8), labels)
    write_chips(scene, CLASSES, ChipSampling(size=4), Window(0, 0, 4, 8), files)
    index = gpd.read_parquet(files.index)
    assert index.crs.to_epsg() == 32633
    assert index["pixels a"].tolist() == [16, 13]
    assert index["pixels b"].tolist() == [0, 2]
    assert index.geometry[1].bounds == (500_040, 4_999_960, 500_080, 5_000_000)


def test_negative_windows_are_kept_by_ratio(make_scene: MakeScene, tmp_path: Path) -> None:
    labels = np.zeros((4, 40), np.uint8)
    labels[:, :8] = 1  # 2 positive windows, 8 negative ones
    scene = make_scene(_image(4, 40), labels)
    for ratio, n_chips in ((0.0, 2), (1.5, 5)):
        files = _files(tmp_path / str(ratio))
        sampling = ChipSampling(size=4, target_classes=("b",), negative_ratio=ratio)
        assert write_chips(scene, CLASSES, sampling, Window(0, 0, 4, 40), files) == n_chips
        assert len(np.load(files.images)) == n_chips


def test_a_scene_without_labels_has_no_chips_to_learn_from(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    scene = make_scene(_image(4, 4), None)
    with pytest.raises(DataError, match=r"scene 'a': it has no labels to learn from. Set labels"):
        write_chips(scene, CLASSES, ChipSampling(size=4), Window(0, 0, 4, 4), _files(tmp_path))
