"""The statistics of one tile: arrays in, a `Partial` out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window
from swath.segmentation.statistics.function import SegmentFunction
from swath.segmentation.statistics.keys import (
    Keys,
    dropped_bits,
    key_dtype,
    keys_of,
    shift_of,
)
from swath.segmentation.statistics.locate import (
    describe_shapes,
    mark_border,
    number_segments,
    order_pixels,
)
from swath.segmentation.statistics.partial import (
    Edges,
    Ids,
    Partial,
    called_dtype,
    counts_dtype,
    open_dtype,
    pixels_dtype,
)
from swath.segmentation.statistics.ranks import count_tile, rank_tile
from swath.segmentation.statistics.recipe import Recipe, Rows
from swath.segmentation.statistics.sums import (
    N_MOMENTS,
    add_floats,
    add_integers,
    add_small_integers,
)

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
    def n_open_pixels(self) -> int:
        """Pixels of all open segments."""
        return int(np.diff(self.offsets)[self.is_open].sum())

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
    shapes = describe_shapes(
        local, ids.size, (window.row_off, window.col_off), grid.width, recipe.wants_sides
    )
    if only is None:
        ends = (window.row_end < grid.height, window.col_end < grid.width)
        is_open = mark_border(local, (window.row_off > 0, window.col_off > 0, *ends), ids.size)
    else:
        is_open = np.ones(ids.size, np.bool_)
    found = _Found(ids, order, offsets, is_open)
    flat = [_flatten(layer) for layer in layers] if recipe.n_bands else []
    moments = _moments(flat, found, recipe)
    done = ~is_open
    rows = recipe.conclude(
        ids[done], shapes[done], moments[done], _ranks(flat, found, recipe)[done], tile
    )
    opened = np.flatnonzero(is_open)[np.argsort(ids[is_open], kind="stable")]
    open_rows = np.empty(opened.size, open_dtype(recipe.n_bands))
    for name, values in (("id", ids), ("shape", shapes), ("moments", moments)):
        open_rows[name] = values[opened]
    called, pixels = _call(function, layers, found, window)
    return Partial(
        window=window,
        rows=rows,
        open_rows=open_rows,
        counts=_counts(flat, found) if recipe.wants_ranks else (),
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


def _moments(flat: Sequence[_Flat], found: _Found, recipe: Recipe) -> Integers:
    moments = np.zeros((found.ids.size, recipe.n_bands, N_MOMENTS), np.int64)
    band = 0
    for values, keys, valid in flat:
        into = moments[:, band : band + len(values)]
        if values.dtype.kind == "f":
            add_floats(values, keys, valid, found.order, found.offsets, into)
        elif values.dtype.itemsize <= 2:
            add_small_integers(keys, valid, found.order, found.offsets, into)
        else:
            add_integers(keys, valid, found.order, found.offsets, shift_of(values.dtype), into)
        band += len(values)
    return moments


def _ranks(flat: Sequence[_Flat], found: _Found, recipe: Recipe) -> Integers:
    """Return the ranked keys of the segments that are not open."""
    shape = (found.ids.size, recipe.n_bands, 2 * recipe.quantiles.size + 1)
    ranked = np.zeros(shape, np.int64)
    band = 0
    for values, keys, valid in flat if recipe.wants_ranks else ():
        rank_tile(
            keys,
            valid,
            found.order,
            found.offsets,
            found.is_open,
            recipe.quantiles,
            recipe.wants_mode,
            dropped_bits(values.dtype),
            np.empty(found.longest, key_dtype(values.dtype)),
            ranked[:, band : band + len(values)],
        )
        band += len(values)
    return ranked


def _counts(flat: Sequence[_Flat], found: _Found) -> tuple[Rows, ...]:
    """Return how often each value of the open segments occurs, band by band."""
    counted = []
    by_id = np.argsort(found.ids, kind="stable")
    for values, keys, valid in flat:
        for band in range(len(values)):
            kept = np.empty(found.n_open_pixels, key_dtype(values.dtype))
            times = np.empty(kept.size, np.int64)
            ends = np.empty(found.ids.size, np.int64)
            count_tile(
                keys[band],
                valid[min(band, len(valid) - 1)],
                found.order,
                found.offsets,
                found.is_open,
                dropped_bits(values.dtype),
                kept,
                times,
                ends,
            )
            begins = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: ends.size]
            lengths = (ends - begins)[by_id]
            at = _ranges(begins[by_id], lengths)
            rows = np.empty(at.size, counts_dtype(kept.dtype))
            rows["id"] = np.repeat(found.ids[by_id], lengths)
            rows["key"], rows["count"] = kept[at], times[at]
            counted.append(rows)
    return tuple(counted)


def _ranges(begins: Integers, lengths: Integers) -> Integers:
    """Return the numbers from each begin on, as many as its length, one after the other.

    >>> _ranges(np.array([7, 2]), np.array([1, 3]))
    array([7, 2, 3, 4])
    """
    ends = np.cumsum(lengths)
    begins_in_all = np.repeat(begins - (ends - lengths), lengths)
    return np.asarray(np.arange(int(lengths.sum())) + begins_in_all)


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
