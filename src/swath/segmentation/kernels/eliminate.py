"""Elimination of small segments on a graph: the work of one pass.

The passes themselves are led by `swath.segmentation.graph`. A node is a segment, and a row of the
table of nodes; those that merged point to their target in a union-find forest.

Where the graph is that of a part of the image, what lies outside is not known, so a node that it
could reach is *opened*: it is left as it is from then on. A node is opened when

- it touches the edge of the part, beyond which there are pixels (at the very begin);
- it is its turn, and one of its neighbours is open: that one's mean and size are not known;
- it is larger than the size whose turn it is, and an open neighbour of that size might choose it.

So whatever an open node may do from then on, it does to open nodes, and what is not open is not
touched by any. Nothing is opened after the first pass of a size, since all that an open node
reaches in that pass is opened at once. And a node that was opened late was never looked at by an
open one before: that one would have opened it in its own turn, had it been larger; had it been as
large, it would have been opened, too; and what is smaller than the size whose turn it is grows no
more, so that it is never opened at all. That is why nobody has to know *when* a node was opened.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.kernels.components import root_of

Nodes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

N_PASSES = 10
"""Most passes for one size."""

_NOBODY = -1


@compiled
def take_turn(
    size: int,
    small: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int64],
    parents: npt.NDArray[np.int32],
    min_size: int,
    turn: npt.NDArray[np.int32],
) -> tuple[int, int]:
    """Gather the roots of a size into `turn`, and keep larger ones, still small, in `small`.

    Returns
    -------
    n_turn, n_small
        How many there are of either.
    """
    n_turn, n_small = 0, 0
    for i in range(small.size):
        node = small[i]
        if parents[node] != node or sizes[node] < size or sizes[node] >= min_size:
            continue
        if sizes[node] == size:
            turn[n_turn] = node
            n_turn += 1
        else:
            small[n_small] = node
            n_small += 1
    return n_turn, n_small


@compiled
def open_reached(
    turn: npt.NDArray[np.int32],
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    is_open: Flags,
) -> int:
    """Open all whose turn it is that open nodes reach, and what these might choose.

    Parameters
    ----------
    turn
        Array `(turn,)` of int32: nodes of one size; those that are not open are moved to the front.
    nodes, offsets, neighbours
        A graph, see `swath.segmentation.graph.Graph`.
    parents
        Union-find forest of the nodes.
    next_list
        Array `(node,)` of int32: the node whose list of neighbours also counts for this one, since
        it was merged into it; -1 at the end.
    is_open
        Array `(node,)` of bool.

    Returns
    -------
    int
        How many are not open.
    """
    n_turn = turn.size
    has_spread = np.zeros(n_turn, np.bool_)
    is_settled, is_forward = False, True
    while not is_settled:
        is_settled = True
        for step in range(n_turn):  # forth and back, so that it spreads both ways
            i = step if is_forward else n_turn - 1 - step
            node = turn[i]
            if has_spread[i]:
                continue
            if not is_open[node] and not _touches_open(
                node, offsets, neighbours, parents, next_list, is_open
            ):
                continue
            is_open[node] = True
            has_spread[i] = True
            is_settled = False
            _spread(node, nodes, offsets, neighbours, parents, next_list, is_open)
        is_forward = not is_forward
    n_left = 0
    for i in range(n_turn):
        if not has_spread[i]:
            turn[n_left] = turn[i]
            n_left += 1
    return n_left


@compiled
def _touches_open(
    node: int,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    is_open: Flags,
) -> bool:
    listed = node
    while listed >= 0:
        for i in range(offsets[listed], offsets[listed + 1]):
            if is_open[root_of(parents, neighbours[i])]:
                return True
        listed = next_list[listed]
    return False


@compiled
def _spread(
    node: int,
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    is_open: Flags,
) -> None:
    """Open what an open node might choose in its turn."""
    listed = node
    while listed >= 0:
        for i in range(offsets[listed], offsets[listed + 1]):
            other = root_of(parents, neighbours[i])
            if nodes[other, 0] > nodes[node, 0]:
                is_open[other] = True
        listed = next_list[listed]


@compiled
def choose(
    turn: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    scale: npt.NDArray[np.float64],
    limit: float,
) -> None:
    """Find the neighbour that each node merges into: of the larger ones, that of the nearest mean.

    Parts of `turn` may be done by several threads at once: nothing changes but the lengths of paths
    to roots, and these are only ever shortened.

    Parameters
    ----------
    turn
        Array `(turn,)` of int32: nodes of one size, none of them open or beside an open one.
    target
        Array `(turn,)` of int32, filled: a node, or -1.
    nodes, offsets, neighbours, parents, next_list
        See `open_reached`.
    scale
        Array `(band,)` of float64: spectral units in one step of a band.
    limit
        Square of the largest distance of means that are merged; may be infinite.
    """
    for i in range(turn.size):
        target[i] = _choice(turn[i], nodes, offsets, neighbours, parents, next_list, scale, limit)


@compiled
def _choice(
    node: int,
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    scale: npt.NDArray[np.float64],
    limit: float,
) -> int:
    size = nodes[node, 0]
    nearest, chosen, last = limit, _NOBODY, node
    listed = node
    while listed >= 0:
        for i in range(offsets[listed], offsets[listed + 1]):
            other = root_of(parents, neighbours[i])
            if other == node or other == chosen or other == last:
                continue
            last = other
            other_size = nodes[other, 0]
            if other_size <= size:
                continue
            distance = 0.0
            for band in range(scale.size):
                mean, other_mean = nodes[node, 2 + band] / size, nodes[other, 2 + band] / other_size
                difference = scale[band] * (other_mean - mean)
                distance += difference * difference
                if distance > nearest:  # it only grows
                    break
            if distance > nearest:
                continue
            if distance < nearest or chosen < 0 or nodes[other, 1] < nodes[chosen, 1]:
                nearest, chosen = distance, other
        listed = next_list[listed]
    return chosen


@compiled
def merge_chosen(
    turn: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    nodes: Nodes,
    sizes: npt.NDArray[np.int64],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    last_list: npt.NDArray[np.int32],
    min_size: int,
) -> int:
    """Merge nodes into their targets; those that have none are moved to the front of `turn`.

    Parameters
    ----------
    turn, target, nodes, parents, next_list
        See `choose`; the rows of targets become those of both.
    sizes
        Array `(node,)` of int64: the pixels of `nodes` by themselves, which fewer reads find.
    last_list
        Array `(node,)` of int32: the last node in the chain of `next_list`.
    min_size
        Segments of that many pixels need no lists of neighbours any more.

    Returns
    -------
    int
        How many have no target.
    """
    n_left = 0
    for i in range(turn.size):
        node, other = turn[i], target[i]
        if other == _NOBODY:
            turn[n_left] = node
            n_left += 1
            continue
        parents[node] = other
        nodes[other, 0] += nodes[node, 0]
        sizes[other] = nodes[other, 0]
        nodes[other, 1] = min(nodes[other, 1], nodes[node, 1])
        for column in range(2, nodes.shape[1]):
            nodes[other, column] += nodes[node, column]
        if nodes[other, 0] < min_size:
            next_list[last_list[other]] = node
            last_list[other] = last_list[node]
    return n_left


@compiled
def all_roots(parents: npt.NDArray[np.int32]) -> None:
    """Let each node of a union-find forest point to its root."""
    for node in range(parents.size):
        parents[node] = root_of(parents, node)
