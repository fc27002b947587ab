"""The life of a run: started, followed, taken up again, waited for, cancelled, tried again.

A client needs the folder of the run and nothing else, so it may be another one, on another machine,
than the one that started it. One idea: a run is over once it says so (`OUTCOME`), and until then
whoever has it in hand (`swath.run.lease`) follows it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from swath.errors import ConfigError, DeclarationError, InterruptedRunError
from swath.plan.command import Pipeline
from swath.run.events import Emit, EventReader, ignore
from swath.run.folder import CANCELLED, OUTCOME, RUN, RunFolder, last_run, runs_of
from swath.run.interrupt import interruptible
from swath.run.lease import client_of, in_hand, is_in_hand, is_locked
from swath.run.prepare import results_of_run, write_results
from swath.run.processes import end_processes
from swath.run.runner import Cause, Outcome, RunContext, Runner, Seen, make_runner
from swath.run.splits import splits_of
from swath.settings import saved_settings
from swath.store import is_local

CLIENT_LOG = "client.log"
"""What a client in the background prints, in the folder of the run on this machine."""


@dataclass(frozen=True, slots=True)
class Life:
    """A run with its runner, as any client finds it in the folder of the run."""

    runner: Runner
    context: RunContext

    @classmethod
    def of(cls, folder: RunFolder, emit: Emit = ignore, events: EventReader | None = None) -> Life:
        """Take up a run; what `events` has read is not told to `emit` any more.

        Raises
        ------
        ConfigError
            If its folder does not tell which runner has it.
        """
        about = folder.read(RUN)
        if about is None:
            raise ConfigError(
                "the run does not say which runner has it.",
                where=folder.uri,
                mend="It was written by an older Swath; run the experiment again.",
            )
        settings = saved_settings(about["settings"])
        splits = splits_of(folder.read_plan(), settings)
        context = RunContext(folder, splits, settings, about["keep_going"], emit, events)
        return cls(make_runner(about["runner"], settings), context)

    def start(self) -> None:
        """Start what is not done; whoever calls has it in hand, and may be interrupted."""
        try:
            with interruptible(lambda: self.runner.cancel(self.context)):
                self.runner.start(self.context)
        except InterruptedRunError:
            _conclude(self.context.folder, None)
            raise

    def follow(self) -> Outcome:
        """Follow it to its end, which is written down; whoever calls has it in hand."""
        folder = self.context.folder
        try:
            outcome = self.runner.follow(self.context)
        except InterruptedRunError:
            _conclude(folder, None)
            raise
        _conclude(folder, outcome)
        return outcome

    def wait_until_still(self) -> None:
        """Wait for what was cancelled, and may take a while to stop."""
        while any(not item.has_ended for item in self.runner.look(self.context).values()):
            time.sleep(max(0.2, self.runner.abilities.poll_s / 4))

    def detach(self) -> None:
        """Let it go on without this client; what needs one gets one in the background."""
        folder = self.context.folder
        folder.write(RUN, folder.read(RUN) | {"detached": True})
        if not self.runner.abilities.needs_client:
            return
        folder.machine_path.mkdir(parents=True, exist_ok=True)
        with (folder.machine_path / CLIENT_LOG).open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "swath", "wait", folder.uri],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _conclude(folder: RunFolder, outcome: Outcome | None) -> None:
    """Write down how a run ended; None: it was stopped."""
    data: dict[str, Any] = {"ended": time.time(), "stopped": outcome is None}
    if outcome is not None:
        data |= {
            "failed": {key: outcome.reasons.get(key, "") for key in outcome.failed},
            "causes": {key: cause.value for key, cause in outcome.causes.items()},
            "waiting": {key: outcome.reasons.get(key, "") for key in outcome.waiting},
        }
    folder.write(OUTCOME, data)
    write_results(results_of_run(folder.read_plan()))


def outcome_in(folder: RunFolder) -> Outcome | None:
    """Return how a run ended; None if it goes on.

    Raises
    ------
    InterruptedRunError
        If it was stopped.
    """
    data = folder.read(OUTCOME)
    if data is None:
        return None
    if data["stopped"]:
        raise InterruptedRunError(f"the run {folder.id} was stopped.", mend="Run again to go on.")
    return Outcome(
        done=tuple(sorted(folder.done())),
        failed=tuple(data["failed"]),
        waiting=tuple(data["waiting"]),
        reasons={k: reason for k, reason in (data["failed"] | data["waiting"]).items() if reason},
        causes={key: Cause(cause) for key, cause in data["causes"].items()},
    )


def goes_on(folder: RunFolder, seen: Mapping[str, Seen] | None = None) -> bool:
    """Tell whether anything of a run is still going on, here or elsewhere.

    Parameters
    ----------
    folder
        The run.
    seen
        What the backend says of its splits, see `look`; None: it is not asked, and what may go on
        is taken to do so.
    """
    if is_locked(folder, "alive") or is_in_hand(folder):
        return True
    if folder.has(OUTCOME) or (about := folder.read(RUN)) is None:
        return False
    if seen is not None and all(item.has_ended for item in seen.values()):
        return False
    abilities = make_runner(about["runner"], saved_settings(about["settings"])).abilities
    return abilities.outlives_client and not abilities.has_lock


def look(folder: RunFolder) -> Mapping[str, Seen]:
    """Ask the backend what has become of the splits of a run; empty if that is over."""
    if folder.has(OUTCOME) or not goes_on(folder):
        return {}
    life = Life.of(folder)
    return life.runner.look(life.context)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What earlier clients left of the same experiments.

    Attributes
    ----------
    ended
        Ids of runs whose left-over processes on this machine were ended.
    going_on
        Runs that go on without a client; followed to their end before anything is planned.
    """

    ended: list[str]
    going_on: list[RunFolder]


def settle_with_earlier_runs(pipelines: Sequence[Pipeline]) -> Earlier:
    """End what a killed client left on this machine, and find what goes on elsewhere.

    Raises
    ------
    DeclarationError
        If somebody has one of these experiments in hand now.
    """
    earlier = Earlier([], [])
    ids = {pipeline.id for pipeline in pipelines}
    for folder in _earlier_runs(pipelines):
        is_alive, is_followed = is_locked(folder, "alive"), is_in_hand(folder)
        if folder.has(OUTCOME) and not is_alive and not is_followed:
            continue
        about = folder.read(RUN)
        same = ids & set(about["experiments"]) if about is not None else set()
        if is_followed:
            if same:
                raise DeclarationError(
                    f"experiment {min(same)!r} is being run now, by run {folder.id}.",
                    where=folder.root,
                    mend=f"Wait for it, or stop it with: swath cancel {folder.uri}",
                )
        elif is_alive and not (about and about["detached"]):
            end_processes(folder)
            earlier.ended.append(folder.id)
        elif same and goes_on(folder):
            earlier.going_on.append(folder)
    return earlier


def _earlier_runs(pipelines: Sequence[Pipeline]) -> list[RunFolder]:
    """Return the runs of every local root, and the last run of each experiment, wherever it lies.

    A run of experiments with several roots has its folder below the first of them.
    """
    roots = dict.fromkeys(pipeline.root for pipeline in pipelines)
    found = {folder.uri: folder for root in roots if is_local(root) for folder in runs_of(root)}
    for pipeline in pipelines:
        folder = last_run(pipeline)
        if folder is not None and folder.uri not in found and folder.has(RUN):
            found[folder.uri] = folder
    return list(found.values())


def take_up(folder: RunFolder, emit: Emit = ignore, events: EventReader | None = None) -> Outcome:
    """Follow a run that goes on to its end; starts what an earlier client had not come to.

    Parameters
    ----------
    folder
        The run.
    emit
        Is called with every event as it comes.
    events
        Has read what is not to be told any more; default: everything is told.

    Raises
    ------
    InterruptedRunError
        If it was stopped.
    """
    events = events or EventReader(folder)
    while is_in_hand(folder):
        _pass_on(events, emit)
        time.sleep(0.2 if folder.is_local else 2.0)
    with in_hand(folder):
        _pass_on(events, emit)
        outcome = outcome_in(folder)
        if outcome is None:
            outcome = Life.of(folder, emit, events).follow()
    return outcome


def _pass_on(events: EventReader, emit: Emit) -> None:
    for event in events.new():
        emit(event)


def try_again(
    folder: RunFolder,
    emit: Emit = ignore,
    events: EventReader | None = None,
    *,
    is_detached: bool = False,
) -> Outcome | None:
    """Run what of a run failed, and what never started for that reason; None if detached.

    Parameters
    ----------
    folder, emit, events
        See `take_up`.
    is_detached
        True to return once everything is started.

    Raises
    ------
    ConfigError
        If it goes on, or if everything is done.
    """
    if goes_on(folder):
        raise ConfigError(
            f"the run {folder.id} is still going on.",
            where=folder.uri,
            mend=f"Wait for it: swath wait {folder.uri}",
        )
    life = Life.of(folder, emit, events)
    with in_hand(folder):
        if {split.key for split in life.context.splits} <= folder.done():
            raise ConfigError(f"everything of the run {folder.id} is done.", where=folder.uri)
        life.wait_until_still()
        folder.remove(OUTCOME)
        folder.remove(CANCELLED)
        life.start()
        if not is_detached:
            return life.follow()
        life.detach()
    return None


def cancel(folder: RunFolder, *, patience_s: float = 15.0) -> bool:
    """Stop a run, wherever it is; return whether it was going on.

    A client that has it in hand is asked to stop it, as if its user had pressed Ctrl-C.
    """
    if not goes_on(folder):
        return False
    folder.write(CANCELLED, {"time": time.time()})
    if is_in_hand(folder) and (client := client_of(folder)) is not None:
        with suppress(ProcessLookupError):
            os.kill(client, signal.SIGTERM)
    end = time.monotonic() + patience_s
    while is_in_hand(folder) and time.monotonic() < end:
        time.sleep(0.05)
    if not folder.has(OUTCOME):
        life = Life.of(folder)
        life.runner.cancel(life.context)
        _conclude(folder, None)
    return True
