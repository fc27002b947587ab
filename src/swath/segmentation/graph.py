"""The graph of the segments of a part of the image, and what becomes of it.

One idea: a part is *settled* as far as its inside decides; the nodes that are left open make a
smaller graph, and those of all parts together one that is settled for good.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.eliminate import (
    N_PASSES,
    all_roots,
    choose,
    merge_chosen,
    open_reached,
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
    """

    nodes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int32]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.nodes)


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
    is_open = np.zeros(graph.n_nodes, np.bool_)
    is_open[at_edge] = True
    parents, next_list = eliminate(graph, is_open, rule)
    index, open_index, _ = number_roots(parents, is_open)
    is_root = parents == np.arange(graph.n_nodes, dtype=np.int32)
    open_nodes = np.flatnonzero(is_root & is_open)
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
    rest = Graph(graph.nodes[open_nodes], offsets, neighbours)
    final_firsts = graph.nodes[is_root, 1][open_index < 0]
    return index, Roots(open_index, final_firsts), rest


def settle_all(
    graph: Graph, rule: MergeRule, pool: ThreadPoolExecutor, workers: int
) -> npt.NDArray[np.int32]:
    """Merge small segments of a whole image: nothing lies outside, so everything is certain.

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

    def share(choose_some: Callable[[int, int], None], n: int) -> None:
        step = max(_CHOICES, -(-n // workers))
        others = [
            pool.submit(choose_some, begin, min(begin + step, n)) for begin in range(step, n, step)
        ]
        choose_some(0, min(step, n))
        for other in others:
            other.result()

    return eliminate(graph, None, rule, share)[0]


def _at_once(choose_some: Callable[[int, int], None], n: int) -> None:
    choose_some(0, n)


def eliminate(
    graph: Graph,
    is_open: npt.NDArray[np.bool_] | None,
    rule: MergeRule,
    share: Callable[[Callable[[int, int], None], int], None] = _at_once,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Merge what is not open, smallest first; all choices of a pass are made before any counts.

    Parameters
    ----------
    graph
        Its table of nodes is updated.
    is_open
        Array `(node,)` of bool, updated; None: nothing is.
    rule
        When segments are merged.
    share
        Given a function and a count, calls it for ranges that cover the count.

    Returns
    -------
    roots, next_list
        See `swath.segmentation.kernels.eliminate`.
    """
    n, min_size = graph.n_nodes, rule.min_size
    lists = graph.offsets, graph.neighbours
    parents = np.arange(n, dtype=np.int32)
    next_list, last_list = np.full(n, -1, np.int32), np.arange(n, dtype=np.int32)
    sizes = graph.nodes[:, 0].copy()
    small = np.flatnonzero(sizes < min_size).astype(np.int32)
    turn, target = np.empty_like(small), np.empty_like(small)
    n_small = len(small)

    def choose_some(begin: int, end: int) -> None:
        some = turn[begin:end], target[begin:end]
        choose(*some, graph.nodes, *lists, parents, next_list, rule.scale, rule.limit)

    for size in range(1, min_size):
        n_turn, n_small = take_turn(size, small[:n_small], sizes, parents, min_size, turn)
        if is_open is not None and n_turn:
            n_turn = open_reached(turn[:n_turn], graph.nodes, *lists, parents, next_list, is_open)
        for _ in range(N_PASSES):
            if not n_turn:
                break
            share(choose_some, n_turn)
            some = turn[:n_turn], target[:n_turn]
            n_left = merge_chosen(
                *some, graph.nodes, sizes, parents, next_list, last_list, min_size
            )
            if n_left == n_turn:  # whoever found nobody finds nobody again
                break
            n_turn = n_left
    all_roots(parents)
    return parents, next_list
