"""Containers that are processes of this machine.

A fake service has no images: it runs a container's command as a process in a session of its own,
with a folder of its own to stand in and a file for what it prints. When the process ends, whatever
it left behind in its session ends with it, as in a container.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

STOP_PATIENCE_S = 30.0
"""Seconds between SIGTERM and SIGKILL; the default of ECS, and so of AWS Batch."""

Programs = Mapping[str, Sequence[str]]
"""What runs here in place of a program of the image: ``{"swath": [python, "-m", "swath"]}``."""


def default_programs() -> dict[str, list[str]]:
    """Return `swath` and `python` of an image as the interpreter that runs the tests."""
    python = [sys.executable]
    return {"swath": [*python, "-m", "swath"], "python": python, "python3": python}


class Container:
    """One run of a container's command.

    Parameters
    ----------
    command
        Program and arguments; no shell looks at them.
    environment
        All the variables that the process sees.
    folder
        A new folder, in which the process stands.
    log
        The file that takes its standard output and error.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        folder.mkdir(parents=True)
        self._reaping = threading.Lock()
        self._reaped = False
        self._killer: threading.Timer | None = None
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait(self) -> int:
        """Wait for the end of the process, end what it left running, and return its exit code.

        A process that a signal ended exits with 128 plus the number of it, as Docker tells it.
        """
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.signal(signal.SIGKILL)  # while the number of the group is still ours
        with self._reaping:
            self._reaped = True
            code = self._process.wait()
            if self._killer is not None:
                self._killer.cancel()
        return code if code >= 0 else 128 - code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started, if it has not ended yet."""
        with self._reaping:
            if not self._reaped:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    def stop(self, patience_s: float) -> None:
        """Ask the process to end, and end it after `patience_s`; returns at once."""
        self.signal(signal.SIGTERM)
        with self._reaping:
            if not self._reaped and self._killer is None:
                self._killer = threading.Timer(patience_s, self.signal, [signal.SIGKILL])
                self._killer.daemon = True
                self._killer.start()


class Machine:
    """Where the containers of one fake run: programs, environment, folders, and their end.

    Parameters
    ----------
    programs
        What is run in place of a program of the image; `default_programs` if not given. Other
        programs are looked up on the PATH.
    environment
        Variables that every container sees beside its own. If not given, those of this process
        at the time a container starts.
    folder
        Where the containers stand and print; kept. If not given, a temporary folder that is
        removed when the machine is closed.
    """

    def __init__(
        self,
        *,
        programs: Programs | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._programs = default_programs() if programs is None else dict(programs)
        self._environment = environment
        self._removal = None
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="swath-fake-"))
            self._removal = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._running: set[Container] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> Container | None:
        """Start a container's command; None once the machine is closed.

        Raises
        ------
        OSError
            If there is no such program, or the arguments are too long.
        """
        inherited = os.environ if self._environment is None else self._environment
        program, *arguments = command
        log.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if self._closed:
                return None
            container = Container(
                [*self._programs.get(program, [program]), *arguments],
                {**inherited, **environment},
                self.folder / "containers" / uuid.uuid4().hex,
                log,
            )
            self._running.add(container)
        return container

    def wait(self, container: Container) -> int:
        """Wait for the end of a container, and return its exit code."""
        code = container.wait()
        with self._lock:
            self._running.discard(container)
        return code

    def close(self) -> None:
        """End every container, and start no more."""
        with self._lock:
            self._closed = True
            for container in self._running:
                container.signal(signal.SIGKILL)

    def remove(self) -> None:
        """Remove the folder, if it was temporary; after everybody who waits has returned."""
        if self._removal is not None:
            self._removal()
