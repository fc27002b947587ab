"""Taking graphs of segments apart, and putting them together along a seam."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.kernels.components import is_joined, keep_distinct, root_of
from swath.segmentation.kernels.eliminate import Flags, Nodes


@compiled
def number_roots(
    roots: npt.NDArray[np.int32], is_open: Flags
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], int]:
    """Give numbers to the roots of a part, and to those of them that are open.

    Parameters
    ----------
    roots
        Root of each node.
    is_open
        Array `(node,)` of bool.

    Returns
    -------
    index
        Array `(node,)` of int32: number of each node's root, 0-based.
    open_index
        Array `(root,)` of int32: number among the open roots, -1 for those that are final.
    n_open
        Number of open roots.
    """
    n = roots.size
    index = np.empty(n, np.int32)
    n_roots = 0
    for node in range(n):
        if roots[node] == node:
            index[node] = n_roots
            n_roots += 1
    open_index = np.full(n_roots, -1, np.int32)
    n_open = 0
    for node in range(n):
        if roots[node] != node:
            index[node] = index[roots[node]]
        elif is_open[node]:
            open_index[index[node]] = n_open
            n_open += 1
    return index, open_index, n_open


@compiled
def open_lists(
    sizes: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    next_list: npt.NDArray[np.int32],
    index: npt.NDArray[np.int32],
    open_index: npt.NDArray[np.int32],
    open_nodes: npt.NDArray[np.int64],
    min_size: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """List the open neighbours of the open roots that are smaller than `min_size`.

    Parameters
    ----------
    sizes
        Pixels of each node.
    offsets, neighbours, next_list
        Lists of the part, see `swath.segmentation.kernels.eliminate`.
    index, open_index
        From `number_roots`.
    open_nodes
        The open roots, in order.
    min_size
        Larger nodes need no list.

    Returns
    -------
    offsets, neighbours
        As in `find_neighbours`, by numbers of open roots.
    """
    n_open = open_nodes.size
    ends = np.zeros(n_open + 1, np.int64)
    total = 0
    for own in range(n_open):
        listed = open_nodes[own]
        if sizes[listed] < min_size:
            while listed >= 0:
                total += offsets[listed + 1] - offsets[listed]
                listed = next_list[listed]
    found = np.empty(total, np.int32)
    n_found = 0
    for own in range(n_open):
        listed = open_nodes[own]
        if sizes[listed] < min_size:
            while listed >= 0:
                for i in range(offsets[listed], offsets[listed + 1]):
                    other = open_index[index[neighbours[i]]]
                    if other >= 0 and other != own:
                        found[n_found] = other
                        n_found += 1
                listed = next_list[listed]
        ends[own] = n_found
    return keep_distinct(ends, found, n_open)


@compiled
def join_seam(
    parents: npt.NDArray[np.int32],
    nodes: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    clusters: tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]],
    links: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    directions: tuple[int, int, int],
    is_eight: bool,
) -> npt.NDArray[np.int32]:
    """Join nodes that are one across a seam, and list those that are neighbours across it.

    Parameters
    ----------
    parents
        Union-find forest of all nodes, array `(node,)` of int32; roots are the least of theirs.
    nodes, clusters, links
        Of the pixels along the seam, on its left or upper side and on the other one. Nodes are
        1-based, 0 where there is none.
    directions
        Directions from a pixel to those across that lie one back, opposite, and one on.
    is_eight
        True if diagonal neighbours count.

    Returns
    -------
    numpy.ndarray
        Array `(pair, 2)` of int32: nodes, 0-based, that touch across the seam.
    """
    length = nodes[0].size
    pairs = np.empty((3 * length, 2), np.int32)
    n_pairs = 0
    for i in range(length):
        one = nodes[0][i] - 1
        if one < 0:
            continue
        for step in range(-1, 2):
            j = i + step
            if (step != 0 and not is_eight) or j < 0 or j >= length or nodes[1][j] == 0:
                continue
            other = nodes[1][j] - 1
            if is_joined(
                clusters[0][i], links[0][i], clusters[1][j], links[1][j], directions[step + 1]
            ):
                a, b = root_of(parents, one), root_of(parents, other)
                parents[max(a, b)] = min(a, b)
            else:
                pairs[n_pairs, 0], pairs[n_pairs, 1] = one, other
                n_pairs += 1
    return pairs[:n_pairs].copy()


@compiled
def contract(
    nodes: Nodes,
    offsets: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
    parents: npt.NDArray[np.int32],
    pairs: npt.NDArray[np.int32],
    min_size: int,
) -> tuple[npt.NDArray[np.int32], Nodes, npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Make one node of those that have one root, and neighbours of those that touch.

    Parameters
    ----------
    nodes, offsets, neighbours
        A graph, see `swath.segmentation.graph.Graph`.
    parents, pairs
        From `join_seam`.
    min_size
        Larger nodes need no list.

    Returns
    -------
    index
        Array `(node,)` of int32: the new number of each node.
    nodes, offsets, neighbours
        The new graph.
    """
    n = parents.size
    index = np.empty(n, np.int32)
    n_new = 0
    for node in range(n):
        root = root_of(parents, node)
        if root == node:
            index[node] = n_new
            n_new += 1
        else:
            index[node] = index[root]  # a root comes before what it stands for
    rows = np.zeros((n_new, nodes.shape[1]), np.int64)
    for node in range(n):
        own = index[node]
        rows[own, 1] = nodes[node, 1] if rows[own, 0] == 0 else min(rows[own, 1], nodes[node, 1])
        rows[own, 0] += nodes[node, 0]
        for column in range(2, nodes.shape[1]):
            rows[own, column] += nodes[node, column]

    ends = np.zeros(n_new + 1, np.int64)
    for node in range(n):
        if rows[index[node], 0] < min_size:
            ends[index[node]] += offsets[node + 1] - offsets[node]
    for i in range(pairs.shape[0]):
        for side in range(2):
            own = index[pairs[i, side]]
            if rows[own, 0] < min_size:
                ends[own] += 1
    total = 0
    for own in range(n_new):  # from lengths to begins; they move to the ends while filling
        length = ends[own]
        ends[own] = total
        total += length
    found = np.empty(total, np.int32)
    for node in range(n):
        own = index[node]
        if rows[own, 0] < min_size:
            for i in range(offsets[node], offsets[node + 1]):
                found[ends[own]] = index[neighbours[i]]
                ends[own] += 1
    for i in range(pairs.shape[0]):
        for side in range(2):
            own = index[pairs[i, side]]
            if rows[own, 0] < min_size:
                found[ends[own]] = index[pairs[i, 1 - side]]
                ends[own] += 1
    new_offsets, new_neighbours = keep_distinct(ends, found, n_new)
    return index, rows, new_offsets, new_neighbours
