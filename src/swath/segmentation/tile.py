"""One tile of a segmentation: from pixels to segments that are final or open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window
from swath.segmentation.clusters import Clusters
from swath.segmentation.graph import Graph, MergeRule, settle
from swath.segmentation.kernels.absorb import absorb_single_pixels
from swath.segmentation.kernels.components import (
    describe_components,
    find_neighbours,
    label_components,
)
from swath.segmentation.kernels.nearest import nearest_centres
from swath.segmentation.kernels.runs import decode_runs, encode_runs
from swath.segmentation.part import Edge, Edges, Part
from swath.segmentation.spec import ABSORB_PASSES, HALO, SegmentOptions
from swath.segmentation.timings import Stage, untimed

Labels = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Runs:
    """Labels of a tile as runs of equal values in raster order.

    Attributes
    ----------
    values
        Array `(run,)` of int32: 1 + the root of a segment, 0 for no data.
    lengths
        Array `(run,)` of uint16, in pixels.
    shape
        `(height, width)` of the tile.
    """

    values: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.uint16]
    shape: tuple[int, int]

    def labels(self, ids: npt.NDArray[np.uint32]) -> Labels:
        """Return the labels `(y, x)`, given the id of each root."""
        labels = np.empty(self.shape, np.uint32)
        decode_runs(
            self.values, self.lengths, np.concatenate([np.zeros(1, np.uint32), ids]), labels
        )
        return labels


def merge_rule(clusters: Clusters, options: SegmentOptions) -> MergeRule:
    """Return when segments are merged."""
    limit = np.inf if clusters.max_distance is None else clusters.max_distance**2
    return MergeRule(clusters.scale, limit, options.min_size, options.connectivity == 8)


def clump_tile(
    values: npt.NDArray[np.generic],
    valid: npt.NDArray[np.bool_],
    core: Window,
    image_width: int,
    clusters: Clusters,
    options: SegmentOptions,
    *,
    stage: Stage = untimed,
) -> tuple[Part, Runs]:
    """Segment a tile, as far as its inside decides.

    Parameters
    ----------
    values
        Array `(band, y, x)` of the core and `HALO` pixels around it.
    valid
        Array `(y, x)` of bool; False outside the image.
    core
        The tile, in pixels of the image.
    image_width
        Width of the image in pixels.
    clusters
        Centres, and how far segments may be apart that are merged.
    options
        Of the segmentation.
    stage
        Takes the time of a stage, see `swath.segmentation.timings`.

    Notes
    -----
    Memory: about 4 bytes per band, 16 bytes, and 60 bytes for each clump, per pixel of the tile.
    """
    rule = merge_rule(clusters, options)
    with stage("cluster"):
        steps = clusters.quantise(values, valid)
        nearest = nearest_centres(steps, valid, clusters.scale32, clusters.spectral_centres)
        links = absorb_single_pixels(steps, clusters.scale, nearest, rule.is_eight, ABSORB_PASSES)
    with stage("clump"):
        inner = (HALO, HALO, core.height, core.width)
        labels, n = label_components(nearest, links, inner, rule.is_eight)
        origin = (core.row_off, core.col_off)
        nodes = describe_components(labels, steps, inner, origin, image_width, n)
        lists = find_neighbours(labels, nodes[:, 0], rule.min_size, rule.is_eight)
        edges = _edges(labels, nearest, links, rule.is_eight)
        graph = Graph(nodes, *lists)
    with stage("settle"):
        index, roots, rest = settle(graph, edges.nodes(), rule)
        part = Part(roots, rest, edges.renumbered(roots.open_index[index]))
    with stage("clump"):
        numbers = np.concatenate([np.zeros(1, np.int32), index + np.int32(1)])
        return part, Runs(*encode_runs(numbers[labels]), core.shape)


def _edges(
    labels: npt.NDArray[np.int32],
    clusters: npt.NDArray[np.int16],
    links: npt.NDArray[np.uint8],
    is_eight: bool,
) -> Edges:
    """Return the edges of a core; their nodes are components that have valid pixels beyond."""
    valid = clusters[HALO - 1 : 1 - HALO, HALO - 1 : 1 - HALO] >= 0  # with one pixel around

    def edge(line: tuple[int | slice, int | slice], beyond: npt.NDArray[np.bool_]) -> Edge:
        is_met = beyond[1:-1]
        if is_eight:
            is_met = is_met | beyond[:-2] | beyond[2:]
        core = (slice(HALO, -HALO), slice(HALO, -HALO))
        return Edge(
            np.where(is_met, labels[line], 0).astype(np.int32),
            clusters[core][line].copy(),
            links[core][line].copy(),
        )

    every = slice(None)
    return Edges(
        top=edge((0, every), valid[0, :]),
        bottom=edge((-1, every), valid[-1, :]),
        left=edge((every, 0), valid[:, 0]),
        right=edge((every, -1), valid[:, -1]),
    )
