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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from swath.errors import (
    ConfigError,
    InterruptedRunError,
    RefusedError,
    RunError,
    SwathError,
    TakenOverError,
    ThrottledError,
    UnansweredError,
)
from swath.run.events import Emit, EventReader, ignore
from swath.run.folder import CANCELLED, OUTCOME, RUN, RunFolder
from swath.run.interrupt import interruptible, stopped
from swath.run.lease import Confirm, client_of, in_hand, is_in_hand, is_locked
from swath.run.machine import is_elsewhere, this_machine
from swath.run.prepare import results_of_run, write_results
from swath.run.runner import (
    Cause,
    Outcome,
    RunContext,
    Runner,
    Seen,
    make_runner,
    outcome_of,
    unconfirmed,
)
from swath.run.splits import splits_of
from swath.settings import saved_settings

CLIENT_LOG = "client.log"
"""What a client in the background prints, in the folder of the run on this machine."""

HANDOVER_S = 60.0
"""Who detaches waits this long for the client in the background to take the run over."""


@dataclass(frozen=True, slots=True)
class Life:
    """A run with its runner, as any client finds it in the folder of the run."""

    runner: Runner
    context: RunContext

    @classmethod
    def of(
        cls,
        folder: RunFolder,
        emit: Emit = ignore,
        events: EventReader | None = None,
        confirm: Confirm = unconfirmed,
    ) -> Life:
        """Take up a run.

        Parameters
        ----------
        folder
            The run.
        emit
            Is called with every event as it comes.
        events
            Has read what is not to be told any more; default: everything is told.
        confirm
            Of having the run in hand, see `swath.run.lease.in_hand`.

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
        context = RunContext(
            folder, splits, settings, about["keep_going"], emit, events, confirm=confirm
        )
        return cls(make_runner(about["runner"], settings), context)

    @property
    def is_hidden(self) -> bool:
        """True if processes that outlive their client are seen on their machine only.

        Their locks are there, and the folder of the run, which all see, is on a store.
        """
        return self._leaves_processes and not self.context.folder.is_local

    @property
    def _leaves_processes(self) -> bool:
        """True if its processes are on one machine, and go on there without their client."""
        abilities = self.runner.abilities
        return abilities.has_lock and abilities.outlives_client

    def _note_machine(self) -> None:
        """Note where its processes are: a run may be tried again on another machine."""
        about = self.context.folder.read(RUN)
        if self._leaves_processes and about.get("machine") != this_machine():
            self.context.folder.write(RUN, about | {"machine": this_machine()})

    def refuse_elsewhere(self) -> None:
        """Refuse to call a run stopped whose processes may go on on another machine.

        Raises
        ------
        RunError
            If they were started there, nobody has them in hand, and not everything is done.
        """
        folder = self.context.folder
        machine = folder.read(RUN).get("machine", this_machine())
        if not self._leaves_processes or not is_elsewhere(machine) or is_in_hand(folder):
            return
        if {split.key for split in self.context.splits} <= folder.done():
            return
        host = machine.partition(" ")[0]
        raise RunError(
            f"the run {folder.id} was started on {host!r}, and its client there is gone; processes "
            f"on {host!r} cannot be stopped from here.",
            where=folder.uri,
            mend=f"Stop them there: swath cancel {folder.uri}",
        )

    def start(self) -> None:
        """Start what is not done; whoever calls has it in hand, and may be interrupted.

        What is refused half way is stopped, and the run is over: the next one may have other
        settings. Where a service has not answered, the next client goes on from there.
        """
        self._note_machine()
        try:
            with interruptible(lambda: self.runner.cancel(self.context)):
                self.runner.start(self.context)
        except InterruptedRunError:
            _conclude(self.context.folder, None)
            raise
        except (TakenOverError, ThrottledError, UnansweredError):
            raise
        except SwathError as error:
            self._give_up(error)
            raise
        self.heed_cancel()

    def heed_cancel(self) -> None:
        """Stop, if somebody has cancelled it: they could not know all that was being started.

        Raises
        ------
        InterruptedRunError
            If it was stopped.
        """
        if self.context.folder.has(CANCELLED):
            self.runner.cancel(self.context)
            _conclude(self.context.folder, None)
            raise stopped()

    def _give_up(self, error: SwathError) -> None:
        """Stop what was started before an error, and write down that this was the end.

        Raises
        ------
        RunError
            If it cannot be stopped; the run is not over then.
        """
        uri = self.context.folder.uri
        try:
            self.runner.cancel(self.context)
        except SwathError as other:
            raise RunError(
                f"{error} What was started before could not be stopped: {other}",
                where=uri,
                mend=f"Stop it with: swath cancel {uri}, or go on with it: swath wait {uri}",
            ) from error
        _conclude(self.context.folder, None, reason=str(error))

    def follow(self) -> Outcome:
        """Follow it to its end, which is written down; whoever calls has it in hand.

        What is refused on the way is stopped, as in `start`; what only ends this client is not.
        """
        folder = self.context.folder
        try:
            outcome = self.runner.follow(self.context)
        except InterruptedRunError:
            _conclude(folder, None)
            raise
        except RefusedError as error:
            self._give_up(error)
            raise
        self.context.confirm()
        _conclude(folder, outcome)
        return outcome

    def conclude_done(self) -> Outcome:
        """Write down that everything is done, also of a run that was stopped at the last moment."""
        splits = self.context.splits
        outcome = outcome_of(splits, [split.key for split in splits], ())
        _conclude(self.context.folder, outcome)
        return outcome

    def wait_until_still(self) -> None:
        """Wait for what was cancelled, and may take a while to stop."""
        while any(not item.has_ended for item in self.runner.look(self.context).values()):
            time.sleep(max(0.2, self.runner.abilities.poll_s / 4))

    def stop_what_is_left(self) -> bool:
        """Stop what a service still has of a run that was stopped; tell whether there was any.

        A client elsewhere may have gone on submitting for a while after it was cancelled.
        """
        ended, abilities = self.context.folder.read(OUTCOME), self.runner.abilities
        if not ended["stopped"] or abilities.has_lock or not abilities.outlives_client:
            return False
        seen = self.runner.look(self.context)
        self.runner.cancel(self.context)
        return any(not item.has_ended for item in seen.values())

    def detach(self) -> subprocess.Popen[bytes] | None:
        """Let it go on without this client.

        Returns
        -------
        subprocess.Popen or None
            The client in the background, where there has to be one: nothing new starts without, or
            nobody on another machine would hear of the processes here, nor they of a cancel.
        """
        folder, abilities = self.context.folder, self.runner.abilities
        folder.write(RUN, folder.read(RUN) | {"detached": True})
        if not (abilities.needs_client or self.is_hidden):
            return None
        folder.machine_path.mkdir(parents=True, exist_ok=True)
        with (folder.machine_path / CLIENT_LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "swath", "wait", folder.uri],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def hand_over(folder: RunFolder, client: subprocess.Popen[bytes] | None) -> None:
    """Return once the client in the background, if any, has the run in hand, or it is over.

    Nobody shall find the run without a client in between. Whoever calls has let go of it. A machine
    that is too busy to start a process in `HANDOVER_S` is not waited for any longer.

    Raises
    ------
    RunError
        If that client has ended and the run has not.
    """
    end = time.monotonic() + HANDOVER_S
    while client is not None and time.monotonic() < end:
        has_ended = client.poll() is not None  # before looking: it may end well, and soon
        if is_in_hand(folder) or folder.has(OUTCOME):
            return
        if has_ended:
            raise RunError(
                f"the client of the run {folder.id} in the background has ended with exit code "
                f"{client.returncode}.",
                where=str(folder.machine_path / CLIENT_LOG),
                mend=f"See there why. The run goes on with: swath wait {folder.uri}",
            )
        time.sleep(0.05 if folder.is_local else 0.5)


def _conclude(folder: RunFolder, outcome: Outcome | None, *, reason: str = "") -> None:
    """Write down how a run ended; None: it was stopped, for a reason or since somebody said so."""
    data: dict[str, Any] = {"ended": time.time(), "stopped": outcome is None, "reason": reason}
    if outcome is not None:
        data |= {
            "failed": {key: outcome.reasons.get(key, "") for key in outcome.failed},
            "causes": {key: cause.value for key, cause in outcome.causes.items()},
            "waiting": {key: outcome.reasons.get(key, "") for key in outcome.waiting},
        }
    folder.write(OUTCOME, data)
    write_results(results_of_run(folder.read_plan()))


def why_stopped(folder: RunFolder) -> str:
    """Return why a run was stopped; empty if it was not, or if somebody just wanted it."""
    return str((folder.read(OUTCOME) or {}).get("reason", ""))


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
        why = f": {data['reason']}" if data.get("reason") else "."
        raise InterruptedRunError(
            f"the run {folder.id} was stopped{why}", mend="Run again to go on."
        )
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
    with in_hand(folder, lambda: _pass_on(events, emit)) as confirm:
        _pass_on(events, emit)
        outcome = outcome_in(folder)
        if outcome is None:
            life = Life.of(folder, emit, events, confirm)
            life.heed_cancel()
            outcome = life.follow()
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

    Where everything is done, nothing is started.

    Parameters
    ----------
    folder, emit, events
        See `take_up`.
    is_detached
        True to return once everything is started.

    Raises
    ------
    ConfigError
        If it goes on.
    """
    if goes_on(folder):
        raise ConfigError(
            f"the run {folder.id} is still going on.",
            where=folder.uri,
            mend=f"Wait for it: swath wait {folder.uri}",
        )
    with in_hand(folder) as confirm:
        life = Life.of(folder, emit, events, confirm)
        if {split.key for split in life.context.splits} <= folder.done():
            return life.conclude_done()
        life.wait_until_still()
        folder.remove(OUTCOME)
        folder.remove(CANCELLED)
        life.start()
        if not is_detached:
            return life.follow()
        client = life.detach()
    hand_over(folder, client)
    return None


def cancel(folder: RunFolder, *, patience_s: float = 15.0) -> bool:
    """Stop a run, wherever it is; return False if there was nothing to stop any more.

    A client that has it in hand is asked to stop it, by a mark in the folder of the run, and on
    this machine as if its user had pressed Ctrl-C; not so if it alone sees the processes, since one
    that only waits would leave them. The mark is written also if nobody seems to be there, for a
    client that is just coming.

    Raises
    ------
    RunError
        If there are processes on another machine that nobody there has in hand.
    """
    life = Life.of(folder)
    had_ended = folder.has(OUTCOME)
    if had_ended and not goes_on(folder):
        return life.stop_what_is_left()
    folder.write(CANCELLED, {"time": time.time()})
    client = client_of(folder) if is_in_hand(folder) and not life.is_hidden else None
    if client is not None:
        with suppress(ProcessLookupError, PermissionError):  # then the mark is heard, later
            os.kill(client, signal.SIGTERM)
    end = time.monotonic() + patience_s
    while is_in_hand(folder) and time.monotonic() < end:
        time.sleep(0.05)
    if had_ended or not folder.has(OUTCOME):
        life.runner.cancel(life.context)
    if not folder.has(OUTCOME):
        life.refuse_elsewhere()
        _conclude(folder, None)
    return True
