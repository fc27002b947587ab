"""The statistics of one tile: arrays in, a `Partial` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window
from swath.segmentation.statistics.counts import count_tile
from swath.segmentation.statistics.function import SegmentFunction
from swath.segmentation.statistics.keys import (
    Keys,
    dropped_bits,
    key_dtype,
    keys_of,
    shift_of,
)
from swath.segmentation.statistics.locate import (
    N_PIXELS,
    N_SHAPE,
    describe_shapes,
    mark_border,
    number_segments,
    order_pixels,
)
from swath.segmentation.statistics.measure import Wanted, measure_tile
from swath.segmentation.statistics.partial import (
    Edges,
    Ids,
    Partial,
    called_dtype,
    counts_dtype,
    open_dtype,
    pixels_dtype,
)
from swath.segmentation.statistics.recipe import Recipe, Rows
from swath.segmentation.statistics.sums import N_MOMENTS, add_floats

Integers = npt.NDArray[np.int64]
Valid = npt.NDArray[np.bool_]


class Layer(NamedTuple):
    """Pixels of one image in a tile.

    Attributes
    ----------
    values
        Array `(band, y, x)`.
    valid
        Array `(y, x)` or `(band, y, x)` of bool. Numbers that are not finite do not count, either.
    """

    values: npt.NDArray[Any]
    valid: Valid


class _Found(NamedTuple):
    """Segments of a tile: ids, pixels in their order, and which of them are open."""

    ids: Ids
    order: npt.NDArray[np.int32]
    offsets: Integers
    is_open: Valid

    @property
    def longest(self) -> int:
        """Pixels of the largest segment."""
        return int(np.diff(self.offsets).max(initial=0))


class _Flat(NamedTuple):
    """A layer with the pixels of the tile in one dimension."""

    values: npt.NDArray[Any]
    keys: Keys
    valid: Valid


def summarise_tile(
    window: Window,
    labels: Ids,
    layers: Sequence[Layer],
    recipe: Recipe,
    *,
    tile: int = 0,
    only: Ids | None = None,
    function: SegmentFunction | None = None,
) -> Partial:
    """Summarise the segments of one tile.

    Parameters
    ----------
    window
        The tile, within the grid of `recipe`.
    labels
        Array `(y, x)` of uint32; 0 is no data.
    layers
        Pixels of each image, bands in the order of ``recipe.dtypes``.
    recipe
        What to compute.
    tile
        Number of the tile, which rows carry.
    only
        Ids of segments to leave open, all others being passed over: a second look at segments that
        were taken for finished and turned up elsewhere.
    function
        A user's function, called once for each segment.
    """
    if only is not None:
        labels = np.where(np.isin(labels, only), labels, np.uint32(0))
    local, ids = number_segments(np.ascontiguousarray(labels))
    offsets, order = order_pixels(local, ids.size)
    grid = recipe.grid
    if recipe.wants_shapes:
        shapes = describe_shapes(
            local, ids.size, (window.row_off, window.col_off), grid.width, recipe.wants_sides
        )
    else:
        shapes = np.zeros((ids.size, N_SHAPE), np.int64)
        shapes[:, N_PIXELS] = np.diff(offsets)
    if only is None:
        ends = (window.row_end < grid.height, window.col_end < grid.width)
        is_open = mark_border(local, (window.row_off > 0, window.col_off > 0, *ends), ids.size)
    else:
        is_open = np.ones(ids.size, np.bool_)
    found = _Found(ids, order, offsets, is_open)
    flat = [_flatten(layer) for layer in layers] if recipe.n_bands else []
    moments, ranked = _measure(flat, found, recipe)
    rows = recipe.conclude(ids, shapes, moments, ranked, tile)
    by_id = np.argsort(ids, kind="stable")
    opened = by_id[is_open[by_id]]
    open_rows = np.empty(opened.size, open_dtype(recipe.n_bands))
    for name, values in (("id", ids), ("shape", shapes), ("moments", moments)):
        open_rows[name] = values[opened]
    called, pixels = _call(function, layers, found, window)
    return Partial(
        window=window,
        rows=rows[by_id[~is_open[by_id]]],
        open_rows=open_rows,
        counts=_counts(flat, found, opened) if recipe.wants_ranks else (),
        edges=_edges(labels) if recipe.wants_sides and only is None else None,
        names=() if function is None else function.names,
        called=called,
        pixels=pixels,
    )


def _flatten(layer: Layer) -> _Flat:
    n_bands = len(layer.values)
    values = np.ascontiguousarray(layer.values).reshape(n_bands, -1)
    valid = np.ascontiguousarray(layer.valid).reshape(-1, values.shape[1])
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            valid = valid & finite
    if valid.all():
        valid = np.ones((1, 0), np.bool_)
    return _Flat(values, keys_of(values), valid)


def _measure(flat: Sequence[_Flat], found: _Found, recipe: Recipe) -> tuple[Integers, Integers]:
    """Return moments of all segments, and ranked keys of those that are not open."""
    shape = (found.ids.size, recipe.n_bands)
    moments = np.zeros((*shape, N_MOMENTS), np.int64)
    ranked = np.zeros((*shape, 2 * recipe.quantiles.size + 1), np.int64)
    band = 0
    for values, keys, valid in flat:
        bands = slice(band, band + len(values))
        is_float = values.dtype.kind == "f"
        if is_float:
            add_floats(values, keys, valid, found.order, found.offsets, moments[:, bands])
        if recipe.wants_ranks or not is_float:
            wanted = Wanted(
                recipe.quantiles,
                recipe.wants_mode,
                dropped_bits(values.dtype),
                not is_float,
                shift_of(values.dtype),
            )
            measure_tile(
                keys,
                valid,
                found.order,
                found.offsets,
                found.is_open,
                wanted,
                np.empty(found.longest, key_dtype(values.dtype)),
                moments[:, bands],
                ranked[:, bands],
            )
        band += len(values)
    return moments, ranked


def _counts(flat: Sequence[_Flat], found: _Found, opened: Integers) -> tuple[Rows, ...]:
    """Return how often each value of the open segments occurs, band by band."""
    counted = []
    n_pixels = int(np.diff(found.offsets)[opened].sum())
    for values, keys, valid in flat:
        for band in range(len(values)):
            kept = np.empty(n_pixels, key_dtype(values.dtype))
            times = np.empty(n_pixels, np.int64)
            lengths = count_tile(
                keys[band],
                valid[min(band, len(valid) - 1)],
                found.order,
                found.offsets,
                opened,
                dropped_bits(values.dtype),
                kept,
                times,
            )
            rows = np.empty(int(lengths.sum()), counts_dtype(kept.dtype))
            rows["id"] = np.repeat(found.ids[opened], lengths)
            rows["key"], rows["count"] = kept[: rows.size], times[: rows.size]
            counted.append(rows)
    return tuple(counted)


def _edges(labels: Ids) -> Edges:
    sides = (labels[0], labels[:, 0], labels[-1], labels[:, -1])
    return Edges(*(side.copy() for side in sides))


def _call(
    function: SegmentFunction | None, layers: Sequence[Layer], found: _Found, window: Window
) -> tuple[Rows | None, Rows | None]:
    """Return what a function says of finished segments, and the pixels of the others."""
    if function is None:
        return None, None
    values = np.concatenate([layer.values for layer in layers])
    values = values.reshape(len(values), -1)
    valid = np.isfinite(values).all(axis=0)
    for layer in layers:
        known = layer.valid if layer.valid.ndim == 2 else layer.valid.all(axis=0)
        valid &= known.reshape(-1)
    ids: list[int] = []
    answers: list[npt.NDArray[np.float64]] = []
    kept: list[Rows] = [np.empty(0, pixels_dtype(values.dtype, len(values)))]
    for segment in np.argsort(found.ids, kind="stable"):
        pixels = found.order[found.offsets[segment] : found.offsets[segment + 1]]
        pixels = pixels[valid[pixels]]
        if pixels.size == 0:
            continue
        rows, cols = np.divmod(pixels.astype(np.int64), window.width)
        rows, cols = rows + window.row_off, cols + window.col_off
        if found.is_open[segment]:
            part = np.empty(pixels.size, kept[0].dtype)
            part["id"], part["row"], part["col"] = found.ids[segment], rows, cols
            part["values"] = values[:, pixels].T
            kept.append(part)
        else:
            ids.append(int(found.ids[segment]))
            answers.append(function(ids[-1], values[:, pixels], rows, cols))
    called = np.empty(len(ids), called_dtype(len(function.names)))
    called["id"] = ids
    if ids:
        called["numbers"] = answers
    return called, np.concatenate(kept)
