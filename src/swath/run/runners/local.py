"""The `local` runner: a Makefile, and GNU make with a bounded number of jobs.

Make orders the splits and knows what is up to date by their done files; this process follows the
events, and stops everything when the user does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swath.errors import ConfigError, RunError
from swath.run.folder import CANCELLED, RunFolder
from swath.run.interrupt import interruptible, stopped
from swath.run.lease import is_locked, lock
from swath.run.machine import this_machine
from swath.run.processes import GROUP, end_processes
from swath.run.runner import (
    Abilities,
    Finding,
    Outcome,
    RunContext,
    Seen,
    Severity,
    outcome_of,
)
from swath.run.runners.makefile import makefile
from swath.run.splits import RunSplit
from swath.run.watch import Watch
from swath.settings import Settings, cores

POLL_S = 0.05
"""Seconds between two looks at make."""

MAKEFILE = "Makefile"

MAKE_LOG = "make.log"
"""What make itself prints, beside the logs of the splits."""

_LEAD_GROUP = 'echo "$$ $1" > "$0" && shift && exec "$@"'
"""Script that notes its process group, which it leads, with its machine, and becomes the command
it is given.

The process itself writes the note, so there is no moment at which it runs and nobody knows."""


class LocalRunner:
    """Runs every split as a process of its own on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._jobs = settings.count("local.jobs", cores())
        self._make = settings.text("local.make")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def abilities(self) -> Abilities:
        """As many splits at once as there are jobs; make goes on without its client."""
        return Abilities(parallelism=self._jobs, outlives_client=True, has_lock=True)

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:  # noqa: ARG002
        """Find GNU make."""
        yield Finding(Severity.FINE, f"GNU make is {self._find_make()}")

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """Return the Makefile."""
        return [{MAKEFILE: makefile(context.splits, context.folder)}]

    def start(self, context: RunContext) -> None:
        """Write the Makefile and run make on it, unless it is at work already."""
        folder = context.folder
        if is_locked(folder, "alive"):
            return
        make = self._find_make()
        here = folder.machine_path
        for name in ("logs", "done"):
            (here / name).mkdir(parents=True, exist_ok=True)
        (here / MAKEFILE).write_bytes(os.fsencode(makefile(context.splits, folder)))
        alive = lock(folder, "alive", inherit=True)
        try:
            (here / GROUP).unlink(missing_ok=True)  # of an earlier start
            arguments = [make, f"-j{self._jobs}", "--output-sync=target", "-f", MAKEFILE, "all"]
            if context.keep_going:
                arguments.append("--keep-going")
            with (here / MAKE_LOG).open("ab") as log:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _LEAD_GROUP, GROUP, this_machine(), *arguments],
                    cwd=here,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[alive],
                )
        finally:
            os.close(alive)  # make and its workers hold it now

    def follow(self, context: RunContext) -> Outcome:
        """Pass on what the workers tell until make and they have ended.

        Raises
        ------
        InterruptedRunError
            If the user interrupts; all processes of the run are gone then.
        RunError
            If it was started elsewhere: from here nobody sees whether its processes go on.
        """
        folder, watch = context.folder, Watch(context)
        if not folder.is_local and not (folder.machine_path / MAKEFILE).exists():
            raise RunError(
                f"the run {folder.id} was not started on this machine.",
                where=folder.uri,
                mend="Wait for it where it was started, or run the experiment again here.",
            )
        try:
            with interruptible(lambda: self.cancel(context)):
                while self._is_at_work(folder):
                    if watch.is_cancelled():
                        self.cancel(context)
                    time.sleep(POLL_S)
        finally:
            watch.pass_on()
        # If make was killed, its workers must not outlive it.
        end_processes(folder)
        if folder.has(CANCELLED):
            raise stopped()
        return _outcome(context)

    def look(self, context: RunContext) -> Mapping[str, Seen]:  # noqa: ARG002
        """Keep nothing that the folder of the run does not tell."""
        return {}

    def cancel(self, context: RunContext) -> None:
        """End make and its workers."""
        end_processes(context.folder)
        if self._process is not None:
            self._process.wait()

    def logs(self, context: RunContext, key: str) -> str:  # noqa: ARG002
        """Keep nothing: the logs of the splits are in the folder of the run."""
        return ""

    def _is_at_work(self, folder: RunFolder) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return is_locked(folder, "alive")  # started by an earlier client

    def _find_make(self) -> str:
        make = shutil.which(self._make)
        if make is None:
            raise ConfigError(
                f"there is no {self._make!r} on the path; the local runner needs GNU make.",
                mend="Install it (apt install make), or name it with --set local.make=PATH.",
            )
        version = subprocess.run([make, "--version"], capture_output=True, text=True, check=False)
        if not re.match(r"GNU Make ([4-9]|\d\d)\.", version.stdout):
            found = version.stdout.partition("\n")[0] or "something else"
            raise ConfigError(
                f"{make} is {found}; the local runner needs GNU make 4 or later.",
                mend="Name another with --set local.make=PATH.",
            )
        return make


def _environment() -> Mapping[str, str]:
    """Return our environment without what an outer make leaves for an inner one.

    The jobs and flags of a `make` that called us are not those of our make, and the descriptors of
    its job server are not open here.
    """
    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS", "MAKEFILES"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    if search := environment.get("PYTHONPATH"):  # workers start in the folder of the run
        folders = [os.path.abspath(item) for item in search.split(os.pathsep) if item]  # noqa: PTH100
        environment["PYTHONPATH"] = os.pathsep.join(folders)
    return environment


def _outcome(context: RunContext) -> Outcome:
    """Tell by the done files what is done, and by the logs of this start of make what failed."""
    done, here = context.folder.done(), context.folder.machine_path
    try:
        since = (here / MAKEFILE).stat().st_mtime_ns
    except FileNotFoundError:  # it was never started
        return outcome_of(context.splits, done, ())
    logs = (here / "logs").glob("*.txt")
    started = {path.stem for path in logs if path.stat().st_mtime_ns >= since}
    return outcome_of(context.splits, done, started - done)
