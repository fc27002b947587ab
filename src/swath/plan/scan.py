"""Scan: fingerprint every unit, settle where its outputs lie, and say what must run and why.

Units are walked in topological order, so that a fingerprint covers everything upstream. Folders
are asked for all their outputs at once (`Store.stats`), source files and pinned outputs singly.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter

from swath.errors import GraphError, NotFoundError
from swath.plan.canonical import fingerprint_of
from swath.plan.command import is_pinned
from swath.plan.graph import Graph, UnitNode
from swath.plan.identity import source_identities
from swath.plan.reason import Before, Cause, Reason, explain
from swath.plan.record import SIDECAR, Record, command_folder, read_all
from swath.plan.select import Wish
from swath.store import join, normalise, open_store


class State(enum.StrEnum):
    """What a plan does with a unit."""

    DONE = "up to date"
    RUN = "run"
    LEFT_OUT = "not selected"
    BLOCKED = "blocked"


@dataclass(slots=True)
class Scanned:
    """What the scan found of one unit.

    Attributes
    ----------
    fingerprint
        Of the unit; see `swath.plan.canonical`.
    outputs
        Output name to URI.
    identities
        (input name, URI) to the identity of every source that it reads.
    record
        The record of its being done with this fingerprint, if its outputs are there.
    state, reason
        What to do with it, and why if it is to run.
    """

    fingerprint: str
    outputs: dict[str, str]
    identities: dict[tuple[str, str], str]
    record: Record | None = None
    state: State = State.DONE
    reason: Reason | None = None

    @property
    def runs_again(self) -> bool:
        """True if it runs though it is done, or though nobody asked whether it is."""
        is_forced = self.reason is not None and self.reason.cause is Cause.FORCED
        return self.state is State.RUN and (is_forced or self.record is not None)


Memory = Callable[[str, str, str], Before | None]
"""From experiment, kind and unit name to what the last plan said of it."""


def no_memory(experiment: str, kind: str, unit: str) -> Before | None:  # noqa: ARG001
    """Remember nothing: every reason is told from the present alone."""
    return None


def scan(graph: Graph, wish: Wish, memory: Memory = no_memory) -> list[Scanned]:
    """Settle fingerprint, places, state and reason of every unit, in the order of the graph.

    Raises
    ------
    GraphError
        If a source that a selected unit reads does not exist, or if all that was selected waits
        for commands that are neither up to date nor selected.
    """
    sources = source_identities(
        read.source for unit in graph.units for read in unit.reads if read.source
    )
    folders = _Folders()
    found: list[Scanned] = []
    missing: list[tuple[UnitNode, str, str]] = []
    for unit in graph.units:
        node = graph.nodes[unit.node]
        command = node.command
        identities = {}
        known: list[list[str]] = []
        for read in unit.reads:
            if not read.source:
                known.append([read.name, found[read.producer].fingerprint, read.output])
                continue
            identity = sources[read.source]
            if identity is None:
                missing.append((unit, read.name, read.source))
            identities[read.name, read.source] = identity or "missing"
            known.append([read.name, read.source, identity or "missing"])
        fingerprint = fingerprint_of(
            [
                command.params_key,
                unit.unit.name,
                unit.unit.params,
                sorted(unit.unit.outputs),
                sorted(known, key=itemgetter(0)),  # by name: a mapping has no order
            ]
        )
        place = command_folder(command.root, command.kind, command.params_key)
        outputs = {
            name: normalise(file)
            if is_pinned(file)
            else join(place, f"{unit.unit.name}-{fingerprint}", file)
            for name, file in unit.unit.outputs.items()
        }
        item = Scanned(fingerprint, outputs, identities)
        _judge(graph, unit, item, found, wish, folders.of(place), memory)
        found.append(item)
    _refuse_missing(graph, found, missing)
    _refuse_blocked(graph, found, wish)
    return found


def _judge(
    graph: Graph,
    unit: UnitNode,
    item: Scanned,
    found: list[Scanned],
    wish: Wish,
    folder: _Folder,
    memory: Memory,
) -> None:
    """Settle record, state and reason of one unit whose producers are settled."""
    node = graph.nodes[unit.node]
    command = node.command
    record = folder.records.get(item.fingerprint)
    defect = folder.defect(unit.unit.outputs, item, record)
    item.record = record if defect is None else None
    again = next((p for p in unit.producers if found[p].runs_again), None)
    if wish.forces(unit):
        item.reason = Reason(Cause.FORCED)
    elif defect is not None and record is not None:
        item.reason = defect
    elif record is not None and again is not None:
        item.reason = Reason(Cause.UPSTREAM, _title(graph, again))
    elif record is not None:
        newer = next((p for p in unit.producers if _was_redone_after(record, found[p])), None)
        if newer is not None:
            item.reason = Reason(Cause.INPUT_CHANGED, f"{_title(graph, newer)} was run again")
    else:
        waits = next((p for p in unit.producers if found[p].state is not State.DONE), None)
        item.reason = explain(
            _before(node.experiments, command.kind, unit.unit.name, memory),
            fingerprint=item.fingerprint,
            version=command.version,
            params=command.params,
            unit_params=unit.unit.params,
            sources=item.identities,
            producers=tuple(dict.fromkeys(found[p].fingerprint for p in unit.producers)),
            upstream=None if waits is None else _title(graph, waits),
        )
    if item.reason is None:
        item.state = State.DONE
    elif not wish.covers(unit):
        item.state = State.LEFT_OUT
    elif any(found[p].state in {State.LEFT_OUT, State.BLOCKED} for p in unit.producers):
        item.state = State.BLOCKED
    else:
        item.state = State.RUN


def _was_redone_after(record: Record, producer: Scanned) -> bool:
    """Tell whether a unit was made from what its producer has replaced since."""
    redone = producer.record
    return redone is not None and redone.redone and record.started < redone.started


def _before(experiments: Collection[str], kind: str, unit: str, memory: Memory) -> Before | None:
    remembered = (memory(experiment, kind, unit) for experiment in experiments)
    return next((before for before in remembered if before is not None), None)


def _title(graph: Graph, index: int) -> str:
    unit = graph.units[index]
    return f"{graph.nodes[unit.node].command.kind} {unit.unit.name}"


class _Folder:
    """What lies in the folder of one command: records, and sizes of files."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        store = open_store(uri)
        self.records = read_all(store, uri)
        self._files = store.stats(uri, self._recorded_files())

    def _recorded_files(self) -> Iterator[str]:
        """Yield the paths of recorded outputs relative to the folder, which may have been moved."""
        for record in self.records.values():
            own = f"{record.unit}-{record.fingerprint}/"
            for uri, _ in record.outputs.values():
                _, found, file = uri.rpartition(own)
                if found:
                    yield own + file

    def defect(
        self, places: Mapping[str, str], item: Scanned, record: Record | None
    ) -> Reason | None:
        """Tell what is wrong with the outputs of a recorded unit; None if nothing is."""
        if record is None:
            return None
        for name, uri in item.outputs.items():
            recorded = record.outputs.get(name)
            pinned = is_pinned(places[name])
            size = self._pinned_size(uri, item.fingerprint) if pinned else self._size(uri)
            if size is None:
                return Reason(Cause.OUTPUT_MISSING, uri)
            if recorded is None or size != recorded[1]:
                return Reason(Cause.OUTPUT_CHANGED, uri)
        return None

    def _size(self, uri: str) -> int | None:
        stat = self._files.get(uri[len(self._uri) + 1 :])
        return None if stat is None else stat.size

    def _pinned_size(self, uri: str, fingerprint: str) -> int | None:
        store = open_store(uri)
        try:
            size = store.stat(uri).size
            made_for = json.loads(store.read(uri + SIDECAR))["fingerprint"]
        except NotFoundError:
            return None
        except (ValueError, TypeError, KeyError):  # a file of this name that is not ours
            return -1
        return size if made_for == fingerprint else -1


class _Folders:
    """Folders of commands, each looked at once."""

    def __init__(self) -> None:
        self._known: dict[str, _Folder] = {}

    def of(self, uri: str) -> _Folder:
        if uri not in self._known:
            self._known[uri] = _Folder(uri)
        return self._known[uri]


def _refuse_missing(
    graph: Graph, found: list[Scanned], missing: list[tuple[UnitNode, str, str]]
) -> None:
    """Refuse sources that do not exist, unless nothing that reads them is going to run."""
    wanted = [m for m in missing if found[m[0].index].state in {State.RUN, State.BLOCKED}]
    if not wanted:
        return
    readers_of: dict[str, list[tuple[UnitNode, str]]] = {}
    for unit, name, uri in wanted:
        readers_of.setdefault(uri, []).append((unit, name))
    lines = []
    for uri, readers in readers_of.items():
        unit, name = readers[0]
        node = graph.nodes[unit.node]
        more = f" and {len(readers) - 1} more" if len(readers) > 1 else ""
        lines.append(
            f"{uri} does not exist and no command produces it; it is the {name} of "
            f"{node.command.kind} {unit.unit.name!r}{more} (experiment {node.experiments[0]!r})."
        )
    shown = "\n".join(lines[:10]) + (
        f"\n... and {len(lines) - 10} more." if len(lines) > 10 else ""
    )
    raise GraphError(shown, mend="Correct the path, or add the command that makes the file.")


def _refuse_blocked(graph: Graph, found: list[Scanned], wish: Wish) -> None:
    """Refuse a selection that leaves out what it needs.

    With chosen scenes, commands over all scenes are expected to wait; the plan says so.
    """
    blocked = [i for i, item in enumerate(found) if item.state is State.BLOCKED]
    if not blocked or (wish.scenes and any(item.state is State.RUN for item in found)):
        return
    culprit = next(
        p for i in blocked for p in graph.units[i].producers if found[p].state is State.LEFT_OUT
    )
    phase = graph.nodes[graph.units[culprit].node].command.phase
    raise GraphError(
        f"{_title(graph, blocked[0])} needs {_title(graph, culprit)}, which is not up to date "
        f"({found[culprit].reason}) and was not selected.",
        mend=f"Select {phase!r} too.",
    )
