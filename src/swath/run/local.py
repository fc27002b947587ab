"""The `local` runner: a Makefile, and GNU make with a bounded number of jobs.

Make orders the splits and knows what is up to date by their done files; this process follows the
events, and stops everything when the user does.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping

from swath.errors import ConfigError, InterruptedRunError
from swath.run.events import EventReader
from swath.run.folder import RunFolder
from swath.run.makefile import makefile
from swath.run.processes import GROUP, end_processes
from swath.run.runner import Abilities, Outcome, RunContext, outcome_of
from swath.settings import Settings, cores

POLL_S = 0.05

_LEAD_GROUP = 'echo $$ > "$0" && exec "$@"'
"""Script that notes its process group, which it leads, and becomes the command it is given.

The process itself writes the note, so there is no moment at which it runs and nobody knows."""


class LocalRunner:
    """Runs every split as a process of its own on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._jobs = settings.count("local.jobs", cores())
        self._make = settings.text("local.make")

    @property
    def abilities(self) -> Abilities:
        """As many splits at once as there are jobs."""
        return Abilities(parallelism=self._jobs)

    def refuse(self) -> None:
        """Refuse a machine without GNU make."""
        self._find_make()

    def run(self, context: RunContext) -> Outcome:
        """Write the Makefile, run make on it, and follow what its workers tell.

        Raises
        ------
        InterruptedRunError
            If the user interrupts; all processes of the run are gone then.
        """
        make = self._find_make()
        folder = context.folder
        (folder.path / "Makefile").write_bytes(os.fsencode(makefile(context.plan, folder.id)))
        alive = folder.hold("alive", inherit=True)
        try:
            arguments = [make, f"-j{self._jobs}", "--output-sync=target", "-f", "Makefile", "all"]
            if context.keep_going:
                arguments.append("--keep-going")
            with (folder.logs / "make.txt").open("ab") as log:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", _LEAD_GROUP, GROUP, *arguments],
                    cwd=folder.path,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[alive],
                )
        finally:
            os.close(alive)  # make and its workers hold it now
        self._follow(context, process)
        return _outcome(context, folder)

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

    def _follow(self, context: RunContext, process: subprocess.Popen[bytes]) -> None:
        """Pass on events until make has ended; stop the run if the user interrupts."""
        reader = EventReader(context.folder.events)
        try:
            while process.poll() is None:
                for event in reader.new():
                    context.emit(event)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            # A second Ctrl-C must not stop the stopping.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                end_processes(context.folder)
                process.wait()
            finally:
                signal.signal(signal.SIGINT, before)
            raise InterruptedRunError(
                "the run was interrupted; what was finished stays finished.",
                mend="Run again to go on.",
            ) from None
        finally:
            for event in reader.new():
                context.emit(event)
        if process.returncode < 0:  # make was killed: its workers must not outlive it
            end_processes(context.folder)


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


def _outcome(context: RunContext, folder: RunFolder) -> Outcome:
    """Tell by the done files what is done, and by the events what failed."""
    done = [s.key for s in context.plan.splits if (folder.done / s.key).exists()]
    started = {path.stem for path in folder.events.glob("*.jsonl")}
    failed = [s.key for s in context.plan.splits if s.key in started and s.key not in set(done)]
    return outcome_of(context.plan, done, failed)
