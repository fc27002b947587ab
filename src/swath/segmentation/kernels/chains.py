"""Outlines of segments in a tile: chains of pixel edges, which go on in the tile next to it.

Each pixel owns those of its four edges that separate it from another segment. An edge is walked
with its pixel on the left, as one sees it on a map with north up, so outer rings go anticlockwise
and holes clockwise. Which edge comes next is told by two pixels; where that edge belongs to a pixel
of another tile, the chain ends with the key of that edge, and the chain there begins with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled

# Headings: 0 to the right, 1 down, 2 to the left, 3 up; `heading + 1` turns right.
_STEP_ROW = np.array([0, 1, 0, -1], np.int64)
_STEP_COL = np.array([1, 0, -1, 0], np.int64)
# Corner of its pixel from which an edge of a heading starts.
_FROM_ROW = np.array([1, 0, 0, 1], np.int64)
_FROM_COL = np.array([0, 0, 1, 1], np.int64)

LABEL, COUNT, START, END, TOUCHES = range(5)
"""Columns of the table of chains."""
CLOSED = -1
"""Start and end of a chain that is a ring by itself."""


@compiled
def trace_chains(
    labels: npt.NDArray[np.int64], origin: tuple[int, int], image_width: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Trace the outlines of all segments in a tile.

    Parameters
    ----------
    labels
        Array `(y + 2, x + 2)` of int64: the tile with the pixels around it; 0 is no segment.
    origin
        `(row, col)` in the image of the tile's first pixel.
    image_width
        Width of the image in pixels.

    Returns
    -------
    vertices
        Array `(vertex, 2)` of int32: `(row, col)` of pixel corners in the image, chain by chain:
        where a chain starts, and where it turns. Where it ends is left out.
    chains
        Array `(chain, 5)` of int64: label; number of vertices; keys of its first edge and of the
        edge that follows it, or `CLOSED`; 1 if it passes a corner at which its segment touches
        itself, else 0.

    Notes
    -----
    Two pixels of a segment that meet at a corner only are walked around one after the other, not
    across the corner.
    """
    height, width = labels.shape[0] - 2, labels.shape[1] - 2
    pending, n_edges, n_starts = _find_edges(labels)
    vertices = np.empty((n_edges, 2), np.int32)
    chains = np.empty((n_starts + n_edges // 4, 5), np.int64)
    n_vertices, n_chains = 0, 0
    for closed in range(2):  # what is left after the open chains are rings
        for row in range(height):
            for col in range(width):
                for heading in range(4):
                    if not pending[row, col] & (1 << heading):
                        continue
                    if closed == 0 and not _is_start(labels, row + 1, col + 1, heading):
                        continue
                    n_vertices = _follow(
                        labels,
                        pending,
                        (row, col, heading),
                        origin,
                        image_width,
                        (vertices, n_vertices),
                        chains[n_chains],
                    )
                    n_chains += 1
    return vertices[:n_vertices].copy(), chains[:n_chains].copy()


@compiled
def _find_edges(labels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.uint8], int, int]:
    """Return the edges of each pixel, a bit for each heading; how many; how many start a chain."""
    height, width = labels.shape[0] - 2, labels.shape[1] - 2
    edges = np.zeros((height, width), np.uint8)
    n_edges, n_starts = 0, 0
    for row in range(height):
        for col in range(width):
            if labels[row + 1, col + 1] == 0:
                continue
            for heading in range(4):
                if _is_edge(labels, row + 1, col + 1, heading):
                    edges[row, col] |= 1 << heading
                    n_edges += 1
                    if _is_start(labels, row + 1, col + 1, heading):
                        n_starts += 1
    return edges, n_edges, n_starts


@compiled
def _is_edge(labels: npt.NDArray[np.int64], row: int, col: int, heading: int) -> bool:
    """Return whether something else lies to the right of a pixel, seen along a heading."""
    right = (heading + 1) % 4
    return bool(labels[row + _STEP_ROW[right], col + _STEP_COL[right]] != labels[row, col])


@compiled
def _is_start(labels: npt.NDArray[np.int64], row: int, col: int, heading: int) -> bool:
    """Return whether the edge before this one belongs to a pixel outside of the tile."""
    own = labels[row, col]
    behind_row, behind_col = row - _STEP_ROW[heading], col - _STEP_COL[heading]
    if labels[behind_row, behind_col] != own:
        return False  # the edge before is this pixel's own
    right = (heading + 1) % 4
    beside_row, beside_col = behind_row + _STEP_ROW[right], behind_col + _STEP_COL[right]
    if labels[beside_row, beside_col] == own:
        return not _is_inside(labels, beside_row, beside_col)
    return not _is_inside(labels, behind_row, behind_col)


@compiled
def _is_inside(labels: npt.NDArray[np.int64], row: int, col: int) -> bool:
    height, width = labels.shape
    return bool(0 < row < height - 1 and 0 < col < width - 1)


@compiled
def _follow(
    labels: npt.NDArray[np.int64],
    pending: npt.NDArray[np.uint8],
    first: tuple[int, int, int],
    origin: tuple[int, int],
    image_width: int,
    written: tuple[npt.NDArray[np.int32], int],
    chain: npt.NDArray[np.int64],
) -> int:
    """Follow a chain from its first edge `(row, col, heading)`; return the vertices by then."""
    vertices, n_before = written
    n = n_before
    row, col, heading = first[0] + 1, first[1] + 1, first[2]
    own = labels[row, col]
    start = _key(row, col, heading, origin, image_width)
    end = start
    came, touches = -1, 0
    while True:
        if heading != came:
            vertices[n, 0] = origin[0] + row - 1 + _FROM_ROW[heading]
            vertices[n, 1] = origin[1] + col - 1 + _FROM_COL[heading]
            n += 1
        pending[row - 1, col - 1] &= ~(1 << heading) & 15
        came = heading
        ahead_row, ahead_col = row + _STEP_ROW[heading], col + _STEP_COL[heading]
        right = (heading + 1) % 4
        beside_row, beside_col = ahead_row + _STEP_ROW[right], ahead_col + _STEP_COL[right]
        beside = labels[beside_row, beside_col] == own
        if labels[ahead_row, ahead_col] != own:
            heading = (heading + 3) % 4
            if beside:
                touches = 1
        elif beside:
            row, col, heading = beside_row, beside_col, right
        else:
            row, col = ahead_row, ahead_col
        end = _key(row, col, heading, origin, image_width)
        if end == start or not _is_inside(labels, row, col):
            break
    chain[LABEL] = own
    chain[COUNT] = n - n_before
    chain[START] = CLOSED if end == start else start
    chain[END] = CLOSED if end == start else end
    chain[TOUCHES] = touches
    return n


@compiled
def _key(row: int, col: int, heading: int, origin: tuple[int, int], image_width: int) -> int:
    """Return the number of an edge in the image, from its pixel in the array with its border."""
    pixel = (origin[0] + row) * (image_width + 2) + origin[1] + col
    return pixel * 4 + heading
