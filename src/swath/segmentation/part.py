"""Parts of the image: tiles, and what two parts side by side become.

One idea: what a part has to tell the next one is the graph of its open segments and the pixels
along its four edges. Pixels do not travel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swath.grid.window import Window
from swath.segmentation.graph import Graph, MergeRule, Roots, settle
from swath.segmentation.kernels.graph import contract, join_seam

_RIGHTWARDS = (2, 4, 7)
_DOWNWARDS = (5, 6, 7)


@dataclass(frozen=True, slots=True)
class Edge:
    """The pixels along one edge of a part, from top to bottom or from left to right.

    Attributes
    ----------
    nodes
        Array `(pixel,)` of int32: open node, 1-based; 0 where there is no valid pixel beyond.
    clusters, links
        Arrays `(pixel,)` of int16 and uint8, see `swath.segmentation.kernels`.
    """

    nodes: npt.NDArray[np.int32]
    clusters: npt.NDArray[np.int16]
    links: npt.NDArray[np.uint8]

    def renumbered(self, index: npt.NDArray[np.int32], shift: int = 0) -> Edge:
        """Return the edge with other nodes: ``index[node + shift]``."""
        there = self.nodes > 0
        nodes = np.zeros_like(self.nodes)
        nodes[there] = index[self.nodes[there] - 1 + shift] + 1
        return Edge(nodes, self.clusters, self.links)


@dataclass(frozen=True, slots=True)
class Edges:
    """The four edges of a part."""

    top: Edge
    bottom: Edge
    left: Edge
    right: Edge

    def each(self) -> tuple[Edge, Edge, Edge, Edge]:
        """Return top, bottom, left, right."""
        return self.top, self.bottom, self.left, self.right

    def nodes(self) -> npt.NDArray[np.int32]:
        """Return the nodes, 0-based, with pixels beyond an edge."""
        met = np.unique(np.concatenate([edge.nodes for edge in self.each()]))
        return met[met > 0] - 1

    def renumbered(self, index: npt.NDArray[np.int32], shift: int = 0) -> Edges:
        """Return the edges with other nodes, see `Edge.renumbered`."""
        return Edges(*(edge.renumbered(index, shift) for edge in self.each()))


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the image whose inside is settled.

    Attributes
    ----------
    window
        The rectangle, in pixels of the image.
    roots
        Its segments: those that are final, and those that are open.
    graph
        Of those that are open.
    edges
        Its edges; their nodes are open ones.
    """

    window: Window
    roots: Roots
    graph: Graph
    edges: Edges


@dataclass(frozen=True, slots=True)
class Join:
    """How the open nodes of two parts went on in their union.

    Attributes
    ----------
    index
        Array `(node,)` of int32: root of the union for each open node of the first part, then of
        the second.
    n_first
        Number of open nodes of the first part.
    """

    index: npt.NDArray[np.int32]
    n_first: int

    def firsts_of_open(
        self, resolved: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the first pixels of what the open nodes of both parts ended in.

        Parameters
        ----------
        resolved
            From `Roots.resolve` of the union.
        """
        firsts = resolved[self.index]
        return firsts[: self.n_first], firsts[self.n_first :]


def join(one: Part, other: Part, rule: MergeRule) -> tuple[Part, Join]:
    """Put two parts together, and settle what has become certain.

    Parameters
    ----------
    one, other
        Left and right, of the same rows; or upper and lower, of the same columns.
    rule
        When segments are merged.

    Notes
    -----
    Memory: about three times the graphs of both parts, if the caller keeps neither part.
    """
    is_beside = one.window.row_off == other.window.row_off
    n_first = one.graph.n_nodes
    window = _union(one.window, other.window, is_beside)
    edges = one.edges, other.edges
    graph = _side_by_side(one.graph, other.graph)
    del one, other
    here, there = (edges[0].right, edges[1].left) if is_beside else (edges[0].bottom, edges[1].top)
    shifted = np.where(there.nodes > 0, there.nodes + np.int32(n_first), 0).astype(np.int32)
    roots, pairs = join_seam(
        graph.n_nodes,
        (here.nodes, shifted),
        (here.clusters, there.clusters),
        (here.links, there.links),
        _RIGHTWARDS if is_beside else _DOWNWARDS,
        rule.is_eight,
    )
    number, nodes, offsets, neighbours, active_from = contract(
        graph.nodes,
        graph.offsets,
        graph.neighbours,
        graph.active_from,
        roots,
        pairs,
        rule.min_size,
    )
    graph = Graph(nodes, offsets, neighbours, active_from)
    del nodes, offsets, neighbours, active_from, roots, pairs
    a, b = edges[0].renumbered(number), edges[1].renumbered(number, n_first)
    if is_beside:
        around = Edges(_chain(a.top, b.top), _chain(a.bottom, b.bottom), a.left, b.right)
    else:
        around = Edges(a.top, b.bottom, _chain(a.left, b.left), _chain(a.right, b.right))
    index, settled, rest = settle(graph, around.nodes(), rule)
    part = Part(window, settled, rest, around.renumbered(settled.open_index[index]))
    return part, Join(index[number], n_first)


def _side_by_side(one: Graph, other: Graph) -> Graph:
    return Graph(
        np.concatenate([one.nodes, other.nodes]),
        np.concatenate([one.offsets, other.offsets[1:] + one.offsets[-1]]),
        np.concatenate([one.neighbours, other.neighbours + np.int32(one.n_nodes)]),
        np.concatenate([one.active_from, other.active_from]),
    )


def _chain(one: Edge, other: Edge) -> Edge:
    return Edge(
        np.concatenate([one.nodes, other.nodes]),
        np.concatenate([one.clusters, other.clusters]),
        np.concatenate([one.links, other.links]),
    )


def _union(one: Window, other: Window, is_beside: bool) -> Window:
    height = one.height if is_beside else one.height + other.height
    width = one.width + other.width if is_beside else one.width
    return Window(one.row_off, one.col_off, height, width)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of putting a grid of tiles together.

    Attributes
    ----------
    one, other
        Numbers of the parts that are joined. Tiles are numbered row by row from 0, unions after
        them in the order of the steps.
    """

    one: int
    other: int


def join_steps(n_rows: int, n_cols: int) -> list[Step]:
    """Return the steps that join a grid of tiles two by two, neighbours first.

    Parameters
    ----------
    n_rows, n_cols
        Tiles of the grid.

    Examples
    --------
    >>> join_steps(1, 3)
    [Step(one=0, other=1), Step(one=3, other=2)]
    """
    rows = [[row * n_cols + col for col in range(n_cols)] for row in range(n_rows)]
    steps: list[Step] = []
    n = n_rows * n_cols

    def joined(pairs: Sequence[int]) -> list[int]:
        nonlocal n
        made = []
        for i in range(0, len(pairs) - 1, 2):
            steps.append(Step(pairs[i], pairs[i + 1]))
            made.append(n)
            n += 1
        return made + list(pairs[len(made) * 2 :])

    while len(rows) > 1 or len(rows[0]) > 1:
        if len(rows[0]) > 1:
            rows = [joined(row) for row in rows]
        if len(rows) > 1:
            columns = [joined([row[col] for row in rows]) for col in range(len(rows[0]))]
            rows = [list(row) for row in zip(*columns, strict=True)]
    return steps
