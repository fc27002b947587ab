"""Jobs: how the splits of a run become arrays of jobs that wait for each other.

For backends that hold the graph themselves. The one idea: splits of one command whose producers and
whose consumers are the same form an array; then "all of that array" and "the same element of that
array", which every scheduler can say, are the very edges of the graph and no barriers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from swath.plan.command import Resources
from swath.run.splits import RunSplit

MAX_ARRAYS = 32
"""Arrays that one command may become; above, it becomes one, and its consumers wait for all of it.

A graph in which every split of one command reads from other splits of the one before would become
as many jobs as it has splits."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What a job waits for.

    Attributes
    ----------
    job
        Name of the other job.
    is_each
        True if element i waits for element i; else all wait for all.
    """

    job: str
    is_each: bool


@dataclass(frozen=True, slots=True)
class Job:
    """Splits that are submitted together: one job, or an array of them.

    Attributes
    ----------
    name
        Unique for run, splits and round; letters, digits and ``-``, at most 128 of them.
    kind
        Of the command; empty for a *relay*, which does nothing but wait for others.
    splits
        Keys, in the order of the elements of the array.
    after
        What it waits for.
    resources
        Of each element.
    """

    name: str
    kind: str
    splits: tuple[str, ...]
    after: tuple[Edge, ...]
    resources: Resources

    @property
    def is_array(self) -> bool:
        """True if it has several elements."""
        return len(self.splits) > 1

    @property
    def is_relay(self) -> bool:
        """True if it only waits, for more jobs than one job can wait for."""
        return not self.splits

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Read what `to_json` wrote."""
        return cls(
            name=data["name"],
            kind=data["kind"],
            splits=tuple(data["splits"]),
            after=tuple(Edge(**edge) for edge in data["after"]),
            resources=Resources(**data["resources"]),
        )


def jobs_of(
    splits: Sequence[RunSplit],
    *,
    prefix: str,
    wanted: Collection[str] | None = None,
    memory: Mapping[str, float] | None = None,
    array_size: int = 0,
    has_array_edges: bool = False,
    max_after: int = 0,
) -> list[Job]:
    """Make jobs of splits, in topological order.

    Parameters
    ----------
    splits
        All splits of a run.
    prefix
        Begin of every name: the run and the round.
    wanted
        Keys of the splits to submit; what others wait for besides is taken to be there.
    memory
        Key of a split to the GiB that it is to get instead of what it asks for.
    array_size, has_array_edges, max_after
        See `swath.run.runner.Abilities`.

    Notes
    -----
    Linear in the number of edges between splits.
    """
    memory = memory or {}
    kept = [i for i, split in enumerate(splits) if wanted is None or split.key in wanted]
    chosen = set(kept)
    upstream = {i: tuple(p for p in splits[i].upstream if p in chosen) for i in kept}
    groups: list[_Group] = []
    group_of: dict[int, int] = {}
    for members in _grouped(splits, kept, upstream, memory, array_size > 1):
        ordered = _aligned(members, upstream, groups, group_of)
        for part in _chunked(ordered, max(array_size, 1)):
            after = _edges(part, upstream, groups, group_of, has_array_edges)
            group_of |= dict.fromkeys(part, len(groups))
            groups.append(_Group(tuple(part), after))
    names = [f"{prefix}-{_name(splits, group)}" for group in groups]
    jobs: list[Job] = []
    for group, name in zip(groups, names, strict=True):
        first = splits[group.members[0]]
        own = memory.get(first.key, first.resources.memory_gib)
        job = Job(
            name=name,
            kind=first.kind,
            splits=tuple(splits[i].key for i in group.members),
            after=tuple(Edge(names[g], each) for g, each in group.after.items()),
            resources=replace(first.resources, memory_gib=own),
        )
        jobs += _relayed(job, max_after)
    return jobs


@dataclass(frozen=True, slots=True)
class _Group:
    """Indexes of splits, and of the groups that they wait for with whether each for each."""

    members: tuple[int, ...]
    after: dict[int, bool]


def _name(splits: Sequence[RunSplit], group: _Group) -> str:
    """Name a group by its command and the fingerprint of its first split."""
    first = splits[group.members[0]]
    return f"{first.key.replace('_', '-')}-{first.fingerprint[:8]}"


def _grouped(
    splits: Sequence[RunSplit],
    kept: Sequence[int],
    upstream: Mapping[int, tuple[int, ...]],
    memory: Mapping[str, float],
    has_arrays: bool,
) -> list[list[int]]:
    """Cut the splits of each command into groups that can be arrays."""
    if not has_arrays:
        return [[i] for i in kept]
    by_node: dict[str, list[int]] = {}
    for i in kept:
        by_node.setdefault(splits[i].node, []).append(i)
    pairs = _one_to_one(splits, by_node, upstream)
    consumers: dict[int, list[int]] = {i: [] for i in kept}
    for i in kept:
        for p in upstream[i]:
            consumers[p].append(i)
    result: list[list[int]] = []
    for node, members in by_node.items():
        coarse: dict[object, list[int]] = {}
        fine: dict[object, list[int]] = {}
        for i in members:
            # Arrays are of one size in memory; one to one is said by an edge, it needs no groups.
            reads = tuple(p for p in upstream[i] if (splits[p].node, node) not in pairs)
            read_by = tuple(c for c in consumers[i] if (node, splits[c].node) not in pairs)
            coarse.setdefault(memory.get(splits[i].key), []).append(i)
            fine.setdefault((memory.get(splits[i].key), reads, read_by), []).append(i)
        result += (fine if len(fine) <= MAX_ARRAYS else coarse).values()
    return result


def _one_to_one(
    splits: Sequence[RunSplit],
    by_node: Mapping[str, list[int]],
    upstream: Mapping[int, tuple[int, ...]],
) -> set[tuple[str, str]]:
    """Return the (producer, consumer) pairs of nodes in which each split reads one other split."""
    read: dict[tuple[str, str], list[int]] = {}
    for node, members in by_node.items():
        for i in members:
            for p in upstream[i]:
                read.setdefault((splits[p].node, node), []).append(p)
    return {
        (producer, node)
        for (producer, node), found in read.items()
        if len(found) == len(set(found)) == len(by_node[producer]) == len(by_node[node])
        and all(sum(splits[p].node == producer for p in upstream[i]) == 1 for i in by_node[node])
    }


def _aligned(
    members: list[int],
    upstream: Mapping[int, tuple[int, ...]],
    groups: Sequence[_Group],
    group_of: Mapping[int, int],
) -> list[int]:
    """Order a group as one that it reads from split by split, if there is one."""
    for candidate in sorted({group_of[p] for p in upstream[members[0]]}):
        place = {p: n for n, p in enumerate(groups[candidate].members)}
        own = [[place[p] for p in upstream[i] if p in place] for i in members]
        if all(len(item) == 1 for item in own) and len({item[0] for item in own}) == len(members):
            return [i for _, i in sorted(zip((item[0] for item in own), members, strict=True))]
    return members


def _chunked(members: Sequence[int], size: int) -> list[list[int]]:
    parts = iter(members)
    return [part for _ in range(0, len(members), size) if (part := list(islice(parts, size)))]


def _edges(
    members: Sequence[int],
    upstream: Mapping[int, tuple[int, ...]],
    groups: Sequence[_Group],
    group_of: Mapping[int, int],
    has_array_edges: bool,
) -> dict[int, bool]:
    """Return the groups that these splits wait for, and whether each element waits for its own."""
    result: dict[int, bool] = {}
    for g in dict.fromkeys(group_of[p] for i in members for p in upstream[i]):
        other = groups[g].members
        place = {p: n for n, p in enumerate(other)}
        own = [[place[p] for p in upstream[i] if p in place] for i in members]
        is_each = len(other) == len(members) > 1 and own == [[n] for n in range(len(members))]
        result[g] = has_array_edges and is_each
    return result


def _relayed(job: Job, max_after: int) -> list[Job]:
    """Put relays before a job that waits for more jobs than one can."""
    relays: list[Job] = []
    each = tuple(edge for edge in job.after if edge.is_each)
    others = tuple(edge for edge in job.after if not edge.is_each)
    room = max_after - len(each)
    while max_after and len(others) > room:
        nearer = []
        for n in range(0, len(others), max_after):
            name = f"{job.name}-after-{len(relays)}"
            waits = others[n : n + max_after]
            relays.append(Job(name, "", (), waits, Resources()))
            nearer.append(Edge(name, is_each=False))
        others = tuple(nearer)
    return [*relays, replace(job, after=each + others)]
