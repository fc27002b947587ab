"""Windows of chips: nothing is left out, nothing comes twice, nothing depends on splits."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.grid.grid import Grid
from swath.grid.window import Window, tiles
from swath.scene.classes import IGNORE
from swath.scene.mask import area_mask, area_rectangles
from swath.scene.reader import open_scene
from swath.scene.sampling import FEW_CLASSES, WindowContent, describe, keep, windows_of_block
from swath.scene.spec import BlockArea, ChipSampling, ClassConfig, Scene, block_split

CLASSES = ClassConfig(names=("water", "forest"))


def plain_grid(height: int, width: int) -> Grid:
    return Grid("EPSG:32633", (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), height, width)


def all_windows(
    grid: Grid, sampling: ChipSampling, block_size: int, within: tuple[Window, ...] | None = None
) -> list[Window]:
    blocks = tiles(grid.shape, block_size)
    parts = (windows_of_block(grid, b, sampling, "scene", within=within) for b in blocks)
    return list(itertools.chain.from_iterable(parts))


@given(
    st.integers(1, 30), st.integers(1, 30), st.integers(1, 8), st.integers(1, 8),
    st.integers(1, 12),
)  # fmt: skip
def test_hazard_last_row_and_column_are_sampled(
    height: int, width: int, size: int, stride: int, block_size: int
) -> None:
    grid = plain_grid(height, width)
    sampling = ChipSampling(size=size, stride=min(stride, size))
    hits = np.zeros((height + size, width + size), dtype=int)
    for window in all_windows(grid, sampling, block_size):
        assert window.shape == (size, size)
        hits[window.slices] += 1
    assert (hits[:height, :width] > 0).all()


@pytest.mark.parametrize(
    "sampling", [ChipSampling(size=4, stride=3), ChipSampling(size=4, method="random", n_random=50)]
)
def test_windows_do_not_depend_on_the_size_or_order_of_blocks(sampling: ChipSampling) -> None:
    grid = plain_grid(20, 31)
    whole = windows_of_block(grid, grid.window, sampling, "scene")
    for block_size in (1, 3, 7, 100):
        found = all_windows(grid, sampling, block_size)
        assert sorted(found) == whole
        assert len(set(found)) == len(found)


def test_each_window_belongs_to_the_block_of_its_first_pixel() -> None:
    grid = plain_grid(20, 20)
    block = Window(5, 10, 5, 5)
    for sampling in (ChipSampling(size=3, stride=2), ChipSampling(size=3, method="random",
                                                                 n_random=200)):  # fmt: skip
        found = windows_of_block(grid, block, sampling, "scene")
        assert found
        assert all(block.contains(Window(w.row_off, w.col_off, 1, 1)) for w in found)


def test_random_windows_stay_in_the_image_and_reach_its_corners() -> None:
    grid = plain_grid(5, 6)
    sampling = ChipSampling(size=4, method="random", n_random=300)
    found = windows_of_block(grid, grid.window, sampling, "scene")
    assert found == [Window(row, col, 4, 4) for row in range(2) for col in range(3)]


def test_random_windows_differ_by_seed_and_by_scene() -> None:
    grid = plain_grid(100, 100)
    sampling = ChipSampling(size=4, method="random", n_random=5)
    first = windows_of_block(grid, grid.window, sampling, "a")
    assert windows_of_block(grid, grid.window, sampling, "a") == first
    assert windows_of_block(grid, grid.window, sampling, "b") != first
    assert windows_of_block(grid, grid.window, sampling.replace(seed=1), "a") != first


def test_random_windows_are_the_same_on_every_machine() -> None:
    grid = plain_grid(100, 100)
    sampling = ChipSampling(size=4, method="random", n_random=2)
    found = windows_of_block(grid, grid.window, sampling, "a")
    assert [(w.row_off, w.col_off) for w in found] == [(53, 33), (58, 13)]


def test_image_smaller_than_a_window_gets_one_that_reaches_past_the_edge() -> None:
    grid = plain_grid(3, 9)
    found = windows_of_block(grid, grid.window, ChipSampling(size=5), "scene")
    assert found == [Window(0, 0, 5, 5), Window(0, 4, 5, 5)]
    random = ChipSampling(size=10, method="random", n_random=9)
    assert windows_of_block(grid, grid.window, random, "scene") == [Window(0, 0, 10, 10)]


def test_windows_end_where_the_area_ends_and_stay_in_the_image() -> None:
    grid = plain_grid(10, 10)
    within = (Window(1, 0, 5, 3), Window(8, 8, 2, 2))
    found = windows_of_block(grid, grid.window, ChipSampling(size=3), "scene", within=within)
    assert [(w.row_off, w.col_off) for w in found] == [(1, 0), (3, 0), (7, 7)]


def test_empty_area_has_no_windows() -> None:
    grid = plain_grid(10, 10)
    for sampling in (ChipSampling(size=3), ChipSampling(size=3, method="random", n_random=9)):
        assert windows_of_block(grid, grid.window, sampling, "scene", within=()) == []


@pytest.mark.parametrize("method", ["sliding", "random"])
def test_hazard_chips_of_training_and_validation_blocks_share_no_pixel(method: str) -> None:
    grid = plain_grid(90, 120)
    sampling = ChipSampling(
        size=8, method=method, n_random=None if method == "sliding" else 500  # type: ignore[arg-type]
    )  # fmt: skip
    hits = []
    for take in block_split(3, 4, 0.3, seed=5):
        area = BlockArea(rows=3, cols=4, take=take, buffer_px=3)
        windows = windows_of_block(
            grid, grid.window, sampling, "scene", within=area_rectangles(area, grid)
        )
        contents = [_on_plain_image(w, grid, area) for w in windows]
        kept = keep(contents, sampling, CLASSES, block=grid.window, seed_key="scene")
        assert kept
        touched = np.zeros(grid.shape, dtype=bool)
        for content in kept:
            touched[content.window.slices] = True
        hits.append(touched)
    assert not (hits[0] & hits[1]).any()


def _on_plain_image(window: Window, grid: Grid, area: BlockArea) -> WindowContent:
    mask = area_mask(area, grid, window)
    valid = np.ones(window.shape, dtype=bool)
    return describe(window, grid, valid, mask, None, CLASSES.n_classes)


def test_describe_counts_labelled_pixels_with_data() -> None:
    grid = plain_grid(2, 3)
    window = Window(0, 1, 3, 3)
    valid = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    area = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]], dtype=bool)
    labels = np.array([[0, 1, IGNORE], [IGNORE, 1, 0], [IGNORE] * 3], dtype=np.uint8)
    content = describe(window, grid, valid, area, labels, CLASSES.n_classes)
    assert content == WindowContent(window, n_pixels=4, n_valid=3, n_area=4, class_pixels=(1, 1))
    assert describe(window, grid, valid, area, None, 2).class_pixels is None


BLOCK = Window(0, 0, 100, 100)


@pytest.mark.parametrize("n_classes", [FEW_CLASSES, FEW_CLASSES + 1])
def test_few_and_many_classes_are_counted_alike(n_classes: int) -> None:
    labels = np.array([[0, 1, 1], [n_classes - 1, IGNORE, 1]], np.uint8)
    valid = np.array([[True, True, True], [True, True, False]])
    found = describe(Window(0, 0, 2, 3), plain_grid(2, 3), valid, valid, labels, n_classes)
    assert found.class_pixels == (1, 2, *[0] * (n_classes - 3), 1)


def content(
    index: int, *, n_valid: int = 100, n_area: int = 100, classes: tuple[int, int] = (50, 50)
) -> WindowContent:
    return WindowContent(Window(0, index, 10, 10), 100, n_valid, n_area, classes)


def kept(contents: list[WindowContent], sampling: ChipSampling, **key: str) -> list[int]:
    found = keep(contents, sampling, CLASSES, block=BLOCK, seed_key=key.get("seed_key", "scene"))
    return [item.window.col_off for item in found]


def test_window_with_more_nodata_than_the_limit_is_dropped() -> None:
    contents = [content(0, n_valid=50), content(1, n_valid=49)]
    assert kept(contents, ChipSampling(size=10, nodata_limit=0.5)) == [0]
    assert kept(contents, ChipSampling(size=10, nodata_limit=0.6)) == [0, 1]


def test_window_with_less_area_than_asked_is_dropped() -> None:
    contents = [content(0, n_area=100), content(1, n_area=99)]
    assert kept(contents, ChipSampling(size=10)) == [0]
    assert kept(contents, ChipSampling(size=10, min_area_share=0.9)) == [0, 1]


def test_window_without_a_labelled_pixel_is_dropped() -> None:
    unlabelled = WindowContent(Window(0, 2, 10, 10), 100, 100, 100, None)
    contents = [content(0, classes=(0, 0)), content(1, classes=(1, 0)), unlabelled]
    assert kept(contents, ChipSampling(size=10)) == [1, 2]


def test_window_without_enough_of_the_target_classes_is_dropped() -> None:
    contents = [content(0, classes=(91, 9)), content(1, classes=(90, 10))]
    sampling = ChipSampling(size=10, target_classes=("forest",))
    assert kept(contents, sampling) == [0, 1]
    assert kept(contents, sampling.replace(min_class_pixels=10)) == [1]
    both = sampling.replace(target_classes=("forest", "water"), min_class_pixels=100)
    assert kept(contents, both) == [0, 1]


def test_negative_windows_are_kept_in_the_asked_ratio_and_always_the_same() -> None:
    contents = [content(i, classes=(100, 0) if i % 2 else (0, 100)) for i in range(20)]
    sampling = ChipSampling(size=10, target_classes=("forest",), negative_ratio=0.5)
    found = kept(contents, sampling)
    assert len(found) == 15
    assert found == sorted(found)
    assert kept(contents, sampling) == found
    assert {tuple(kept(contents, sampling.replace(seed=seed))) for seed in range(9)} != {
        tuple(found)
    }
    assert {tuple(kept(contents, sampling, seed_key=key)) for key in "abcdef"} != {tuple(found)}
    assert len(kept(contents, sampling.replace(negative_ratio=9))) == 20


def test_unknown_target_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="'ice' is not one of the classes"):
        kept([content(0)], ChipSampling(size=10, target_classes=("ice",)))


def test_target_classes_need_labels() -> None:
    unlabelled = WindowContent(Window(0, 2, 10, 10), 100, 100, 100, None)
    with pytest.raises(ValueError, match="without labels"):
        kept([unlabelled], ChipSampling(size=10, target_classes=("forest",)))


def test_hazard_area_is_not_counted_as_a_class(write_raster: Callable[..., str]) -> None:
    image = write_raster("image.tif", np.ones((4, 4)))
    scene = Scene(
        id="a",
        image=image,
        labels=write_raster("labels.tif", np.zeros((4, 4))),
        area=BlockArea(rows=1, cols=2, take=((0, 0),)),
    )
    window = Window(0, 0, 4, 4)
    with open_scene(scene, CLASSES) as reader:
        found = describe(
            window,
            reader.grid,
            reader.read(window).valid,
            reader.area(window),
            reader.labels(window),
            CLASSES.n_classes,
        )
    assert found.class_pixels == (8, 0)
    assert found.n_area == 8
