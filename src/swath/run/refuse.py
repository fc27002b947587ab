"""Refusals: what cannot end well is refused before anything is started or paid for."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterable, Sequence

from swath.errors import ConfigError, Problems, StoreError, SwathError
from swath.plan.command import Pipeline, is_pinned
from swath.plan.plan import Plan
from swath.run.runner import Abilities, Finding, Runner, Severity
from swath.run.splits import RunSplit
from swath.store import is_local, join, local_path, open_store

RESERVE_BYTES = 64 * 1024**2
"""Disk space that a run leaves free."""


def refuse_unwritable(pipelines: Iterable[Pipeline]) -> None:
    """Make every root, and refuse those that this user cannot write to or that nothing serves.

    Raises
    ------
    ConfigError
        Naming the folder.
    """
    for root in dict.fromkeys(pipeline.root for pipeline in pipelines):
        probe = join(root, f".probe-{socket.gethostname()}-{os.getpid()}")
        try:
            store = open_store(root)  # refuses what no installed store serves
            store.write(probe, b"")
            store.delete(probe)
        except StoreError as error:
            known = None if is_local(root) else error.mend
            raise ConfigError(
                f"root_uri {root!r} cannot be written to: {error.what}",
                mend=known or "Give a folder that you may write to.",
            ) from None


def refuse_full_disk(plan: Plan) -> None:
    """Refuse a plan whose estimated outputs do not fit on the disk of their root.

    Raises
    ------
    ConfigError
        With the estimate, what is free, and the folder.
    """
    needed: dict[str, int] = {}
    for split in plan.splits:
        root = plan.graph.nodes[split.node].command.root
        size = sum(plan.graph.units[i].unit.output_bytes for i in split.units)
        needed[root] = needed.get(root, 0) + size
    for root, size in needed.items():
        if not is_local(root):
            continue
        free = shutil.disk_usage(local_path(root)).free
        if size + RESERVE_BYTES > free:
            raise ConfigError(
                f"the outputs take about {size / 2**20:.0f} MiB, and {root} has "
                f"{free / 2**20:.0f} MiB free, of which {RESERVE_BYTES // 2**20} stay in reserve.",
                mend="Free some space, choose another root_uri, or select fewer commands.",
            )


def refuse_local(plan: Plan, abilities: Abilities, runner: str) -> None:
    """Refuse what workers on other machines could not reach.

    Raises
    ------
    ConfigError
        Listing every local URI and every kind that lives in a local file.
    """
    if abilities.sees_local_files:
        return
    found: dict[str, None] = {}
    for split in plan.splits:
        command = plan.graph.nodes[split.node].command
        if command.function.rpartition(":")[0].endswith(".py"):
            found[f"kind {command.kind}: its code is in {command.function}, a local file"] = None
        if is_local(command.root):
            found[f"root_uri: {command.root}"] = None
        for i in split.units:
            for name, place in plan.graph.units[i].unit.outputs.items():
                if is_pinned(place) and is_local(place):
                    found[f"{plan.title(i)}, output {name}: {place}"] = None
            for read in plan.graph.units[i].reads:
                if read.source and is_local(read.source):
                    found[f"{plan.title(i)}, input {read.name}: {read.source}"] = None
    if found:
        raise ConfigError(
            f"the runner {runner!r} works on other machines, which cannot reach:\n  "
            + "\n  ".join(found),
            mend="Put files on an object store, and code into an installed package.",
        )


def refuse_findings(runner: Runner, splits: Sequence[RunSplit]) -> list[Finding]:
    """Check what the runner needs for these splits, and refuse the run for every error at once.

    Returns
    -------
    list of Finding
        The warnings.

    Raises
    ------
    DeclarationError
        For all errors.
    """
    findings = list(runner.findings(splits))
    errors: list[SwathError] = [
        ConfigError(finding.what, mend=finding.mend or None)
        for finding in findings
        if finding.severity is Severity.ERROR
    ]
    if errors:
        raise errors[0] if len(errors) == 1 else Problems(list(errors))
    return [finding for finding in findings if finding.severity is Severity.WARNING]
