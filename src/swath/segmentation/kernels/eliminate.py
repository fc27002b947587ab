"""Elimination of small segments on a graph, as far as it is certain.

The graph is that of a part of the image: a tile, or several that were put together. What lies
outside is not known, so a node that it could reach is *opened*: it is left as it is from then on,
for a larger part to go on with. Everything else is decided here, exactly as on the whole image. A
part that is the whole image opens nothing.

A node is opened, at a pass of a size, when

- it touches the edge of the part, beyond which there are pixels (at the very begin);
- it is its turn, and one of its neighbours is open: that one's mean and size are not known;
- it is larger than the size whose turn it is, and an open neighbour of that size might choose it.

So whatever an open node may do from then on, it does to open nodes; and what is not open is not
touched by any. A node that a smaller part had opened is not looked at before that pass.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.kernels.components import root_of

Nodes = npt.NDArray[np.int64]
Times = npt.NDArray[np.int32]

N_PASSES = 10
"""Most passes for one size."""

NEVER = 2**31 - 1
"""A time that does not come. Times count passes: ``size * N_PASSES + pass``."""


@compiled
def eliminate_small(
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    active_from: Times,
    open_from: Times,
    scale: npt.NDArray[np.float64],
    limit: float,
    min_size: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Merge segments that are smaller than `min_size`, smallest first, into their nearest.

    Parameters
    ----------
    nodes
        Array `(node, 2 + band)` of int64: pixels, first pixel, sums; rows of roots are updated.
    offsets, neighbours
        Lists of the neighbours of nodes smaller than `min_size`.
    active_from
        Array `(node,)` of int32: time at which a node is as `nodes` tells; before, it is smaller
        than every node that could look at it.
    open_from
        Array `(node,)` of int32: 0 for nodes at the edge of the part, else `NEVER`; filled with the
        times at which nodes are opened.
    scale
        Array `(band,)` of float64: spectral units in one step of a band.
    limit
        Square of the largest distance of means that are merged; may be infinite.
    min_size
        Segments of that many pixels are left alone.

    Returns
    -------
    roots
        Root of each node, array `(node,)` of int32.
    next_list
        Array `(node,)` of int32: the node whose list of neighbours also counts for this one, since
        it was merged into it; -1 at the end.
    """
    n = nodes.shape[0]
    parents = np.arange(n).astype(np.int32)
    next_list = np.full(n, -1, np.int32)
    last_list = np.arange(n).astype(np.int32)
    has_spread = np.zeros(n, np.bool_)
    has_open = (open_from != NEVER).any()
    last_pass = last_passes(active_from, min_size)
    small = np.flatnonzero(nodes[:, 0] < min_size).astype(np.int32)
    n_small = small.size
    turn = np.empty(n_small, np.int32)
    target = np.empty(n_small, np.int32)
    for size in range(1, min_size):
        n_turn, n_small = take_turn(size, small[:n_small], nodes, parents, min_size, turn)
        for number in range(N_PASSES):
            if n_turn == 0:
                break
            time = size * N_PASSES + number
            choose(
                turn[:n_turn], target[:n_turn], time, nodes, offsets, neighbours, parents,
                next_list, active_from, open_from, scale, limit,
            )  # fmt: skip
            if has_open:
                _open_reached(
                    turn[:n_turn], time, nodes, offsets, neighbours, parents, next_list,
                    active_from, open_from, has_spread,
                )  # fmt: skip
            n_left = merge_chosen(
                turn[:n_turn], target[:n_turn], time, nodes, parents, next_list, last_list,
                active_from, open_from, min_size,
            )  # fmt: skip
            # Those that found nobody find nobody again, unless something has changed since.
            has_changed = n_left < n_turn
            n_turn = n_left
            if not has_changed and number >= last_pass[size]:
                break
    return all_roots(parents), next_list


@compiled
def all_roots(parents: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the root of each node of a union-find forest; `parents` is updated to it."""
    for node in range(parents.size):
        parents[node] = root_of(parents, node)
    return parents


@compiled
def last_passes(active_from: Times, min_size: int) -> npt.NDArray[np.int32]:
    """Return, for each size, the last pass from which a node is to be looked at."""
    found = np.zeros(min_size + 1, np.int32)
    for node in range(active_from.size):
        size = active_from[node] // N_PASSES
        if size < min_size:
            found[size] = max(found[size], active_from[node] % N_PASSES)
    return found


@compiled
def take_turn(
    size: int,
    small: npt.NDArray[np.int32],
    nodes: Nodes,
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
        if parents[node] != node or nodes[node, 0] < size or nodes[node, 0] >= min_size:
            continue
        if nodes[node, 0] == size:
            turn[n_turn] = node
            n_turn += 1
        else:
            small[n_small] = node
            n_small += 1
    return n_turn, n_small


@compiled
def choose(
    turn: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    time: int,
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    active_from: Times,
    open_from: Times,
    scale: npt.NDArray[np.float64],
    limit: float,
) -> None:
    """Find the target of each node whose turn it is; nothing changes but the lengths of paths.

    Parts of `turn` may be done by several threads at once: a path to a root is only ever shortened.
    """
    for i in range(turn.size):
        node = turn[i]
        if active_from[node] <= time and open_from[node] > time:
            target[i] = _choice(
                node, time, nodes, offsets, neighbours, parents, next_list, active_from, scale,
                limit,
            )  # fmt: skip


@compiled
def merge_chosen(
    turn: npt.NDArray[np.int32],
    target: npt.NDArray[np.int32],
    time: int,
    nodes: Nodes,
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    last_list: npt.NDArray[np.int32],
    active_from: Times,
    open_from: Times,
    min_size: int,
) -> int:
    """Merge nodes into their targets; return how many are left for the next pass, in `turn`."""
    n_left = 0
    for i in range(turn.size):
        node = turn[i]
        is_waiting = active_from[node] > time
        if is_waiting or (open_from[node] > time and target[i] == _NOBODY):
            turn[n_left] = node
            n_left += 1
        elif open_from[node] > time:
            _merge(node, target[i], nodes, parents, next_list, last_list, min_size)
    return n_left


_NOBODY = -1


@compiled
def _choice(
    node: int,
    time: int,
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    active_from: Times,
    scale: npt.NDArray[np.float64],
    limit: float,
) -> int:
    """Return the neighbour that a node merges into, or `_NOBODY`."""
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
            if other_size <= size or active_from[other] > time:
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
def _open_reached(
    turn: npt.NDArray[np.int32],
    time: int,
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    active_from: Times,
    open_from: Times,
    has_spread: npt.NDArray[np.bool_],
) -> None:
    """Open all whose turn it is that open nodes reach, and what these might choose."""
    n_turn = turn.size
    is_settled, is_forward = False, True
    while not is_settled:
        is_settled = True
        for i in range(n_turn):  # forth and back, so that it spreads both ways
            node = turn[i if is_forward else n_turn - 1 - i]
            if active_from[node] > time or has_spread[node]:
                continue
            if open_from[node] > time:
                if not _touches_open(
                    node, time, offsets, neighbours, parents, next_list, open_from
                ):  # fmt: skip
                    continue
                open_from[node] = time
            is_settled = False
            has_spread[node] = True
            _spread(
                node, time, nodes, offsets, neighbours, parents, next_list,
                active_from, open_from,
            )  # fmt: skip
        is_forward = not is_forward


@compiled
def _touches_open(
    node: int,
    time: int,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    open_from: Times,
) -> bool:
    listed = node
    while listed >= 0:
        for i in range(offsets[listed], offsets[listed + 1]):
            if open_from[root_of(parents, neighbours[i])] <= time:
                return True
        listed = next_list[listed]
    return False


@compiled
def _spread(
    node: int,
    time: int,
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    active_from: Times,
    open_from: Times,
) -> None:
    """Open what an open node might choose in its turn."""
    size = nodes[node, 0]
    listed = node
    while listed >= 0:
        for i in range(offsets[listed], offsets[listed + 1]):
            other = root_of(parents, neighbours[i])
            if other != node and nodes[other, 0] > size:
                open_from[other] = min(open_from[other], max(time, active_from[other]))
        listed = next_list[listed]


@compiled
def _merge(
    node: int,
    target: int,
    nodes: Nodes,
    parents: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    last_list: npt.NDArray[np.int32],
    min_size: int,
) -> None:
    parents[node] = target
    nodes[target, 0] += nodes[node, 0]
    nodes[target, 1] = min(nodes[target, 1], nodes[node, 1])
    for column in range(2, nodes.shape[1]):
        nodes[target, column] += nodes[node, column]
    if nodes[target, 0] < min_size:  # else nobody will ask for its neighbours any more
        next_list[last_list[target]] = node
        last_list[target] = last_list[node]
