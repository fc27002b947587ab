"""Runners: the two small protocols, and what every run has in common.

A *driven* backend is started split by split by our loop (`swath.run.drive`); a *submitted* backend
takes the whole graph at once and orders it itself. What a runner can do is data, never a question
of its class.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Protocol

from swath.errors import ConfigError
from swath.plan.plan import Plan
from swath.run.events import Emit
from swath.run.folder import RunFolder
from swath.settings import Settings


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a runner can do.

    Attributes
    ----------
    is_remote
        True if workers run on other machines; local URIs and local plugin files are refused then.
    parallelism
        Splits that run at once.
    """

    is_remote: bool = False
    parallelism: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    done, failed, waiting
        Keys of splits: done, failed, and never started because something before them failed.
    """

    done: tuple[str, ...]
    failed: tuple[str, ...]
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunContext:
    """What a runner is given.

    Attributes
    ----------
    folder
        The run; assignments are written.
    plan
        What to run.
    settings
        Of the user.
    keep_going
        True to finish what does not depend on a failure.
    emit
        Takes the events of all splits as they come.
    """

    folder: RunFolder
    plan: Plan
    settings: Settings
    keep_going: bool
    emit: Emit


class Runner(Protocol):
    """Carries out a plan and returns when it has ended.

    Raises `InterruptedRunError` after stopping everything if the user interrupts.
    """

    @property
    def abilities(self) -> Abilities:
        """What this runner can do."""
        ...

    def refuse(self) -> None:
        """Raise a `DeclarationError` if something that this runner needs is missing.

        Called before anything of a run is written.
        """
        ...

    def run(self, context: RunContext) -> Outcome:
        """Execute every split of the plan, in order."""
        ...


class DrivenBackend(Protocol):
    """Starts one split at a time on request."""

    def start(self, key: str) -> None:
        """Start a split; returns at once."""
        ...

    def wait(self) -> Mapping[str, bool]:
        """Wait until at least one started split has ended; return success by key."""
        ...

    def cancel(self) -> None:
        """Stop everything that was started."""
        ...


MakeRunner = Callable[[Settings], Runner]

_RUNNERS = {
    "inprocess": "swath.run.inprocess:InProcessRunner",
    "local": "swath.run.local:LocalRunner",
}


def runner_names() -> list[str]:
    """Return the names of all runners, those of installed plugins included."""
    return [*_RUNNERS, *sorted(point.name for point in entry_points(group="swath.runners"))]


def make_runner(name: str, settings: Settings) -> Runner:
    """Return the runner of this name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name in _RUNNERS:
        module, _, attribute = _RUNNERS[name].partition(":")
        make: MakeRunner = getattr(importlib.import_module(module), attribute)
        return make(settings)
    for point in entry_points(group="swath.runners"):
        if point.name == name:
            make = point.load()
            return make(settings)
    known = runner_names()
    close = get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}."
    raise ConfigError(f"there is no runner {name!r}.", mend=hint)


def outcome_of(plan: Plan, done: Sequence[str], failed: Sequence[str]) -> Outcome:
    """Sort the splits of a plan by how they ended."""
    ended = {*done, *failed}
    waiting = tuple(split.key for split in plan.splits if split.key not in ended)
    return Outcome(tuple(done), tuple(failed), waiting)
