"""Small segments merge into their nearest larger neighbour, as far as that is certain."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from swath.segmentation.graph import Graph as SegmentGraph
from swath.segmentation.graph import MergeRule, eliminate
from swath.segmentation.kernels.components import (
    describe_components,
    find_neighbours,
    label_components,
)
from swath.segmentation.kernels.eliminate import N_PASSES


@dataclass
class Graph:
    """Nodes `(size, first pixel, sum)`, and pairs of neighbours."""

    nodes: list[tuple[int, int, int]]
    pairs: list[tuple[int, int]]
    at_edge: tuple[int, ...] = ()

    def merge(self, min_size: int, limit: float = np.inf, scale: float = 1.0) -> list[int]:
        """Return roots; `table`, `is_open` tell the rest."""
        n = len(self.nodes)
        lists: list[list[int]] = [[] for _ in range(n)]
        for one, other in self.pairs:
            for a, b in ((one, other), (other, one)):
                if self.nodes[a][0] < min_size:
                    lists[a].append(b)
        self.table = np.array(self.nodes, np.int64)
        self.is_open = np.zeros(n, bool)
        self.is_open[list(self.at_edge)] = True
        graph = SegmentGraph(
            self.table,
            np.cumsum([0, *map(len, lists)]).astype(np.int64),
            np.array(list(itertools.chain(*lists)), np.int32),
        )
        rule = MergeRule(np.array([scale]), limit, min_size, is_eight=False)
        return list(eliminate(graph, self.is_open, rule)[0].tolist())


def test_a_small_segment_merges_into_the_nearest_mean() -> None:
    graph = Graph([(1, 5, 10), (3, 0, 3 * 13), (3, 2, 3 * 8)], [(0, 1), (0, 2)])
    assert graph.merge(min_size=2) == [2, 1, 2]
    assert graph.table[2].tolist() == [4, 2, 34]
    assert graph.table[1].tolist() == [3, 0, 39], "as it was"


def test_the_first_pixel_of_the_image_wins_a_tie() -> None:
    ahead, behind = (3, 1, 3 * 8), (3, 4, 3 * 12)
    assert Graph([(1, 5, 10), behind, ahead], [(0, 1), (0, 2)]).merge(min_size=2) == [2, 1, 2]
    assert Graph([(1, 5, 10), ahead, behind], [(0, 1), (0, 2)]).merge(min_size=2) == [1, 1, 2]


def test_a_merged_segment_begins_where_the_first_of_both_does() -> None:
    graph = Graph([(1, 0, 10), (3, 7, 30)], [(0, 1)])
    assert graph.merge(min_size=2) == [1, 1]
    assert graph.table[1, 1] == 0


def test_nothing_merges_beyond_the_limit_and_all_up_to_it() -> None:
    graph = Graph([(1, 0, 10), (3, 1, 36)], [(0, 1)])  # 2 apart
    assert graph.merge(min_size=2, limit=4.0) == [1, 1]
    assert graph.merge(min_size=2, limit=3.999) == [0, 1]
    assert graph.merge(min_size=2, limit=3.999, scale=0.5) == [1, 1]


def test_segments_of_one_size_do_not_merge_with_each_other() -> None:
    assert Graph([(2, 0, 10), (2, 1, 10)], [(0, 1)]).merge(min_size=9) == [0, 1]


def test_a_segment_of_the_least_size_is_left_alone() -> None:
    graph = Graph([(2, 0, 10), (3, 1, 10)], [(0, 1)])
    assert graph.merge(min_size=2) == [0, 1]
    assert graph.merge(min_size=3) == [1, 1]


def test_all_decide_before_anyone_merges() -> None:
    """Both are 30 from the mean of the pair; with one of them it would be 40 from the other."""
    graph = Graph([(1, 0, 0), (1, 1, 60), (2, 2, 60)], [(0, 2), (1, 2)])
    assert graph.merge(min_size=2, limit=900.0) == [2, 2, 2]
    assert graph.table[2].tolist() == [4, 0, 120]


def test_a_size_has_ten_passes() -> None:
    """In a row of singles beside a pair one merges in each pass."""
    n = N_PASSES + 3
    row = Graph([(2, 0, 0), *((1, i + 2, 0) for i in range(n))], [(i, i + 1) for i in range(n)])
    assert row.merge(min_size=5) == [0] * (N_PASSES + 1) + [
        N_PASSES + 1,
        N_PASSES + 2,
        N_PASSES + 3,
    ]


def test_a_segment_that_has_grown_asks_the_neighbours_of_all_its_members() -> None:
    """The pair has no large neighbour of its own; the single that joins it brings one."""
    graph = Graph([(1, 0, 0), (2, 1, 0), (9, 4, 900)], [(0, 1), (0, 2)])
    assert graph.merge(min_size=3) == [1, 1, 2]
    assert graph.merge(min_size=4) == [2, 2, 2]


def test_what_cannot_be_known_is_opened_when_it_matters() -> None:
    """A chain of sizes 1, 3, 4, 9, whose second member has unknown neighbours."""
    chain = Graph(
        [(1, 0, 0), (3, 1, 0), (4, 4, 0), (9, 8, 0)], [(0, 1), (1, 2), (2, 3)], at_edge=(1,)
    )
    assert chain.merge(min_size=4) == [0, 1, 2, 3]
    assert chain.is_open.tolist() == [
        True,  # its neighbour's mean is not known
        True,
        True,  # the unknown one might choose it
        False,
    ]
    assert chain.table.tolist() == [list(node) for node in chain.nodes], "and none has changed"


def test_what_no_open_segment_can_reach_is_merged_all_the_same() -> None:
    """The single merges at once: only when the open neighbour of its target has its turn is that
    one opened, and with the single in it.
    """
    chain = Graph([(1, 5, 0), (4, 6, 0), (3, 0, 0)], [(0, 1), (1, 2)], at_edge=(2,))
    assert chain.merge(min_size=4) == [1, 1, 2]
    assert chain.is_open.tolist()[1:] == [True, True]
    assert chain.table[1].tolist() == [5, 5, 0]


@pytest.mark.parametrize("is_eight", [False, True])
@pytest.mark.parametrize("limit", [30.0, 200.0, np.inf])
def test_segments_equal_those_of_the_definition(
    reference: ModuleType, limit: float, is_eight: bool
) -> None:
    rng = np.random.default_rng(int(min(limit, 99)))
    shape = (50, 60)
    clusters = rng.integers(-1, 6, shape).astype(np.int16)
    values = (clusters * 4 + rng.integers(0, 3, (2, *shape))).astype(np.int32)
    scale = np.array([0.5, 1.25])
    connectivity = 8 if is_eight else 4
    expected = reference.clump(clusters, connectivity)
    n_clumps = expected.max()
    reference.eliminate(expected, values, scale, 30, float(np.sqrt(limit)), connectivity)
    found = _eliminated(clusters, values, scale, 30, limit, is_eight)
    assert (reference.number(found) == reference.number(expected)).all()
    assert reference.number(found).max() < 0.9 * n_clumps


def _eliminated(
    clusters: npt.NDArray[np.int16],
    values: npt.NDArray[np.int32],
    scale: npt.NDArray[np.float64],
    min_size: int,
    limit: float,
    is_eight: bool,
) -> npt.NDArray[np.int64]:
    height, width = clusters.shape
    core = (0, 0, height, width)
    labels, n = label_components(clusters, np.zeros(clusters.shape, np.uint8), core, is_eight)
    nodes = describe_components(labels, values, core, (0, 0), width, n)
    lists = find_neighbours(labels, nodes[:, 0], min_size, is_eight)
    rule = MergeRule(scale, limit, min_size, is_eight)
    roots, _ = eliminate(SegmentGraph(nodes, *lists), None, rule)
    return np.concatenate([[0], roots + 1])[labels]
