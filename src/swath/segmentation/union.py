"""The tiles of an image put together: what was open because of the seams goes on to its end.

For whatever has the tiles: made in this process, or read from files. One idea: what tiles left open
makes one graph, in which everything is certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swath.errors import DataError
from swath.segmentation.graph import Graph, MergeRule, Roots, settle_all
from swath.segmentation.kernels.graph import contract, join_seam
from swath.segmentation.part import Edge, Part
from swath.segmentation.timings import Stage, untimed

MOST_OPEN = 2**31 - 1
_RIGHTWARDS = (2, 4, 7)
_DOWNWARDS = (5, 6, 7)


@dataclass(frozen=True, slots=True)
class Union:
    """What the segments of all tiles have become.

    Attributes
    ----------
    roots
        Of each tile, row by row.
    begins
        Array `(tile + 1,)` of int64: where the open nodes of each tile begin.
    firsts_of_open
        Array `(node,)` of int64: first pixel of the segment that an open node of a tile ends in.
    final_firsts
        Array of int64: first pixels of these segments, each once.
    """

    roots: list[Roots]
    begins: npt.NDArray[np.int64]
    firsts_of_open: npt.NDArray[np.int64]
    final_firsts: npt.NDArray[np.int64]

    def resolved(self, tile: int) -> npt.NDArray[np.int64]:
        """Return the first pixel of the segment that each root of a tile ends in."""
        begin, end = self.begins[tile : tile + 2]
        return self.roots[tile].resolve(self.firsts_of_open[begin:end])


def join_tiles(
    tile: Callable[[int], Part],
    n_rows: int,
    n_cols: int,
    rule: MergeRule,
    pool: ThreadPoolExecutor,
    workers: int,
    *,
    order: Sequence[int] | None = None,
    stage: Stage = untimed,
    done: Callable[[int], None] = lambda _: None,
) -> Union:
    """Put all tiles of an image together.

    Parameters
    ----------
    tile
        Returns the part of the tile of a number; called in threads.
    n_rows, n_cols
        Tiles of the image.
    rule
        When segments are merged.
    pool
        Does the work; it is shut down if something fails.
    workers
        Its threads.
    order
        Order in which tiles are begun; default: row by row.
    stage
        Takes the time of a stage, see `swath.segmentation.timings`.
    done
        Is told the number of each tile that is there.

    Raises
    ------
    DataError
        If tiles leave more segments open than int32 counts.

    Notes
    -----
    Memory: about twice the graphs of what tiles leave open.
    """
    parts = _all_parts(tile, n_rows * n_cols, pool, workers, order, done)
    with stage("eliminate"):
        return _united(parts, n_rows, n_cols, rule, pool, workers)


def _all_parts(
    tile: Callable[[int], Part],
    n_tiles: int,
    pool: ThreadPoolExecutor,
    workers: int,
    order: Sequence[int] | None,
    done: Callable[[int], None],
) -> list[Part]:
    """Make the parts of all tiles, a few at a time."""
    waiting = list(reversed(order if order is not None else range(n_tiles)))
    parts: dict[int, Part] = {}
    running: dict[Future[Part], int] = {}
    try:
        while len(parts) < n_tiles:
            while waiting and len(running) <= workers:
                number = waiting.pop()
                running[pool.submit(tile, number)] = number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                parts[number] = future.result()
                done(number)
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    return [parts[number] for number in range(n_tiles)]


def _united(
    parts: list[Part],
    n_rows: int,
    n_cols: int,
    rule: MergeRule,
    pool: ThreadPoolExecutor,
    workers: int,
) -> Union:
    """Join what lies side by side, and settle it; the list is emptied on the way."""
    counts = np.array([part.graph.n_nodes for part in parts], np.int64)
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    if begins[-1] > MOST_OPEN:
        raise DataError(
            f"The tiles leave {begins[-1]:,} segments open, more than int32 counts.",
            mend="Take larger tiles, or segment the image in parts.",
        )
    parents = np.arange(begins[-1], dtype=np.int32)
    pairs = [
        join_seam(
            parents,
            (here.nodes, there.nodes),
            (here.clusters, there.clusters),
            (here.links, there.links),
            directions,
            rule.is_eight,
        )
        for here, there, directions in _seams(parts, begins, n_rows, n_cols)
    ]
    roots = [part.roots for part in parts]
    graph = _together([part.graph for part in parts], begins)
    parts.clear()
    index, nodes, offsets, neighbours = contract(
        graph.nodes,
        graph.offsets,
        graph.neighbours,
        parents,
        np.concatenate([*pairs, np.empty((0, 2), np.int32)]),
        rule.min_size,
    )
    graph = Graph(nodes, offsets, neighbours)
    del nodes, offsets, neighbours, parents, pairs
    found = settle_all(graph, rule, pool, workers)
    firsts = graph.nodes[:, 1]
    is_root = found == np.arange(len(found), dtype=np.int32)
    return Union(roots, begins, firsts[found][index], firsts[is_root])


def _seams(
    parts: Sequence[Part], begins: npt.NDArray[np.int64], n_rows: int, n_cols: int
) -> Iterator[tuple[Edge, Edge, tuple[int, int, int]]]:
    """Yield both sides of each line between tiles, over the whole image, and the directions across.

    Corners, where four tiles meet, are inside a line.
    """

    def line(tiles: range, side: str) -> Edge:
        edges = [getattr(parts[tile].edges, side) for tile in tiles]
        shifted = [
            np.where(edge.nodes > 0, edge.nodes + np.int32(begins[tile]), np.int32(0))
            for tile, edge in zip(tiles, edges, strict=True)
        ]
        return Edge(
            np.concatenate(shifted),
            np.concatenate([edge.clusters for edge in edges]),
            np.concatenate([edge.links for edge in edges]),
        )

    n_tiles = n_rows * n_cols
    for col in range(n_cols - 1):
        here, there = range(col, n_tiles, n_cols), range(col + 1, n_tiles, n_cols)
        yield line(here, "right"), line(there, "left"), _RIGHTWARDS
    for first in range(0, n_tiles - n_cols, n_cols):
        here, there = range(first, first + n_cols), range(first + n_cols, first + 2 * n_cols)
        yield line(here, "bottom"), line(there, "top"), _DOWNWARDS


def _together(graphs: Sequence[Graph], begins: npt.NDArray[np.int64]) -> Graph:
    lengths = np.array([graph.offsets[-1] for graph in graphs], np.int64)
    shifts = np.cumsum(lengths) - lengths
    offsets = [graph.offsets[1:] + shift for graph, shift in zip(graphs, shifts, strict=True)]
    return Graph(
        np.concatenate([graph.nodes for graph in graphs]),
        np.concatenate([np.zeros(1, np.int64), *offsets]),
        np.concatenate(
            [
                graph.neighbours + np.int32(begin)
                for graph, begin in zip(graphs, begins[:-1], strict=True)
            ]
        ),
    )
