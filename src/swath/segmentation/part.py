"""What a tile has to tell the others: its open segments, and the pixels along its edges.

One idea: that is all. The pixels inside do not travel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swath.segmentation.graph import Graph, Roots


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

    def renumbered(self, index: npt.NDArray[np.int32]) -> Edge:
        """Return the edge with other nodes: ``index[node]``, both counted from 0."""
        there = self.nodes > 0
        nodes = np.zeros_like(self.nodes)
        nodes[there] = index[self.nodes[there] - 1] + 1
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

    def renumbered(self, index: npt.NDArray[np.int32]) -> Edges:
        """Return the edges with other nodes, see `Edge.renumbered`."""
        return Edges(*(edge.renumbered(index) for edge in self.each()))


@dataclass(frozen=True, slots=True)
class Part:
    """A tile whose inside is settled.

    Attributes
    ----------
    roots
        Its segments: those that are final, and those that are open.
    graph
        Of those that are open.
    edges
        Its edges; their nodes are open ones.
    """

    roots: Roots
    graph: Graph
    edges: Edges
