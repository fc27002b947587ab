"""Connected components of a window's core: the clumps, with the single pixels that joined them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.kernels.directions import COLS, N_DIRECTIONS, ROWS

Labels = npt.NDArray[np.int32]


@compiled
def root_of(parents: npt.NDArray[np.int32], node: int) -> int:
    """Return the root of a node in a union-find forest, and halve its path."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@compiled
def is_joined(cluster: int, link: int, other_cluster: int, other_link: int, direction: int) -> bool:
    """Return whether a pixel and its neighbour in a direction belong together; both are valid."""
    return cluster == other_cluster or link == direction + 1 or other_link == 8 - direction


@compiled
def label_components(
    clusters: npt.NDArray[np.int16],
    links: npt.NDArray[np.uint8],
    core: tuple[int, int, int, int],
    is_eight: bool,
) -> tuple[Labels, int]:
    """Label the components of a core, as if nothing lay around it.

    Parameters
    ----------
    clusters, links
        Arrays `(y, x)` of the window, from `nearest_centres` and `absorb_single_pixels`.
    core
        `(row_off, col_off, height, width)` of the core within the window.
    is_eight
        True if diagonal neighbours count.

    Returns
    -------
    labels
        Array `(y, x)` of the core, int32: 1 to ``n`` by the raster order of first pixels, 0 where
        not valid.
    n
        Number of components.
    """
    row_off, col_off, height, width = core
    labels = np.zeros((height, width), np.int32)
    parents = np.empty(height * width + 1, np.int32)
    parents[0] = 0
    n = 0
    for row in range(height):
        for col in range(width):
            cluster = clusters[row_off + row, col_off + col]
            if cluster < 0:
                continue
            link = links[row_off + row, col_off + col]
            own = 0
            for direction in range(4):  # up-left, up, up-right, left: those that have labels
                if not is_eight and direction % 2 == 0:
                    continue
                r, c = row + ROWS[direction], col + COLS[direction]
                if r < 0 or c < 0 or c >= width or labels[r, c] == 0 or labels[r, c] == own:
                    continue
                other = clusters[row_off + r, col_off + c]
                other_link = links[row_off + r, col_off + c]
                if not is_joined(cluster, link, other, other_link, direction):
                    continue
                own = labels[r, c] if own == 0 else _union(parents, own, labels[r, c])
            if own == 0:
                n += 1
                parents[n] = n
                own = n
            labels[row, col] = own
    # A root is the least provisional label of its component, so its first pixel's: in raster order.
    numbers = np.zeros(n + 1, np.int32)
    n_components = 0
    for label in range(1, n + 1):
        root = root_of(parents, label)
        if root == label:
            n_components += 1
            numbers[label] = n_components
        else:
            numbers[label] = numbers[root]
    for row in range(height):
        for col in range(width):
            labels[row, col] = numbers[labels[row, col]]
    return labels, n_components


@compiled
def _union(parents: npt.NDArray[np.int32], one: int, other: int) -> int:
    one, other = root_of(parents, one), root_of(parents, other)
    least, most = min(one, other), max(one, other)
    parents[most] = least
    return least


@compiled
def describe_components(
    labels: Labels,
    values: npt.NDArray[np.int32],
    core: tuple[int, int, int, int],
    origin: tuple[int, int],
    image_width: int,
    n: int,
) -> npt.NDArray[np.int64]:
    """Return size, first pixel and sums of each component: its row of the node table.

    Parameters
    ----------
    labels
        Array `(y, x)` of the core from `label_components`.
    values
        Array `(band, y, x)` of the window.
    core
        `(row_off, col_off, height, width)` of the core within the window.
    origin
        `(row, col)` in the image of the core's first pixel.
    image_width
        Width of the image in pixels.
    n
        Number of components.

    Returns
    -------
    numpy.ndarray
        Array `(component, 2 + band)` of int64: pixels; first pixel as its index in the image in
        raster order; sum of the values of each band.
    """
    row_off, col_off, height, width = core
    n_bands = values.shape[0]
    nodes = np.zeros((n, 2 + n_bands), np.int64)
    for row in range(height):
        for col in range(width):
            node = labels[row, col] - 1
            if node < 0:
                continue
            if nodes[node, 0] == 0:
                nodes[node, 1] = (origin[0] + row) * image_width + origin[1] + col
            nodes[node, 0] += 1
            for band in range(n_bands):
                nodes[node, 2 + band] += values[band, row_off + row, col_off + col]
    return nodes


@compiled
def find_neighbours(
    labels: Labels, sizes: npt.NDArray[np.int64], min_size: int, is_eight: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """List the neighbours of each component that is smaller than `min_size`.

    Parameters
    ----------
    labels
        Array `(y, x)` from `label_components`.
    sizes
        Pixels of each component.
    min_size
        Components of that many pixels need no list.
    is_eight
        True if diagonal neighbours count.

    Returns
    -------
    offsets
        Array `(component + 1,)` of int64: where the list of each component begins and ends.
    neighbours
        Array of int32: indices of components, 0-based, each once in a list.
    """
    n = sizes.size
    ends = np.zeros(n + 1, np.int64)
    _fill_lists(labels, sizes, min_size, is_eight, ends, np.empty(0, np.int32))
    total = 0
    for node in range(n):  # from lengths to begins; they move to the ends while filling
        length = ends[node]
        ends[node] = total
        total += length
    neighbours = np.empty(total, np.int32)
    if total > 0:
        _fill_lists(labels, sizes, min_size, is_eight, ends, neighbours)
    return keep_distinct(ends, neighbours, n)


@compiled
def _fill_lists(
    labels: Labels,
    sizes: npt.NDArray[np.int64],
    min_size: int,
    is_eight: bool,
    ends: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int32],
) -> None:
    """Move the end of a list for each pair of pixels that touch; note who, if there is room."""
    height, width = labels.shape
    is_counting = neighbours.size == 0
    for row in range(height):
        for col in range(width):
            one = labels[row, col] - 1
            if one < 0:
                continue
            is_small = sizes[one] < min_size
            for direction in range(4, N_DIRECTIONS):
                if not is_eight and direction != 4 and direction != 6:
                    continue
                r, c = row + ROWS[direction], col + COLS[direction]
                if r >= height or c < 0 or c >= width:
                    continue
                other = labels[r, c] - 1
                if other < 0 or other == one:
                    continue
                if is_small:
                    if not is_counting:
                        neighbours[ends[one]] = other
                    ends[one] += 1
                if sizes[other] < min_size:
                    if not is_counting:
                        neighbours[ends[other]] = one
                    ends[other] += 1


@compiled
def keep_distinct(
    ends: npt.NDArray[np.int64], neighbours: npt.NDArray[np.int32], n: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Keep each neighbour once in each list; ``ends[i]`` is where list ``i`` of `n` ends."""
    offsets = np.zeros(n + 1, np.int64)
    seen_by = np.full(n, -1, np.int32)
    begin, kept = 0, 0
    for node in range(n):
        for i in range(begin, ends[node]):
            other = neighbours[i]
            if seen_by[other] != node:
                seen_by[other] = node
                neighbours[kept] = other
                kept += 1
        begin = ends[node]
        offsets[node + 1] = kept
    return offsets, neighbours[:kept].copy()
