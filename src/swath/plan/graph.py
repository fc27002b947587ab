"""The graph: which unit reads what which other unit writes, and units grouped into nodes.

Edges come from inputs and outputs and from nothing else. Units that several experiments declare
alike are one unit; commands alike in kind, version and parameters are one node. Everything that is
wrong with a graph is found here, before anything runs. No file is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from swath.errors import ConfigError, GraphError
from swath.plan.canonical import fingerprint_of
from swath.plan.command import Command, Pipeline, Ref, Unit, is_pinned
from swath.store import normalise


class Read(NamedTuple):
    """One input of one unit: a source, or an output of another unit.

    Attributes
    ----------
    name
        Of the input.
    source
        URI of a file that no unit of the graph produces; empty if one does.
    producer
        Index of the unit that produces it; -1 for a source.
    output
        Name of the output of the producer.
    """

    name: str
    source: str = ""
    producer: int = -1
    output: str = ""


@dataclass(frozen=True, slots=True)
class UnitNode:
    """A unit in its graph.

    Attributes
    ----------
    index
        Position in `Graph.units`, which is a topological order.
    key
        Declared identity, see `Command.unit_keys`.
    node
        Index of the node that it belongs to.
    producers
        Indexes of the units whose outputs it reads, ascending, each once.
    reads
        Its inputs in the declared order.
    """

    index: int
    key: str
    unit: Unit
    node: int
    producers: tuple[int, ...]
    reads: tuple[Read, ...]


@dataclass(slots=True)
class Node:
    """A command after merging: what several experiments share is here once.

    Attributes
    ----------
    index
        Position in `Graph.nodes`, which is a topological order.
    key
        Short name, unique in the graph, safe in file names and job names.
    command
        The first declaration; its `units` are only those of that declaration.
    units
        Indexes of all units, ascending.
    experiments
        Ids of the experiments that use it, in the order of declaration.
    upstream
        Indexes of the nodes that it reads from, ascending.
    """

    index: int
    key: str
    command: Command
    units: list[int] = field(default_factory=list)
    experiments: tuple[str, ...] = ()
    upstream: tuple[int, ...] = ()


@dataclass(frozen=True)
class Graph:
    """Units and nodes, both in topological order."""

    units: tuple[UnitNode, ...]
    nodes: tuple[Node, ...]
    pipelines: tuple[Pipeline, ...]

    def index_of(self) -> dict[str, int]:
        """Return the index of each unit by its key."""
        return {node.key: node.index for node in self.units}


@dataclass(frozen=True, slots=True)
class _Declared:
    """One command as one experiment declared it."""

    command: Command
    experiment: str


@dataclass(slots=True)
class _Draft:
    """A unit while the graph is being built; indexes are in the order of declaration."""

    key: str
    unit: Unit
    declared: _Declared
    reads: list[Read] = field(default_factory=list)
    producers: list[int] = field(default_factory=list)

    @property
    def title(self) -> str:
        kind = self.declared.command.kind
        return f"experiment {self.declared.experiment!r}, command {kind} {self.unit.name!r}"


_Group = tuple[str, str, str, int]
"""Root, kind, hash of kind, version and params, level."""


def build_graph(pipelines: Sequence[Pipeline]) -> Graph:
    """Merge pipelines into one graph.

    Raises
    ------
    ConfigError
        If two experiments have one id.
    GraphError
        For a cycle, for two different commands that claim one output, for an input that refers to
        a command outside the pipelines, and for one kind with two functions.
    """
    _refuse_equal_ids(pipelines)
    declared = [
        _Declared(command, pipeline.id) for pipeline in pipelines for command in pipeline.commands
    ]
    _refuse_two_functions(declared)
    drafts = _merge_units(declared)
    _connect(drafts)
    order, depth = _topological([draft.producers for draft in drafts])
    if len(order) < len(drafts):
        raise _cycle_error(drafts, set(range(len(drafts))) - set(order))
    return _assemble(pipelines, declared, drafts, order, _group(drafts, depth))


def _refuse_equal_ids(pipelines: Sequence[Pipeline]) -> None:
    seen: set[tuple[str, str]] = set()
    for pipeline in pipelines:
        if (pipeline.root, pipeline.id) in seen:
            raise ConfigError(
                f"two experiments have the id {pipeline.id!r}.",
                where=pipeline.root,
                mend="Give each experiment its own id.",
            )
        seen.add((pipeline.root, pipeline.id))


def _refuse_two_functions(declared: Iterable[_Declared]) -> None:
    known: dict[str, _Declared] = {}
    for item in declared:
        first = known.setdefault(item.command.kind, item)
        if first.command.function != item.command.function:
            raise GraphError(
                f"the kind {item.command.kind!r} has two functions: {first.command.function} "
                f"({first.experiment}) and {item.command.function} ({item.experiment}).",
                mend="Rename one of the two kinds.",
            )


def _merge_units(declared: Iterable[_Declared]) -> list[_Draft]:
    """Keep the first declaration of every unit."""
    drafts: dict[str, _Draft] = {}
    for item in declared:
        for key, unit in zip(item.command.unit_keys, item.command.units, strict=True):
            if key not in drafts:
                drafts[key] = _Draft(key, unit, item)
    return list(drafts.values())


def _connect(drafts: Sequence[_Draft]) -> None:
    """Find for every input who produces it."""
    index = {draft.key: i for i, draft in enumerate(drafts)}
    pinned = _pinned_outputs(drafts)
    for draft in drafts:
        for name, value in draft.unit.each_input():
            if isinstance(value, Ref):
                if value.key not in index:
                    raise GraphError(
                        f"input {name!r} refers to a command that is not in the pipeline.",
                        where=draft.title,
                        mend="Add the command whose output it reads to the pipeline.",
                    )
                draft.reads.append(Read(name, "", index[value.key], value.output))
            elif (uri := normalise(value)) in pinned:
                draft.reads.append(Read(name, "", *pinned[uri]))
            else:
                draft.reads.append(Read(name, uri))
        draft.producers = sorted({read.producer for read in draft.reads if not read.source})


def _pinned_outputs(drafts: Sequence[_Draft]) -> dict[str, tuple[int, str]]:
    """Map the URI of every pinned output to its unit and the output's name."""
    pinned: dict[str, tuple[int, str]] = {}
    for i, draft in enumerate(drafts):
        for name, place in draft.unit.outputs.items():
            if not is_pinned(place):
                continue
            uri = normalise(place)
            other, _ = pinned.setdefault(uri, (i, name))
            if other != i:
                raise GraphError(
                    f"{uri} is claimed as output by two commands: {drafts[other].title} "
                    f"and {draft.title}.",
                    mend="Give one of the two another output, or leave the place to Swath.",
                )
    return pinned


def _topological(producers: Sequence[Iterable[int]]) -> tuple[list[int], list[int]]:
    """Order items after what they read; items on a cycle, or behind one, are left out.

    Returns
    -------
    order
        Indexes; ties keep the order of declaration.
    depth
        Length of the longest path from an item without producers, per item.
    """
    waiting = [0] * len(producers)
    consumers: list[list[int]] = [[] for _ in producers]
    for item, edges in enumerate(producers):
        for producer in edges:
            waiting[item] += 1
            consumers[producer].append(item)
    depth = [0] * len(producers)
    order = [item for item, count in enumerate(waiting) if count == 0]
    for item in order:  # grows while it is walked
        for consumer in consumers[item]:
            depth[consumer] = max(depth[consumer], depth[item] + 1)
            waiting[consumer] -= 1
            if waiting[consumer] == 0:
                order.append(consumer)
    return order, depth


def _cycle_error(drafts: Sequence[_Draft], stuck: set[int]) -> GraphError:
    """Walk back along stuck producers until a unit comes twice, and tell that loop."""
    path = [min(stuck)]
    while (step := next(p for p in drafts[path[-1]].producers if p in stuck)) not in path:
        path.append(step)
    loop = [*path[path.index(step) :], step][::-1]
    lines = []
    for producer, consumer in pairwise(loop):
        output = next(r.output for r in drafts[consumer].reads if r.producer == producer)
        place = drafts[producer].unit.outputs.get(output, output)
        lines.append(f"{drafts[consumer].title} reads {place} of {drafts[producer].title}")
    return GraphError(
        "the commands form a cycle: " + "; ".join(lines) + ".",
        mend="Let one of them write to another place.",
    )


def _group(drafts: Sequence[_Draft], depth: Sequence[int]) -> list[_Group]:
    """Say for every unit which node it belongs to.

    Commands alike in root, kind, version and parameters are one node if that makes no cycle
    between nodes: alike commands at one level never do. Should levels of whole commands not be
    enough (one unit of a command reads, by a detour, another unit of it), every unit goes by its
    own depth, along which edges only ascend.
    """

    def groups(levels: Iterable[int]) -> list[_Group]:
        commands = (draft.declared.command for draft in drafts)
        return [
            (command.root, command.kind, command.params_key, level)
            for command, level in zip(commands, levels, strict=True)
        ]

    level: dict[int, int] = defaultdict(int)
    for i, draft in enumerate(drafts):
        level[id(draft.declared)] = max(level[id(draft.declared)], depth[i])
    by_command = groups(level[id(draft.declared)] for draft in drafts)
    edges = _group_edges(drafts, by_command)
    number = {group: i for i, group in enumerate(edges)}
    order, _ = _topological([{number[group] for group in upstream} for upstream in edges.values()])
    return by_command if len(order) == len(edges) else groups(depth)


def _group_edges(drafts: Sequence[_Draft], group: Sequence[_Group]) -> dict[_Group, set[_Group]]:
    """Return for every group the groups that it reads from, in the order of declaration."""
    edges: dict[_Group, set[_Group]] = {name: set() for name in group}
    for i, draft in enumerate(drafts):
        edges[group[i]].update(group[producer] for producer in draft.producers)
    return edges


def _assemble(
    pipelines: Sequence[Pipeline],
    declared: Iterable[_Declared],
    drafts: Sequence[_Draft],
    order: Sequence[int],
    group: Sequence[_Group],
) -> Graph:
    """Give units and nodes their numbers, in topological order, and freeze them."""
    edges = _group_edges(drafts, group)
    names = list(edges)
    number = {name: i for i, name in enumerate(names)}
    node_order, _ = _topological([{number[name] for name in edges[own]} for own in names])
    rank = {names[old]: new for new, old in enumerate(node_order)}
    new_index = {old: new for new, old in enumerate(order)}
    experiments: dict[int, dict[str, None]] = defaultdict(dict)
    nodes: dict[int, Node] = {}
    users = _users(declared)
    units: list[UnitNode] = []
    for new, old in enumerate(order):
        draft = drafts[old]
        node = rank[group[old]]
        if node not in nodes:
            key = f"{draft.declared.command.kind}-{fingerprint_of(group[old])[:12]}"
            upstream = tuple(sorted(rank[name] for name in edges[group[old]]))
            nodes[node] = Node(node, key, draft.declared.command, upstream=upstream)
        units.append(
            UnitNode(
                index=new,
                key=draft.key,
                unit=draft.unit,
                node=node,
                producers=tuple(sorted(new_index[p] for p in draft.producers)),
                reads=tuple(
                    read if read.source else read._replace(producer=new_index[read.producer])
                    for read in draft.reads
                ),
            )
        )
        nodes[node].units.append(new)
        experiments[node].update(users[draft.key])
    for node, ids in experiments.items():
        nodes[node].experiments = tuple(ids)
    return Graph(tuple(units), tuple(nodes[i] for i in range(len(nodes))), tuple(pipelines))


def _users(declared: Iterable[_Declared]) -> Mapping[str, dict[str, None]]:
    """Return for every unit's key the experiments that declare it, in order."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    for item in declared:
        for key in item.command.unit_keys:
            users[key][item.experiment] = None
    return users
