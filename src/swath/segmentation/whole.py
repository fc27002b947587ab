"""Segmentation of an image that is in memory: as one tile, or in many.

For small images, trials and checks. Files of any size: `swath.segmentation.threads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window, tiles
from swath.segmentation.clusters import Clusters
from swath.segmentation.numbering import first_pixels, ids_of, resolve_tiles
from swath.segmentation.part import Join, Part, join, join_steps
from swath.segmentation.spec import HALO, SegmentOptions
from swath.segmentation.tile import Labels, Runs, clump_tile, merge_rule


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

    with ThreadPoolExecutor(workers) as pool:
        started = {
            number: pool.submit(clump, cores[number]) for number in order or range(len(cores))
        }
        clumped = [started[number].result() for number in range(len(cores))]
    parts = [part for part, _ in clumped]
    n_cols = -(-width // tile_size)
    steps = join_steps(len(cores) // n_cols, n_cols)
    joins: dict[int, Join] = {}
    rule = merge_rule(clusters, options)
    for step in steps:
        part, joins[len(parts)] = join(parts[step.one], parts[step.other], rule)
        parts.append(part)
    roots = [part.roots for part in parts]
    firsts = first_pixels(roots)
    labels = np.zeros((height, width), np.uint32)
    for core, (_, runs), resolved in zip(
        cores, clumped, resolve_tiles(roots, steps, joins), strict=True
    ):
        labels[core.slices] = runs.labels(ids_of(resolved, firsts))
    return labels
