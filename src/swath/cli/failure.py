"""What went wrong in a run, as its client tells it at the end."""

from __future__ import annotations

from collections.abc import Iterator

from swath.errors import RunError
from swath.run.folder import RunFolder
from swath.run.runner import Outcome
from swath.run.status import RunStatus

MOST = 20
"""Failures that are told; the rest is counted."""


def failure_of(folder: RunFolder, outcome: Outcome) -> RunError:
    """Name the failed units, the reasons, what was not done for it, and what to do."""
    status = RunStatus(folder)
    status.update()
    lines = list(_failed(status, outcome)) or list(_never_started(status, outcome))
    if not lines:
        lines.append(f"it ended before any split did; see {folder.machine_path}")
    if len(lines) > MOST:
        lines[MOST:] = [f"and {len(lines) - MOST} more"]
    lines += _left(folder, outcome)
    return RunError(
        "the run failed:\n  " + "\n  ".join(lines),
        where=folder.uri,
        mend=f"See swath logs {folder.uri}; the same command, or swath retry {folder.uri}, runs "
        f"exactly what is left.",
    )


def _failed(status: RunStatus, outcome: Outcome) -> Iterator[str]:
    for split in status.splits.values():
        for unit, error, _ in split.failures:
            yield f"{split.kind} {unit}: {error}"
        if not split.failures and split.key in outcome.failed:
            yield f"{split.kind} ({split.key}): {split.error}"


def _never_started(status: RunStatus, outcome: Outcome) -> Iterator[str]:
    for key in outcome.waiting:
        if reason := outcome.reasons.get(key):
            yield f"{status.splits[key].kind} ({key}) did not start: {reason}"


def _left(folder: RunFolder, outcome: Outcome) -> Iterator[str]:
    """Count what cannot be done, and what could have been."""
    behind = set(outcome.failed)
    for split in folder.read_plan()["splits"]:
        if not behind.isdisjoint(split["upstream"]):
            behind.add(split["key"])
    dependants = behind.intersection(outcome.waiting)
    if dependants:
        n, verb = len(dependants), "depends" if len(dependants) == 1 else "depend"
        yield f"{n} {_splits(n)} that {verb} on it did not start."
    if outcome.failed and (others := len(outcome.waiting) - len(dependants)):
        was, them = ("was", "it") if others == 1 else ("were", "them")
        yield (
            f"{others} other {_splits(others)} {was} not started after that; --keep-going would do "
            f"{them}."
        )


def _splits(n: int) -> str:
    return "split" if n == 1 else "splits"
