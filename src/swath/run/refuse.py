"""Refusals: what cannot end well is refused before anything is started or paid for."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from swath.errors import ConfigError, DeclarationError, Problems, StoreError, SwathError
from swath.plan.command import Pipeline, is_pinned
from swath.plan.plan import Plan
from swath.run.runner import Abilities, Finding, Runner, Severity
from swath.run.splits import RunSplit
from swath.store import is_local, join, local_path, open_store
from swath.store.uri import MEMORY, scheme_of

RESERVE_BYTES = 64 * 1024**2
"""Disk space that a run leaves free."""

MOST_PLACES = 20
"""Files that an error lists; the rest is counted."""


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


def refuse_run(plan: Plan, name: str, runner: Runner, splits: Sequence[RunSplit]) -> list[Finding]:
    """Refuse, for every reason at once, what this runner cannot carry out.

    Parameters
    ----------
    plan, splits
        What is to be run.
    name, runner
        Who is to run it.

    Returns
    -------
    list of Finding
        The warnings.

    Raises
    ------
    DeclarationError
        For files that its workers cannot reach, and for all errors that it finds itself.
    """
    errors: list[SwathError] = [*out_of_reach(plan, runner.abilities, name)]
    warnings: list[Finding] = []
    try:
        for finding in runner.findings(splits):
            if finding.severity is Severity.ERROR:
                errors.append(ConfigError(finding.what, mend=finding.mend or None))
            elif finding.severity is Severity.WARNING:
                warnings.append(finding)
    except DeclarationError as error:
        errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else Problems(errors)
    return warnings


def out_of_reach(plan: Plan, abilities: Abilities, runner: str) -> Iterator[ConfigError]:
    """Yield an error for the files of this machine, and one for those of this process only.

    Each lists every place once, with what names it.
    """
    named = _places(plan)
    local = {place: by for place, by in named.items() if is_local(place)}
    if local and not abilities.sees_local_files:
        yield ConfigError(
            f"the runner {runner!r} works on other machines, which cannot reach:{_listed(local)}",
            mend="Put files on an object store, and code into an installed package.",
        )
    memory = {place: by for place, by in named.items() if scheme_of(place) == MEMORY}
    if memory and not abilities.is_in_client:
        yield ConfigError(
            f"the runner {runner!r} works in other processes, and only this one has:"
            f"{_listed(memory)}",
            mend="Give a folder or an object store, or run it with inprocess.",
        )


def _places(plan: Plan) -> dict[str, dict[str, None]]:
    """Return every URI of a plan, and every file of its code, with the names of who uses it."""
    found: dict[str, dict[str, None]] = {}

    def note(place: str, name: str) -> None:
        found.setdefault(place, {})[name] = None

    for split in plan.splits:
        command = plan.graph.nodes[split.node].command
        note(command.root, "root_uri")
        module = command.function.rpartition(":")[0]
        if module.endswith(".py"):
            note(module, f"code of the kind {command.kind}")
        for i in split.units:
            for name, place in plan.graph.units[i].unit.outputs.items():
                if is_pinned(place):
                    note(place, f"{plan.title(i)}, output {name}")
            for read in plan.graph.units[i].reads:
                if read.source:
                    note(read.source, f"{plan.title(i)}, input {read.name}")
    return found


def _listed(named: Mapping[str, Mapping[str, None]]) -> str:
    """Return a line for each place, with those who name it; of many, only the first."""
    lines = [f"{place}: {_some(list(by), 3, '; ')}" for place, by in named.items()]
    return "\n  " + _some(lines, MOST_PLACES, "\n  ")


def _some(texts: Sequence[str], most: int, between: str) -> str:
    more = [f"... and {len(texts) - most} more"] if len(texts) > most else []
    return between.join([*texts[:most], *more])
