"""Rings from chains of pixel edges: joined, cut where they touch themselves, given to shells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled

Vertices = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]


@compiled
def join_chains(
    vertices: Vertices, begins: Offsets, counts: Offsets, following: Offsets
) -> tuple[Vertices, Offsets, Offsets]:
    """Join chains end to start, and drop vertices at which nothing turns.

    Parameters
    ----------
    vertices
        Array `(vertex, 2)` of int32 as `trace_chains` returns them.
    begins, counts
        First vertex and number of vertices of each chain.
    following
        Index of the chain that goes on where each one ends; its own index closes a ring.

    Returns
    -------
    vertices
        Array `(vertex, 2)` of int32, ring by ring, the first vertex not repeated at the end.
    offsets
        Array `(ring + 1,)`: where each ring begins and ends.
    chains
        Array `(ring,)`: the first chain of each ring; they ascend.
    """
    n_chains = begins.size
    joined = np.empty((vertices.shape[0], 2), np.int32)
    offsets = np.zeros(n_chains + 1, np.int64)
    firsts = np.empty(n_chains, np.int64)
    is_used = np.zeros(n_chains, np.bool_)
    n_rings, n = 0, 0
    for first in range(n_chains):
        if is_used[first]:
            continue
        begin, chain = n, first
        while not is_used[chain]:
            is_used[chain] = True
            for i in range(begins[chain], begins[chain] + counts[chain]):
                joined[n, 0] = vertices[i, 0]
                joined[n, 1] = vertices[i, 1]
                n += 1
            chain = following[chain]
        n = _drop_straight(joined, begin, n)
        firsts[n_rings] = first
        n_rings += 1
        offsets[n_rings] = n
    return joined[:n].copy(), offsets[: n_rings + 1].copy(), firsts[:n_rings].copy()


@compiled
def _drop_straight(points: Vertices, begin: int, end: int) -> int:
    """Drop, in place, the vertices of a ring at which nothing turns; return its new end."""
    last_row, last_col = points[end - 1, 0], points[end - 1, 1]
    first_row, first_col = points[begin, 0], points[begin, 1]
    n = begin
    for i in range(begin, end):
        row, col = points[i, 0], points[i, 1]
        if i + 1 < end:
            next_row, next_col = points[i + 1, 0], points[i + 1, 1]
        else:
            next_row, next_col = first_row, first_col
        is_straight = (last_row == row == next_row) or (last_col == col == next_col)
        last_row, last_col = row, col
        if not is_straight:
            points[n, 0] = row
            points[n, 1] = col
            n += 1
    return n


@compiled
def cut_at_touches(
    vertices: Vertices, offsets: Offsets, touches: npt.NDArray[np.bool_]
) -> tuple[Vertices, Offsets, Offsets]:
    """Cut rings that pass a vertex twice into rings that do not.

    Parameters
    ----------
    vertices, offsets
        Rings from `join_chains`.
    touches
        Array `(ring,)` of bool: rings that may pass a vertex twice.

    Returns
    -------
    vertices, offsets
        The rings, each beginning with its uppermost vertex, the leftmost of these.
    sources
        Array `(ring,)`: from which ring each one was cut; they ascend.

    Notes
    -----
    A ring keeps one side on its left and never crosses itself, so the parts do not depend on where
    it begins.
    """
    n_rings = touches.size
    cut = np.empty((vertices.shape[0], 2), np.int32)
    ends = np.zeros(vertices.shape[0] // 4 + 1, np.int64)
    sources = np.empty(vertices.shape[0] // 4, np.int64)
    n_cut, n = 0, 0
    for ring in range(n_rings):
        points = vertices[offsets[ring] : offsets[ring + 1]]
        length = points.shape[0]
        if not touches[ring]:
            _rotate_into(cut, n, points)
            n += length
            sources[n_cut] = ring
            n_cut += 1
            ends[n_cut] = n
            continue
        twins = _twins(points)
        at = np.full(length, -1, np.int64)  # where on the stack a vertex is
        stack = np.empty(length, np.int64)
        depth = 0
        for i in range(length):
            if twins[i] >= 0 and at[twins[i]] >= 0:
                begin = at[twins[i]]
                loop = stack[begin:depth]
                for vertex in loop:
                    at[vertex] = -1
                _rotate_into(cut, n, points[loop])
                n += depth - begin
                sources[n_cut] = ring
                n_cut += 1
                ends[n_cut] = n
                depth = begin
            stack[depth] = i
            at[i] = depth
            depth += 1
        _rotate_into(cut, n, points[stack[:depth]])
        n += depth
        sources[n_cut] = ring
        n_cut += 1
        ends[n_cut] = n
    return cut[:n].copy(), ends[: n_cut + 1].copy(), sources[:n_cut].copy()


@compiled
def _twins(points: Vertices) -> npt.NDArray[np.int64]:
    """Return, for each vertex, the index of the other one at the same place; -1 without one."""
    length = points.shape[0]
    places = np.empty(length, np.int64)
    for i in range(length):
        places[i] = np.int64(points[i, 0]) * 4294967296 + np.int64(points[i, 1])
    order = np.argsort(places)
    twins = np.full(length, -1, np.int64)
    for i in range(1, length):
        one, other = order[i - 1], order[i]
        if places[one] == places[other]:
            twins[one] = other
            twins[other] = one
    return twins


@compiled
def _rotate_into(target: Vertices, begin: int, points: Vertices) -> None:
    """Copy a ring so that it begins with its uppermost vertex, the leftmost of these."""
    length = points.shape[0]
    first = 0
    for i in range(1, length):
        if points[i, 0] < points[first, 0] or (
            points[i, 0] == points[first, 0] and points[i, 1] < points[first, 1]
        ):
            first = i
    for i in range(length):
        source = first + i if first + i < length else first + i - length
        target[begin + i, 0] = points[source, 0]
        target[begin + i, 1] = points[source, 1]


@compiled
def shells_of_rings(vertices: Vertices, offsets: Offsets, groups: Offsets) -> Offsets:
    """Return for each ring the ring that is its shell: its own index for a shell.

    Parameters
    ----------
    vertices, offsets
        Rings from `cut_at_touches`.
    groups
        Array `(ring,)`: number of the segment of each ring; they ascend.

    Notes
    -----
    The shell of a hole is the smallest one of its segment around the pixel above the hole's first
    corner, which is one of the segment. The largest one whose box has that pixel is not asked: one
    of them must be it.
    """
    n_rings = groups.size
    areas = np.empty(n_rings, np.int64)
    boxes = np.empty((n_rings, 4), np.int64)
    for ring in range(n_rings):
        areas[ring] = _signed_area(vertices, offsets[ring], offsets[ring + 1], boxes[ring])
    owners = np.empty(n_rings, np.int64)
    begin = 0
    while begin < n_rings:
        end = begin
        while end < n_rings and groups[end] == groups[begin]:
            end += 1
        by_area = begin + np.argsort(areas[begin:end])
        n_holes = 0
        while areas[by_area[n_holes]] < 0:
            n_holes += 1
        shells = by_area[n_holes:]
        for ring in range(begin, end):
            if areas[ring] > 0:
                owners[ring] = ring
            else:
                row, col = vertices[offsets[ring], 0] - 1, vertices[offsets[ring], 1]
                owners[ring] = _shell_around(vertices, offsets, boxes, shells, row, col)
        begin = end
    return owners


@compiled
def _signed_area(vertices: Vertices, begin: int, end: int, box: npt.NDArray[np.int64]) -> int:
    """Return the area in pixels, negative for a hole; fill the box `(top, left, bottom, right)`."""
    box[0], box[1] = vertices[begin, 0], vertices[begin, 1]
    box[2], box[3] = vertices[begin, 0], vertices[begin, 1]
    area = 0
    last = end - 1
    for i in range(begin, end):
        row, col = np.int64(vertices[i, 0]), np.int64(vertices[i, 1])
        # An edge down has the pixels of its segment to the right of it, an edge up to the left.
        area -= int((row - np.int64(vertices[last, 0])) * col)
        last = i
        box[0], box[1] = min(box[0], row), min(box[1], col)
        box[2], box[3] = max(box[2], row), max(box[3], col)
    return area


@compiled
def _shell_around(
    vertices: Vertices,
    offsets: Offsets,
    boxes: npt.NDArray[np.int64],
    shells: Offsets,
    row: int,
    col: int,
) -> int:
    """Return the smallest of the shells, which ascend by area, around a pixel."""
    chosen = -1
    for shell in shells:
        top, left, bottom, right = boxes[shell]
        if not (top <= row < bottom and left <= col < right):
            continue
        if chosen >= 0 and _is_around(vertices, offsets[chosen], offsets[chosen + 1], row, col):
            return chosen
        chosen = shell
    return chosen


@compiled
def _is_around(vertices: Vertices, begin: int, end: int, row: int, col: int) -> bool:
    """Return whether a ring is around a pixel: an odd number of its edges is to the left of it."""
    is_odd = False
    last = end - 1
    for i in range(begin, end):
        if vertices[i, 1] <= col and vertices[i, 1] == vertices[last, 1]:
            low, high = vertices[last, 0], vertices[i, 0]
            if min(low, high) <= row < max(low, high):
                is_odd = not is_odd
        last = i
    return is_odd
