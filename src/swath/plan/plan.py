"""The plan: what runs, in which splits, in which order, and why; what is skipped or shared.

A plan is made once and then only carried out. Its JSON is kept with the run; the next plan of the
same experiments explains itself by it.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from swath.plan.command import Pipeline
from swath.plan.graph import Graph, Node, build_graph
from swath.plan.reason import Before
from swath.plan.scan import Memory, Scanned, State, no_memory, scan
from swath.plan.select import Selection, resolve
from swath.plan.split import Splits, count_for, cut

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Split:
    """One share of the units of a node: one process, array element or cloud job.

    Attributes
    ----------
    key
        Unique in the plan, safe in file names.
    node
        Index of the node.
    units
        Indexes of its units, ascending.
    work
        Sum of the estimated work of its units.
    upstream
        Indexes of the splits whose outputs it reads, ascending.
    """

    key: str
    node: int
    units: tuple[int, ...]
    work: int
    upstream: tuple[int, ...]


@dataclass(frozen=True)
class Estimate:
    """What a plan will take.

    Attributes
    ----------
    n_units
        Units that will run.
    work
        Sum of their work (pixels where there are pixels).
    output_bytes
        Bytes that they will write; units that do not know count as 0.
    memory_gib
        Largest memory that any split asks for, in GiB; None if none says.
    """

    n_units: int
    work: int
    output_bytes: int
    memory_gib: float | None


@dataclass(frozen=True)
class Plan:
    """A graph with the state of every unit and the splits to run, both in topological order."""

    graph: Graph
    scanned: tuple[Scanned, ...]
    splits: tuple[Split, ...]

    @property
    def is_empty(self) -> bool:
        """True if everything that was selected is up to date."""
        return not self.splits

    def counts(self, node: Node) -> Counter[State]:
        """Count the units of a node by state."""
        return Counter(self.scanned[i].state for i in node.units)

    def title(self, unit: int) -> str:
        """Name a unit for people: kind and name."""
        node = self.graph.units[unit]
        return f"{self.graph.nodes[node.node].command.kind} {node.unit.name}"

    def output_uri(self, unit: int, output: str) -> str:
        """Return where an output of a unit lies."""
        return self.scanned[unit].outputs[output]

    def estimate(self) -> Estimate:
        """Add up what the units that will run are estimated to take."""
        units = [self.graph.units[i].unit for split in self.splits for i in split.units]
        memory = [
            needed
            for split in self.splits
            if (needed := self.graph.nodes[split.node].command.resources.memory_gib) is not None
        ]
        return Estimate(
            n_units=len(units),
            work=sum(unit.work for unit in units),
            output_bytes=sum(unit.output_bytes for unit in units),
            memory_gib=max(memory, default=None),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values: nodes with their units, and splits."""
        return {
            "schema": SCHEMA,
            "experiments": [{"id": p.id, "root": p.root} for p in self.graph.pipelines],
            "nodes": [self._node_json(node) for node in self.graph.nodes],
            "splits": [
                {
                    "key": split.key,
                    "node": self.graph.nodes[split.node].key,
                    "units": [self.graph.units[i].unit.name for i in split.units],
                    "work": split.work,
                    "upstream": [self.splits[i].key for i in split.upstream],
                }
                for split in self.splits
            ],
            "estimate": asdict(self.estimate()),
        }

    def _node_json(self, node: Node) -> dict[str, Any]:
        command = node.command
        return {
            "key": node.key,
            "kind": command.kind,
            "phase": command.phase,
            "version": command.version,
            "function": command.function,
            "root": command.root,
            "params": command.params,
            "resources": asdict(command.resources),
            "experiments": list(node.experiments),
            "upstream": [self.graph.nodes[i].key for i in node.upstream],
            "units": [self._unit_json(i) for i in node.units],
        }

    def _unit_json(self, index: int) -> dict[str, Any]:
        unit, item = self.graph.units[index], self.scanned[index]
        return {
            "name": unit.unit.name,
            "fingerprint": item.fingerprint,
            "state": item.state.value,
            "reason": None
            if item.reason is None
            else {"cause": item.reason.cause.value, "detail": item.reason.detail},
            "work": unit.unit.work,
            "params": unit.unit.params,
            "sources": [[name, uri, found] for (name, uri), found in item.identities.items()],
            "producers": list(dict.fromkeys(self.scanned[p].fingerprint for p in unit.producers)),
            "outputs": item.outputs,
        }


def make_plan(
    pipelines: Sequence[Pipeline],
    *,
    selection: Selection | None = None,
    splits: Splits = 1,
    parallelism: int = 1,
    memory: Memory = no_memory,
) -> Plan:
    """Build the graph of `pipelines`, find what must run, and cut it into splits.

    Parameters
    ----------
    pipelines
        What the experiments compiled into.
    selection
        What to run; None: everything that is not up to date.
    splits
        Into how many splits to cut each command.
    parallelism
        Splits that can run at once, for ``splits="auto"``.
    memory
        What the last plans said, to explain changes.

    Raises
    ------
    DeclarationError
        For whatever is wrong with the graph; nothing has been written then.
    """
    with _without_collection():
        graph = build_graph(pipelines)
        scanned = scan(graph, resolve(selection or Selection(), graph), memory)
        return Plan(graph, tuple(scanned), _cut_nodes(graph, scanned, splits, parallelism))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the search for cyclic garbage: planning makes millions of objects and keeps them.

    Searching through them again and again takes a third of the time of a large plan.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _cut_nodes(
    graph: Graph, scanned: Sequence[Scanned], splits: Splits, parallelism: int
) -> tuple[Split, ...]:
    result: list[Split] = []
    split_of: dict[int, int] = {}
    for node in graph.nodes:
        units = [i for i in node.units if scanned[i].state is State.RUN]
        if not units:
            continue
        work = [graph.units[i].unit.work for i in units]
        n_splits = count_for(splits, work, parallelism) if node.command.splittable else 1
        for number, share in enumerate(cut(work, n_splits)):
            own = tuple(units[i] for i in share)
            upstream = {split_of[p] for i in own for p in graph.units[i].producers if p in split_of}
            split = Split(
                key=f"{node.key}-{number:05d}",
                node=node.index,
                units=own,
                work=sum(work[i] for i in share),
                upstream=tuple(sorted(upstream)),
            )
            split_of |= dict.fromkeys(own, len(result))
            result.append(split)
    return tuple(result)


def memory_of(read: Callable[[str], Mapping[str, Any] | None]) -> Memory:
    """Make a `Memory` of the JSON of the last plan of each experiment.

    Parameters
    ----------
    read
        Experiment id to what `Plan.to_json` returned, or None if there is nothing to remember; it
        is called when something has to be explained, and not before.
    """
    known: dict[str, dict[tuple[str, str], tuple[Mapping[str, Any], Mapping[str, Any]]]] = {}

    def remember(experiment: str, kind: str, unit: str) -> Before | None:
        if experiment not in known:
            known[experiment] = _units_of(experiment, read(experiment))
        found = known[experiment].get((kind, unit))
        return None if found is None else _before(*found)

    return remember


def _units_of(
    experiment: str, plan: Mapping[str, Any] | None
) -> dict[tuple[str, str], tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return node and unit, as JSON, by kind and name."""
    if plan is None or plan.get("schema") != SCHEMA:
        return {}
    return {
        (node["kind"], unit["name"]): (node, unit)
        for node in plan["nodes"]
        if experiment in node["experiments"]
        for unit in node["units"]
    }


def _before(node: Mapping[str, Any], unit: Mapping[str, Any]) -> Before:
    return Before(
        fingerprint=unit["fingerprint"],
        version=node["version"],
        params=node["params"],
        unit_params=unit["params"],
        sources={(name, uri): found for name, uri, found in unit["sources"]},
        producers=tuple(unit["producers"]),
        outputs=unit["outputs"],
    )
