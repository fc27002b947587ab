"""The graph of the segments of a part of the image, and what becomes of it.

One idea: a part is *settled* as far as its inside decides; the nodes that are left open make a
smaller graph, and those of all parts together one that is settled for good.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.eliminate import (
    N_PASSES,
    NEVER,
    all_roots,
    choose,
    eliminate_small,
    last_passes,
    merge_chosen,
    take_turn,
)
from swath.segmentation.kernels.graph import number_roots, open_lists

_CHOICES = 2000  # fewer are sooner made than handed to a thread


@dataclass(frozen=True, slots=True)
class MergeRule:
    """When segments are merged.

    Attributes
    ----------
    scale
        Array `(band,)` of float64: spectral units in one step of a band.
    limit
        Square of the largest distance between two means; may be infinite.
    min_size
        Segments of fewer pixels are merged.
    is_eight
        True if pixels that touch at a corner are neighbours.
    """

    scale: npt.NDArray[np.float64]
    limit: float
    min_size: int
    is_eight: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """Segments and who is beside whom.

    Attributes
    ----------
    nodes
        Array `(node, 2 + band)` of int64: pixels; first pixel, as its index in the image in raster
        order; sums of the values of each band.
    offsets, neighbours
        Neighbours of node ``i``, if it is small: ``neighbours[offsets[i]:offsets[i + 1]]``. Arrays
        `(node + 1,)` of int64 and of int32.
    active_from
        Array `(node,)` of int32: time from which a node is as told here, see
        `swath.segmentation.kernels.eliminate`.
    """

    nodes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int32]
    active_from: npt.NDArray[np.int32]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.nodes)

    @property
    def n_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.nodes, self.offsets, self.neighbours, self.active_from)
        return sum(array.nbytes for array in arrays)


@dataclass(frozen=True, slots=True)
class Roots:
    """What the nodes of a part have become.

    Attributes
    ----------
    open_index
        Array `(root,)` of int32: its number among the nodes that are open; -1 if it is final.
    final_firsts
        Array of int64: first pixels of the roots that are final, in their order.
    """

    open_index: npt.NDArray[np.int32]
    final_firsts: npt.NDArray[np.int64]

    @property
    def n_roots(self) -> int:
        """Number of roots."""
        return len(self.open_index)

    def resolve(self, firsts_of_open: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the first pixel of the segment that each root ends in.

        Parameters
        ----------
        firsts_of_open
            Array `(open node,)` of int64: first pixel of what each open node has ended in.
        """
        is_open = self.open_index >= 0
        resolved = np.empty(self.n_roots, np.int64)
        resolved[is_open] = firsts_of_open[self.open_index[is_open]]
        resolved[~is_open] = self.final_firsts
        return resolved


def settle(
    graph: Graph, at_edge: npt.NDArray[np.integer], rule: MergeRule
) -> tuple[npt.NDArray[np.int32], Roots, Graph]:
    """Merge small segments as far as it is certain.

    Parameters
    ----------
    graph
        Of a part of the image; its table of nodes is used up.
    at_edge
        Nodes, 0-based, with neighbours outside the part.
    rule
        When segments are merged.

    Returns
    -------
    index
        Array `(node,)` of int32: the root of each node.
    roots
        The roots.
    rest
        Graph of those that are open.
    """
    open_from = np.full(graph.n_nodes, NEVER, np.int32)
    open_from[at_edge] = 0
    found, next_list = eliminate_small(
        graph.nodes,
        graph.offsets,
        graph.neighbours,
        graph.active_from,
        open_from,
        rule.scale,
        rule.limit,
        rule.min_size,
    )
    index, open_index, _ = number_roots(found, open_from)
    is_root = found == np.arange(graph.n_nodes, dtype=np.int32)
    open_nodes = np.flatnonzero(is_root & (open_from != NEVER))
    offsets, neighbours = open_lists(
        graph.nodes[:, 0],
        graph.offsets,
        graph.neighbours,
        next_list,
        index,
        open_index,
        open_nodes,
        rule.min_size,
    )
    rest = Graph(graph.nodes[open_nodes], offsets, neighbours, open_from[open_nodes])
    final_firsts = graph.nodes[is_root, 1][open_index < 0]
    return index, Roots(open_index, final_firsts), rest


def settle_all(
    graph: Graph, rule: MergeRule, pool: ThreadPoolExecutor, workers: int
) -> npt.NDArray[np.int32]:
    """Merge small segments of a whole image: nothing lies outside, so everything is certain.

    The same as `settle`, with the choices of a pass made by all threads.

    Parameters
    ----------
    graph
        Of the image; its table of nodes is updated.
    rule
        When segments are merged.
    pool, workers
        Threads, and how many.

    Returns
    -------
    numpy.ndarray
        Root of each node, array `(node,)` of int32.
    """
    n, min_size = graph.n_nodes, rule.min_size
    parents = np.arange(n, dtype=np.int32)
    next_list, last_list = np.full(n, -1, np.int32), np.arange(n, dtype=np.int32)
    never_open = np.full(n, NEVER, np.int32)
    last_pass = last_passes(graph.active_from, min_size)
    small = np.flatnonzero(graph.nodes[:, 0] < min_size).astype(np.int32)
    turn, target = np.empty_like(small), np.empty_like(small)
    n_small = len(small)

    def choose_some(begin: int, end: int, time: int) -> None:
        choose(
            turn[begin:end],
            target[begin:end],
            time,
            graph.nodes,
            graph.offsets,
            graph.neighbours,
            parents,
            next_list,
            graph.active_from,
            never_open,
            rule.scale,
            rule.limit,
        )

    for size in range(1, min_size):
        n_turn, n_small = take_turn(size, small[:n_small], graph.nodes, parents, min_size, turn)
        for number in range(N_PASSES):
            if n_turn == 0:
                break
            time = size * N_PASSES + number
            step = max(_CHOICES, -(-n_turn // workers))
            begins = range(0, n_turn, step)
            others = [
                pool.submit(choose_some, begin, min(begin + step, n_turn), time)
                for begin in begins[1:]
            ]
            choose_some(0, min(step, n_turn), time)
            for other in others:
                other.result()
            n_left = merge_chosen(
                turn[:n_turn],
                target[:n_turn],
                time,
                graph.nodes,
                parents,
                next_list,
                last_list,
                graph.active_from,
                never_open,
                min_size,
            )
            has_changed, n_turn = n_left < n_turn, n_left
            if not has_changed and number >= last_pass[size]:
                break
    return all_roots(parents)
