"""Arrays: which splits are submitted together, so that a scheduler can say what they wait for.

Two kinds of edges are known everywhere: an array waits for all of another one, or each element for
the same element of it. The one idea: splits of one command whose producers and whose consumers are
the same form an array, so that "all of it" is the very edge of the graph and no barrier; and where
commands read one another split by split, their arrays are lined up, so that "the same element" is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

MAX_ARRAYS = 32
"""Arrays that one command may become; above, it becomes one, and its consumers wait for all of it.

A graph in which every split of one command reads from other splits of the one before would become
as many arrays as it has splits."""

T = TypeVar("T")


def arrays_of(
    node_of: Mapping[int, str],
    upstream: Mapping[int, Sequence[int]],
    memory: Mapping[int, float],
    *,
    has_array_edges: bool,
) -> list[list[int]]:
    """Put splits into arrays.

    Parameters
    ----------
    node_of
        Index of a split to the command that it is of; commands and their splits in topological
        order.
    upstream
        Index of a split to those that it reads from.
    memory
        GiB of a split that gets more than the others of its command: an array is of one size.
    has_array_edges
        True if element i of one array can wait for element i of another.

    Returns
    -------
    list of list of int
        Indexes of splits, each in one array, arrays in topological order. Arrays that read one
        another split by split are as long and in the same order.

    Notes
    -----
    Linear in the number of edges, times the number of commands that are lined up.
    """
    lined_up = _LinedUp(node_of)
    if has_array_edges:
        for pair, edges in _edges_of_pairs(node_of, upstream).items():
            lined_up.try_pair(pair, edges)
    apart = _edges_apart(node_of, upstream, lined_up.pairs)
    arrays: dict[str, list[list[int]]] = {node: [] for node in node_of.values()}
    for strands in lined_up.families():
        fine: dict[object, list[list[int]]] = {}
        coarse: dict[object, list[list[int]]] = {}
        for strand in strands:
            ordered = sorted(strand, key=lambda i: node_of[i])
            shape = tuple((node_of[i], memory.get(i)) for i in ordered)
            coarse.setdefault(shape, []).append(ordered)
            fine.setdefault((shape, tuple(apart[i] for i in ordered)), []).append(ordered)
        for group in (fine if len(fine) <= MAX_ARRAYS else coarse).values():
            for members in zip(*group, strict=True):
                arrays[node_of[members[0]]].append(list(members))
    return [array for found in arrays.values() for array in found]


_Pair = tuple[str, str]
"""Producer and consumer, two commands."""


def _edges_of_pairs(
    node_of: Mapping[int, str], upstream: Mapping[int, Sequence[int]]
) -> dict[_Pair, list[tuple[int, int]]]:
    """Return all edges, as (producer, consumer), between each two commands."""
    found: dict[_Pair, list[tuple[int, int]]] = {}
    for i, node in node_of.items():
        for p in upstream[i]:
            found.setdefault((node_of[p], node), []).append((p, i))
    return found


def _edges_apart(
    node_of: Mapping[int, str], upstream: Mapping[int, Sequence[int]], pairs: set[_Pair]
) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return what each split reads and is read by, apart from what it is lined up with."""
    reads: dict[int, list[int]] = {i: [] for i in node_of}
    read_by: dict[int, list[int]] = {i: [] for i in node_of}
    for i, node in node_of.items():
        for p in upstream[i]:
            if (node_of[p], node) not in pairs:
                reads[i].append(p)
                read_by[p].append(i)
    return {i: (tuple(reads[i]), tuple(read_by[i])) for i in node_of}


@dataclass
class _LinedUp:
    """Commands that are lined up, and the *strands* of splits, at most one of each of them."""

    node_of: Mapping[int, str]
    pairs: set[_Pair] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._strand = {i: [i] for i in self.node_of}
        self._family = {node: [node] for node in self.node_of.values()}

    def try_pair(self, pair: _Pair, edges: Sequence[tuple[int, int]]) -> None:
        """Line two commands up if no split is in two of the edges and no strand gets two splits."""
        one_to_one = len({p for p, _ in edges}) == len({i for _, i in edges}) == len(edges)
        if one_to_one and all(self._fit(p, i) for p, i in edges):
            for p, i in edges:
                _join(self._strand, p, i)
            _join(self._family, *pair)
            self.pairs.add(pair)

    def families(self) -> Iterator[list[list[int]]]:
        """Yield the strands of commands that are lined up, in the order of their first splits."""
        found: dict[int, dict[int, list[int]]] = {}
        for i, node in self.node_of.items():
            strand = self._strand[i]
            found.setdefault(id(self._family[node]), {})[id(strand)] = strand
        for strands in found.values():
            yield list(strands.values())

    def _fit(self, p: int, i: int) -> bool:
        one, other = self._strand[p], self._strand[i]
        if one is other:
            return True
        return {self.node_of[k] for k in one}.isdisjoint(self.node_of[k] for k in other)


def _join(group_of: dict[T, list[T]], one: T, other: T) -> None:
    """Make the groups of two items one; every item of a group shares one list."""
    first, second = group_of[one], group_of[other]
    if first is not second:
        first += second
        group_of |= dict.fromkeys(second, first)
