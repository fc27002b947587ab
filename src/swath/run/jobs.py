"""Jobs: how the splits of a run become arrays of jobs that wait for each other.

For backends that hold the graph themselves. Which splits form an array is told by
`swath.run.arrays`; here arrays get names, a limit of length, and what they wait for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from swath.plan.command import Resources
from swath.run.arrays import arrays_of
from swath.run.splits import RunSplit


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
    """
    memory = memory or {}
    kept = [i for i, split in enumerate(splits) if wanted is None or split.key in wanted]
    chosen = set(kept)
    upstream = {i: [p for p in splits[i].upstream if p in chosen] for i in kept}
    arrays = [[i] for i in kept]
    if array_size > 1:
        arrays = arrays_of(
            {i: splits[i].node for i in kept},
            upstream,
            {i: memory[splits[i].key] for i in kept if splits[i].key in memory},
            has_array_edges=has_array_edges,
        )
    groups = [part for array in arrays for part in _chunked(array, max(array_size, 1))]
    names = [_name(prefix, splits[group[0]]) for group in groups]
    place = {i: (g, n) for g, group in enumerate(groups) for n, i in enumerate(group)}
    jobs: list[Job] = []
    for group, name in zip(groups, names, strict=True):
        after = []
        for g, edges in _edges(group, upstream, place).items():
            is_each = has_array_edges and _is_each(edges, len(group), len(groups[g]))
            after.append(Edge(names[g], is_each))
        first = splits[group[0]]
        own = memory.get(first.key, first.resources.memory_gib)
        job = Job(
            name=name,
            kind=first.kind,
            splits=tuple(splits[i].key for i in group),
            after=tuple(after),
            resources=replace(first.resources, memory_gib=own),
        )
        jobs += _relayed(job, max_after)
    return jobs


def _name(prefix: str, first: RunSplit) -> str:
    """Name a job by its run, and by command, number and fingerprint of its first split."""
    # What tells runs, rounds and splits apart stands at the ends; AWS takes 128 characters.
    parts = (prefix[-48:], first.key[-60:], first.fingerprint[:8])
    return "-".join(re.sub("[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)


def _chunked(members: Sequence[int], size: int) -> list[Sequence[int]]:
    return [members[n : n + size] for n in range(0, len(members), size)]


def _edges(
    group: Sequence[int],
    upstream: Mapping[int, Sequence[int]],
    place: Mapping[int, tuple[int, int]],
) -> dict[int, list[tuple[int, int]]]:
    """Return, for each group that this one reads from, the positions in it and in this one."""
    found: dict[int, list[tuple[int, int]]] = {}
    for n, i in enumerate(group):
        for p in upstream[i]:
            g, position = place[p]
            found.setdefault(g, []).append((position, n))
    return found


def _is_each(edges: Sequence[tuple[int, int]], length: int, other_length: int) -> bool:
    """Tell whether each element waits for the same element of the other array, and for no more."""
    return length == other_length == len(edges) > 1 and all(p == n for p, n in edges)


def _relayed(job: Job, max_after: int) -> list[Job]:
    """Put relays before a job that waits for more jobs than one can."""
    if not max_after or len(job.after) <= max_after:
        return [job]
    # One place is for the last relay. More edges of elements than that wait for whole arrays.
    each = tuple(edge for edge in job.after if edge.is_each)[: max_after - 1]
    others = tuple(replace(edge, is_each=False) for edge in job.after if edge not in each)
    relays: list[Job] = []
    while len(each) + len(others) > max_after:
        name = f"{job.name}-after-{len(relays)}"
        relays.append(Job(name, "", (), others[:max_after], Resources()))
        others = (*others[max_after:], Edge(name, is_each=False))
    return [*relays, replace(job, after=each + others)]
