"""Segmentation of an image that is in memory: as one tile, or in many.

For small images, trials and checks. Files of any size: `swath.segmentation.segmenter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window, tiles
from swath.segmentation.clusters import Clusters
from swath.segmentation.numbering import first_pixels, ids_of
from swath.segmentation.part import Part
from swath.segmentation.spec import HALO, SegmentOptions
from swath.segmentation.tile import Labels, Runs, clump_tile, merge_rule
from swath.segmentation.union import join_tiles


def segment_array(
    values: npt.NDArray[np.generic],
    valid: npt.NDArray[np.bool_],
    clusters: Clusters,
    options: SegmentOptions,
) -> Labels:
    """Segment an array.

    Parameters
    ----------
    values
        Array `(band, y, x)`.
    valid
        Array `(y, x)` of bool.
    clusters
        Centres, see `swath.segmentation.clusters.fit_clusters`.
    options
        Of the segmentation.

    Returns
    -------
    numpy.ndarray
        Labels, array `(y, x)` of uint32: 1 to N by the raster order of first pixels; 0 where not
        valid.
    """
    return segment_tiles(values, valid, clusters, options, tile_size=max(valid.shape))


def segment_tiles(
    values: npt.NDArray[np.generic],
    valid: npt.NDArray[np.bool_],
    clusters: Clusters,
    options: SegmentOptions,
    *,
    tile_size: int,
    workers: int = 1,
    order: Sequence[int] | None = None,
) -> Labels:
    """Segment an array tile by tile; the labels are those of `segment_array`.

    Parameters
    ----------
    values, valid, clusters, options
        See `segment_array`.
    tile_size
        Side of a tile in pixels.
    workers
        Threads.
    order
        Order in which tiles are begun: each of their numbers once; default: row by row.
    """
    height, width = valid.shape
    cores = tiles((height, width), tile_size)
    padded = np.pad(values, ((0, 0), (HALO, HALO), (HALO, HALO)))
    padded_valid = np.pad(valid, HALO)

    def clump(core: Window) -> tuple[Part, Runs]:
        window = core.pad(HALO).shift(HALO, HALO)
        rows, cols = window.slices
        return clump_tile(
            padded[:, rows, cols], padded_valid[rows, cols], core, width, clusters, options
        )

    clumped: dict[int, Runs] = {}

    def tile(number: int) -> Part:
        part, clumped[number] = clump(cores[number])
        return part

    n_cols = -(-width // tile_size)
    rule = merge_rule(clusters, options)
    with ThreadPoolExecutor(workers) as pool:
        union = join_tiles(tile, len(cores) // n_cols, n_cols, rule, pool, workers, order=order)
    firsts = first_pixels(union)
    labels = np.zeros((height, width), np.uint32)
    for number, core in enumerate(cores):
        labels[core.slices] = clumped[number].labels(ids_of(union.resolved(number), firsts))
    return labels
