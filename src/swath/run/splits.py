"""The splits of a run as its folder tells them: what a runner orders, wherever it is asked.

Read back from the plan of the run, so that a client that comes later, on another machine, without
the declaration, has all that the first one had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from swath.plan.canonical import fingerprint_of
from swath.plan.command import Resources
from swath.settings import Settings


@dataclass(frozen=True, slots=True)
class RunSplit:
    """One share of a command.

    Attributes
    ----------
    key
        Unique in the run, safe in file names.
    kind, node
        Of its command, and the key of its node in the plan.
    n_units
        Units in it.
    fingerprint
        Hash of the fingerprints of its units: two runs that would do the same have the same.
    resources
        What its process needs.
    upstream
        Indexes of the splits whose outputs it reads, ascending.
    """

    key: str
    kind: str
    node: str
    n_units: int
    fingerprint: str
    resources: Resources
    upstream: tuple[int, ...]


def splits_of(plan: Mapping[str, Any], settings: Settings) -> tuple[RunSplit, ...]:
    """Return the splits of a plan, as JSON, in topological order; settings override resources."""
    nodes = {node["key"]: node for node in plan["nodes"]}
    prints = {
        node["key"]: {unit["name"]: unit["fingerprint"] for unit in node["units"]}
        for node in plan["nodes"]
    }
    numbers = {split["key"]: i for i, split in enumerate(plan["splits"])}
    resources = {
        key: resources_of(node["kind"], Resources(**node["resources"]), settings)
        for key, node in nodes.items()
    }
    return tuple(
        RunSplit(
            key=split["key"],
            kind=nodes[split["node"]]["kind"],
            node=split["node"],
            n_units=len(split["units"]),
            fingerprint=fingerprint_of(sorted(prints[split["node"]][u] for u in split["units"])),
            resources=resources[split["node"]],
            upstream=tuple(sorted(numbers[key] for key in split["upstream"])),
        )
        for split in plan["splits"]
    )


def resources_of(kind: str, declared: Resources, settings: Settings) -> Resources:
    """Return what a split of this kind gets: what the user set for the kind, else what it declares.

    No GPU is asked for where models are to compute on the CPU (``run.device``).
    """
    own = settings.of_command(kind)
    gpus = 0 if settings.text("run.device") == "cpu" else int(own.get("gpus", declared.gpus))
    memory = own.get("memory_gib", declared.memory_gib)
    cpus = own.get("cpus", declared.cpus)
    limit = own.get("time_limit_s", declared.time_limit_s)
    return replace(
        declared,
        gpus=gpus,
        memory_gib=None if memory is None else float(memory),
        cpus=None if cpus is None else int(cpus),
        time_limit_s=None if limit is None else int(limit),
    )
