"""Graphs are taken apart, and put together along a seam."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from swath.segmentation.kernels.graph import contract, join_seam, number_roots, open_lists

RIGHTWARDS = (2, 4, 7)


def _int32(values: list[int]) -> npt.NDArray[np.int32]:
    return np.array(values, np.int32)


def _sets(offsets: npt.NDArray[np.int64], members: npt.NDArray[np.int32]) -> list[set[int]]:
    lists = [members[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert all(len(each) == len(set(each)) for each in lists)
    return [set(each) for each in lists]


def test_roots_and_open_roots_are_numbered_in_order() -> None:
    roots = _int32([0, 3, 0, 3, 4])
    index, open_index, n_open = number_roots(roots, np.array([True, False, False, False, True]))
    assert index.tolist() == [0, 1, 0, 1, 2], "also that of node 1, which is before its root"
    assert open_index.tolist() == [0, -1, 1]
    assert n_open == 2


def test_open_lists_hold_the_open_neighbours_of_all_members() -> None:
    """Nodes 0 and 1 are one; its neighbours are 2, which is final, and 3, which is open."""
    arguments = {
        "sizes": np.array([5, 1, 3, 9]),
        "offsets": np.array([0, 1, 3, 4, 5]),
        "neighbours": _int32([2, 3, 0, 0, 1]),
        "next_list": _int32([1, -1, -1, -1]),
        "index": _int32([0, 0, 1, 2]),
        "open_index": _int32([0, -1, 1]),
        "open_nodes": np.array([0, 3]),
    }
    assert _sets(*open_lists(*arguments.values(), 10)) == [{1}, {0}]
    assert _sets(*open_lists(*arguments.values(), 9)) == [{1}, set()], "9 pixels are enough"
    assert _sets(*open_lists(*arguments.values(), 5)) == [set(), set()]


@pytest.mark.parametrize("is_eight", [False, True])
def test_a_seam_joins_one_cluster_and_lists_the_others(is_eight: bool) -> None:
    nothing = np.zeros(3, np.uint8)
    roots = _int32(range(4))
    pairs = join_seam(
        roots,
        (_int32([1, 1, 2]), _int32([3, 4, 4])),
        (np.array([5, 5, 6], np.int16), np.array([5, 7, 7], np.int16)),
        (nothing, nothing),
        RIGHTWARDS,
        is_eight,
    )
    assert roots.tolist() == [0, 1, 0, 3]
    assert set(map(tuple, pairs.tolist())) == {(0, 3), (1, 3)}


def test_corners_touch_across_a_seam_with_eight_neighbours_only() -> None:
    def join(is_eight: bool) -> tuple[list[int], list[list[int]]]:
        nothing = np.zeros(2, np.uint8)
        roots = _int32(range(2))
        pairs = join_seam(
            roots,
            (_int32([1, 0]), _int32([0, 2])),
            (np.array([5, -1], np.int16), np.array([-1, 5], np.int16)),
            (nothing, nothing),
            RIGHTWARDS,
            is_eight,
        )
        return roots.tolist(), pairs.tolist()

    assert join(False) == ([0, 1], [])
    assert join(True) == ([0, 0], [])


@pytest.mark.parametrize(("here", "there"), [(5, 0), (0, 4)])
def test_a_single_pixel_joins_across_a_seam(here: int, there: int) -> None:
    """By its link to the right, or by that of the other pixel to the left."""
    links = (np.array([here], np.uint8), np.array([there], np.uint8))
    clusters = (np.array([1], np.int16), np.array([2], np.int16))
    nodes = (_int32([1]), _int32([2]))
    roots = _int32(range(2))
    pairs = join_seam(roots, nodes, clusters, links, RIGHTWARDS, False)
    assert (roots.tolist(), pairs.tolist()) == ([0, 0], [])


def test_what_has_one_root_becomes_one_node() -> None:
    nodes = np.array([[2, 5, 20], [3, 1, 30], [4, 3, 40]])
    offsets, neighbours = np.array([0, 1, 2, 2]), _int32([1, 0])
    index, table, *lists = contract(
        nodes,
        offsets,
        neighbours,
        _int32([0, 1, 0]),
        _int32([]).reshape(0, 2),
        9,
    )
    assert index.tolist() == [0, 1, 0]
    assert table.tolist() == [[6, 3, 60], [3, 1, 30]]
    assert _sets(*lists) == [{1}, {0}]


@pytest.mark.parametrize("min_size", [1, 20, 1000])
def test_a_contracted_graph_equals_that_of_sets(min_size: int) -> None:
    rng = np.random.default_rng(min_size)
    n = 60
    table = rng.integers(1, 30, (n, 4))
    edges = {tuple(sorted(pair)) for pair in rng.integers(0, n, (90, 2)).tolist()}
    edges = {(a, b) for a, b in edges if a != b}
    lists = [sorted({a + b - i for a, b in edges if i in (a, b)}) for i in range(n)]
    lists = [each if table[i, 0] < min_size else [] for i, each in enumerate(lists)]
    roots = np.arange(n)
    for a, b in rng.integers(0, n, (12, 2)).tolist():
        roots[roots == roots[b]] = roots[a]
    roots = np.array([np.flatnonzero(roots == root)[0] for root in roots])  # the least of each
    pairs = rng.integers(0, n, (15, 2))
    pairs = pairs[roots[pairs[:, 0]] != roots[pairs[:, 1]]]
    # Lists hold neighbours that are not members of the same node, as they do on both sides of a
    # seam.
    lists = [[b for b in each if roots[b] != roots[i]] for i, each in enumerate(lists)]

    index, nodes, offsets, neighbours = contract(
        table,
        np.cumsum([0, *map(len, lists)]),
        _int32(list(itertools.chain(*lists))),
        roots.astype(np.int32),
        pairs.astype(np.int32),
        min_size,
    )

    kept = np.unique(roots)
    expected: list[set[int]] = [set() for _ in kept]
    number = {int(root): i for i, root in enumerate(kept)}
    own = [number[int(root)] for root in roots]
    for i, each in enumerate(lists):
        expected[own[i]] |= {own[b] for b in each}
    for a, b in pairs.tolist():
        expected[own[a]].add(own[b])
        expected[own[b]].add(own[a])
    assert index.tolist() == own
    for i, root in enumerate(kept):
        members = table[roots == root]
        sums = members.sum(axis=0)
        assert nodes[i].tolist() == [sums[0], members[:, 1].min(), *sums[2:]]
    expected = [each if nodes[i, 0] < min_size else set() for i, each in enumerate(expected)]
    assert _sets(offsets, neighbours) == expected
