"""Which part of a graph is to run: the user's words, resolved against its commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from swath.errors import ConfigError
from swath.plan.graph import Graph, UnitNode

ALL = "all"
"""Word for every command, where one word is needed."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for; a word is a kind or a phase, in any case and order.

    Attributes
    ----------
    commands
        What to run; empty: everything.
    first, last
        Run these and what comes after, or before, them; empty: no bound.
    rerun
        What to run though it is up to date; ``all`` for everything selected.
    scenes
        Scenes to run; units that belong to no single scene always count. Empty: all.
    """

    commands: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """A selection, resolved.

    Attributes
    ----------
    nodes
        Indexes of the nodes that may run.
    forced
        Indexes of the nodes that run in any case.
    scenes
        As in `Selection`.
    """

    nodes: frozenset[int]
    forced: frozenset[int] = frozenset()
    scenes: frozenset[str] = frozenset()

    def covers(self, unit: UnitNode) -> bool:
        """Tell whether a unit was selected."""
        if unit.node not in self.nodes:
            return False
        return not self.scenes or unit.unit.scene is None or unit.unit.scene in self.scenes

    def forces(self, unit: UnitNode) -> bool:
        """Tell whether a unit is to run in any case."""
        return unit.node in self.forced and self.covers(unit)


def resolve(selection: Selection, graph: Graph) -> Wish:
    """Find the nodes and scenes that a selection means.

    Raises
    ------
    ConfigError
        For a word that is no kind, phase or scene of the graph, with the nearest one; and if the
        selection is empty.
    """
    upstream = [set(node.upstream) for node in graph.nodes]
    downstream: list[set[int]] = [set() for _ in graph.nodes]
    for i, producers in enumerate(upstream):
        for producer in producers:
            downstream[producer].add(i)
    chosen = set(range(len(graph.nodes)))
    if selection.commands:
        chosen &= _nodes(selection.commands, graph)
    if selection.first:
        chosen &= _closure(_nodes(selection.first, graph), downstream)
    if selection.last:
        chosen &= _closure(_nodes(selection.last, graph), upstream)
    if not chosen:
        raise ConfigError(
            "the selected commands leave nothing to run.",
            mend="Check --from and --until: the first must come before the last.",
        )
    forced = chosen if ALL in selection.rerun else chosen & _nodes(selection.rerun, graph)
    known = {unit.unit.scene for unit in graph.units if unit.unit.scene is not None}
    for scene in selection.scenes:
        if scene not in known:
            raise _unknown("scene", scene, known)
    return Wish(frozenset(chosen), frozenset(forced), frozenset(selection.scenes))


def _nodes(words: Sequence[str], graph: Graph) -> set[int]:
    by_word: dict[str, set[int]] = {}
    for node in graph.nodes:
        for word in (node.command.kind, node.command.phase):
            by_word.setdefault(word, set()).add(node.index)
    found: set[int] = set()
    for word in words:
        if word.lower() not in by_word:
            raise _unknown("command", word, by_word)
        found |= by_word[word.lower()]
    return found


def _unknown(what: str, word: str, known: Iterable[str]) -> ConfigError:
    close = get_close_matches(word.lower(), known, n=1)
    shown = sorted(known)
    listed = ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {listed}."
    return ConfigError(f"there is no {what} {word!r}.", mend=hint)


def _closure(start: set[int], edges: Sequence[set[int]]) -> set[int]:
    found, pending = set(start), list(start)
    while pending:
        for other in edges[pending.pop()] - found:
            found.add(other)
            pending.append(other)
    return found
