"""Labels are those of the definition, and the same for all tilings, orders and threads."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swath import Raster, Window
from swath.raster.reader import open_raster
from swath.segmentation.clusters import Clusters
from swath.segmentation.fit import fit_clusters
from swath.segmentation.spec import SegmentOptions
from swath.segmentation.whole import segment_array, segment_tiles

Array = npt.NDArray[Any]

TYPES = ("uint8", "uint16", "int16", "float32")
RANGES = {"uint8": (0, 255), "uint16": (0, 65_535), "int16": (-32_768, 32_767)}


@dataclass(frozen=True)
class Case:
    """What an image is drawn from; small texts for what Hypothesis finds."""

    height: int
    width: int
    n_bands: int = 1
    dtype: str = "uint8"
    pattern: str = "patches"
    n_clusters: int = 5
    noise: float = 0.0
    holes: float = 0.0
    seed: int = 0
    min_size: int = 10
    percentile: float | None = None
    connectivity: int = 4
    weighted: bool = False

    @property
    def options(self) -> SegmentOptions:
        return SegmentOptions(min_size=self.min_size, connectivity=self.connectivity)

    def draw(self) -> tuple[Array, Array, Clusters]:
        """Return values `(band, y, x)`, which are valid, and clusters."""
        rng = np.random.default_rng(self.seed)
        low, high = RANGES.get(self.dtype, (-1.0, 1.0))
        centres = rng.uniform(low, high, (self.n_clusters, self.n_bands))
        if self.dtype != "float32":
            centres = np.rint(centres)
        index = PATTERNS[self.pattern](self.height, self.width, self.n_clusters, rng)
        values = np.moveaxis(centres[index], -1, 0)
        values = values + self.noise * (high - low) * rng.normal(size=values.shape)
        valid = rng.random(index.shape) >= self.holes
        if self.holes:  # one large hole too
            row, col = rng.integers(self.height), rng.integers(self.width)
            valid[row : row + 9, col : col + 7] = False
        ones = np.ones(self.n_bands)
        weights = rng.uniform(0.2, 3, self.n_bands) if self.weighted else ones
        steps = 2.0**-20 * ones if self.dtype == "float32" else ones
        offsets = np.rint(centres.mean(axis=0) / steps) * steps if self.weighted else 0 * ones
        distance = None
        if self.percentile is not None:
            apart = (centres[:, None] - centres[None]) * weights
            distance = float(np.percentile(np.sqrt((apart**2).sum(axis=-1)), self.percentile))
        clusters = Clusters(centres, offsets, steps, weights, distance)
        if self.dtype != "float32":
            values = np.clip(np.rint(values), low, high)
        return values.astype(self.dtype), valid, clusters


def _patches(height: int, width: int, k: int, rng: np.random.Generator) -> Array:
    """Squares of a few pixels, so that sizes and means are often equal."""
    side = int(rng.integers(1, 9))
    small = rng.integers(0, k, (-(-height // side), -(-width // side)))
    return np.kron(small, np.ones((side, side), int))[:height, :width]


def _speckle(height: int, width: int, k: int, rng: np.random.Generator) -> Array:
    return rng.integers(0, k, (height, width))


def _all_alone(height: int, width: int, k: int, rng: np.random.Generator) -> Array:
    """No pixel is like one of its eight neighbours, but for a pair in one corner."""
    rows, cols = np.indices((height, width))
    index = (rows % 2) * 2 + cols % 2 if k >= 4 else (rows + cols) % max(k, 1)
    index[0, : min(2, width)] = 0
    return index % k


def _snake(height: int, width: int, k: int, rng: np.random.Generator) -> Array:
    """One clump winds through the whole image; specks lie between its bends."""
    index = np.where(rng.random((height, width)) < 0.5, k - 1, k // 2)
    index[::4] = 0
    for bend, row in enumerate(range(0, height, 4)):
        index[row : row + 4, -1 if bend % 2 == 0 else 0] = 0
    return index


def _constant(height: int, width: int, k: int, rng: np.random.Generator) -> Array:
    return np.zeros((height, width), int)


Pattern = Callable[[int, int, int, np.random.Generator], Array]
PATTERNS: dict[str, Pattern] = {
    "patches": _patches,
    "speckle": _speckle,
    "all alone": _all_alone,
    "snake": _snake,
    "constant": _constant,
}


@st.composite
def cases(draw: st.DrawFn, most_px: int) -> Case:
    edges = st.integers(1, most_px)
    shapes = st.one_of(
        st.tuples(edges, edges),
        st.tuples(st.integers(most_px // 2, most_px), st.integers(most_px // 2, most_px)),
        st.tuples(st.integers(1, 15), st.integers(1, 15)),
        st.tuples(st.just(1), st.integers(1, 3 * most_px)),
        st.tuples(st.integers(1, 3 * most_px), st.just(1)),
    )
    height, width = draw(shapes)
    return Case(
        height=height,
        width=width,
        n_bands=draw(st.sampled_from((1, 1, 2, 4, 13))),
        dtype=draw(st.sampled_from(TYPES)),
        pattern=draw(st.sampled_from(tuple(PATTERNS))),
        n_clusters=draw(st.sampled_from((1, 2, 5, 12, 60))),
        noise=draw(st.sampled_from((0.0, 0.003, 0.03, 0.2, 1.0))),
        holes=draw(st.sampled_from((0.0, 0.02, 0.3, 1.0))),
        seed=draw(st.integers(0, 2**32 - 1)),
        min_size=draw(st.sampled_from((1, 2, 5, 10, 20, 50, 200))),
        percentile=draw(st.sampled_from((None, 0.0, 10.0, 50.0))),
        connectivity=draw(st.sampled_from((4, 8))),
        weighted=draw(st.booleans()),
    )


@dataclass(frozen=True)
class Tiling:
    """How an image is cut, by how many threads, and the seed of the order of tiles."""

    size: int = 16
    workers: int = 1
    order: int | None = None

    def cut(self, values: Array, valid: Array, clusters: Clusters, options: Any) -> Array:
        n_tiles = int(np.prod([-(-edge // self.size) for edge in valid.shape]))
        order = None
        if self.order is not None:
            order = np.random.default_rng(self.order).permutation(n_tiles).tolist()
        return segment_tiles(
            values,
            valid,
            clusters,
            options,
            tile_size=self.size,
            workers=self.workers,
            order=order,
        )


tilings = st.builds(
    Tiling,
    size=st.integers(16, 70),
    workers=st.sampled_from((1, 2, 5)),
    order=st.none() | st.integers(0, 99),
)


def defined(
    reference: ModuleType, values: Array, valid: Array, clusters: Clusters, options: SegmentOptions
) -> Array:
    """Return the labels of the slow transcription."""
    labels: Array = reference.segment(
        clusters.quantise(values, valid),
        valid,
        clusters.spectral_centres,
        clusters.scale,
        min_size=options.min_size,
        max_distance=clusters.max_distance,
        connectivity=options.connectivity,
    )
    return labels


def assert_equal(labels: Array, expected: Array) -> None:
    assert labels.dtype == np.uint32
    n_differ = int((labels != expected).sum())
    assert n_differ == 0, f"{n_differ} of {expected.size} pixels differ"


@given(case=cases(most_px=40))
@settings(max_examples=60)
@example(Case(39, 50, 2, "uint8", "speckle", 5, seed=210744205, min_size=50))  # ties of means
@example(Case(31, 65, 2, "uint8", "all alone", 60, noise=0.03, connectivity=8, percentile=30.0))
def test_labels_are_those_of_the_definition(reference: ModuleType, case: Case) -> None:
    values, valid, clusters = case.draw()
    labels = segment_array(values, valid, clusters, case.options)
    assert_equal(labels, defined(reference, values, valid, clusters, case.options))


@given(case=cases(most_px=100), tiling=tilings)
@settings(max_examples=200)
@example(Case(54, 55, 1, "uint16", "snake", 3, 0.0, 0.1, 2554702968, 20, 50.0, 8), Tiling(16))
@example(Case(100, 100, pattern="snake", min_size=200, noise=0.02), Tiling(16, 5, 1))
@example(Case(90, 90, 2, pattern="all alone", min_size=50, noise=0.01), Tiling(16, 2, 2))
@example(Case(70, 70, 13, "float32", "speckle", 60, noise=0.3), Tiling(17, 1, 3))
@example(Case(64, 64, pattern="constant", min_size=200), Tiling(16, 1, 4))
def test_labels_do_not_depend_on_tiles_threads_or_order(case: Case, tiling: Tiling) -> None:
    image = case.draw()
    whole = segment_array(*image, case.options)
    assert_equal(tiling.cut(*image, case.options), whole)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("dtype", TYPES)
def test_many_tiles_of_noise_equal_no_tiles(dtype: str, connectivity: int) -> None:
    """Small segments everywhere, and seams everywhere: what is open reaches far."""
    case = Case(
        150, 170, 3, dtype, "speckle", 30, noise=0.1, holes=0.05, seed=5, min_size=60,
        connectivity=connectivity,
    )  # fmt: skip
    image = case.draw()
    whole = segment_array(*image, case.options)
    assert 20 < whole.max() < 2000
    for size in (16, 23, 64, 151):
        assert_equal(Tiling(size, 2, size).cut(*image, case.options), whole)


def test_one_clump_crosses_every_tile_and_is_one_segment() -> None:
    case = Case(100, 100, pattern="snake", n_clusters=5, min_size=20, percentile=0.0)
    values, valid, clusters = case.draw()
    labels = Tiling(16).cut(values, valid, clusters, case.options)
    snake = values[0] == clusters.centres[0]
    assert set(labels[snake].tolist()) == {1}
    assert snake[:, 50].sum() == 25, "it crosses each row of tiles"


@pytest.mark.parametrize("connectivity", [4, 8])
def test_single_pixels_survive_all_passes(reference: ModuleType, connectivity: int) -> None:
    """Each pass reaches one pixel on: beyond 16 all are alone, and stay so if M is 1."""
    case = Case(40, 40, pattern="all alone", min_size=1, connectivity=connectivity)
    values, valid, clusters = case.draw()
    expected = defined(reference, values, valid, clusters, case.options)
    sizes = np.bincount(expected.ravel())
    assert (sizes[expected[20:, 20:]] == 1).all(), "the far corner is alone"
    assert sizes[1] > 100, "the near one has grown together"
    assert_equal(segment_array(values, valid, clusters, case.options), expected)
    assert_equal(Tiling(16, 2, 1).cut(values, valid, clusters, case.options), expected)


@pytest.mark.parametrize("is_upright", [False, True])
def test_a_pixel_is_decided_by_another_seventeen_away(is_upright: bool) -> None:
    """Pixel 32 makes 31 one of a pair; sixteen passes later 15, the last of its tile, joins it."""
    values = np.arange(48)[None, None] % 2 * 10
    values[..., 31:33] = 20
    values = (values.mT if is_upright else values).astype(np.uint8)
    one = np.ones(1)
    clusters = Clusters(np.array([[0.0], [10], [20]]), 0 * one, one, one, None)
    options = SegmentOptions(min_size=1)
    labels = segment_array(values, values[0] >= 0, clusters, options)
    sizes = np.bincount(labels.ravel())[labels].ravel()
    assert sizes.tolist() == [1] * 15 + [33] * 33
    assert_equal(segment_tiles(values, values[0] >= 0, clusters, options, tile_size=16), labels)


@pytest.mark.parametrize("holes", [0.0, 1.0])
def test_a_constant_image_is_one_segment_or_none(holes: float) -> None:
    case = Case(40, 50, pattern="constant", n_clusters=1, holes=holes)
    labels = Tiling(16).cut(*case.draw(), case.options)
    assert np.unique(labels).tolist() == ([0] if holes else [1])


@pytest.mark.slow
@pytest.mark.parametrize("min_size", [2, 10, 50, 100])
def test_an_image_of_300_by_300_is_segmented_as_defined(
    reference: ModuleType, min_size: int
) -> None:
    """With D of the middle of centres' distances ("auto"), a near one, and none."""
    for percentile, connectivity in itertools.product((50.0, 5.0, None), (4, 8)):
        case = Case(
            300, 300, 4, "uint16", "patches", 20, noise=0.12, holes=0.01, seed=min_size,
            min_size=min_size, percentile=percentile, connectivity=connectivity,
        )  # fmt: skip
        image = case.draw()
        expected = defined(reference, *image, case.options)
        assert_equal(segment_array(*image, case.options), expected)
        assert_equal(Tiling(37, 2, 3).cut(*image, case.options), expected)


SCENES = {
    "parana": ("parana_landsat8/landsat8_b234.tif", 0),
    "zion": ("zion_landsat8/landsat8_b2345.tif", None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_a_landsat_scene_is_segmented_as_defined_for_every_tiling(
    reference: ModuleType, shared_data: Path, name: str
) -> None:
    path, nodata = SCENES[name]
    image = Raster(uris=str(shared_data / path), nodata=nodata)
    with open_raster(image) as reader:
        values, valid = reader.read(Window(0, 0, *reader.grid.shape))
    for options in (SegmentOptions(), SegmentOptions(min_size=100, connectivity=8, clusters=20)):
        clusters = fit_clusters(image, options)
        whole = segment_array(values, valid, clusters, options)
        assert 1000 < whole.max() < valid.sum() / 50
        for tiling in (Tiling(97, 2, 1), Tiling(512, 5, 2), Tiling(1024, 1)):
            assert_equal(tiling.cut(values, valid, clusters, options), whole)
        part = (slice(600, 850), slice(400, 700))
        cut, is_there = values[:, *part], valid[part]
        expected = defined(reference, cut, is_there, clusters, options)
        assert_equal(segment_array(cut, is_there, clusters, options), expected)
