"""A Dask scheduler and its workers on loopback, each a process of its own, with TLS or without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from swath.errors import RunError
from swath.optional import require

_START_S = 60.0
_DEATH_S = 20
"""Seconds after which a worker that has lost its scheduler ends itself."""

_CLIENT = {"ca_file": "tls_ca_file", "certificate": "tls_client_cert", "key": "tls_client_key"}
_SERVER = {"ca_file": "--tls-ca-file", "certificate": "--tls-cert", "key": "--tls-key"}
"""What Dask calls the three files of TLS."""


class DaskServers:
    """A Dask scheduler and workers, started as people start them, and ended in any case.

    Parameters
    ----------
    workers
        How many to start with, named ``worker-0`` and so on; each does one task at once.
    tls
        True for encrypted connections, with certificates made for these servers.
    environment
        Variables that the servers see beside those of this process; Dask's own settings, too.

    Attributes
    ----------
    address
        Of the scheduler.
    settings
        Settings of Swath with which its runner reaches it.
    client
        A client of `distributed` that is connected to it.

    Examples
    --------
    >>> with DaskServers(workers=0) as servers:
    ...     servers.settings == {"dask.address": servers.address}
    True
    """

    def __init__(
        self, *, workers: int = 2, tls: bool = False, environment: Mapping[str, str] | None = None
    ) -> None:
        self._dask = require("distributed", extra="testing", purpose="for a Dask on this machine")
        self.address = ""
        self.settings: dict[str, str] = {}
        self.client: Any = None
        self._n_workers = workers
        self._has_tls = tls
        self._environment = os.environ | (environment or {})
        self._tls: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._held = ExitStack()
        self._folder = Path()

    def __enter__(self) -> Self:
        with self._held as held:
            self._folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            held.callback(self._end)
            self._start_scheduler()
            self.client = held.enter_context(self._connect())
            names = [f"worker-{i}" for i in range(self._n_workers)]
            for name in names:
                self._spawn_worker(name, (), {})
            for name in names:
                self._wait_for_worker(name)
            self._held = held.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._held.close()

    def start_worker(self, name: str, *options: str, **resources: int) -> None:
        """Start one more worker, and wait until the scheduler knows it.

        Parameters
        ----------
        name
            As the scheduler shows it.
        options
            More words for ``dask worker``.
        resources
            What it offers, for example ``GPU=1``.
        """
        self._spawn_worker(name, options, resources)
        self._wait_for_worker(name)

    def workers(self) -> set[str]:
        """Return the names of the workers that the scheduler knows."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        return {str(told["name"]) for told in known.values()}

    def process_of(self, name: str) -> subprocess.Popen[bytes]:
        """Return the process of a worker, or of the ``scheduler``."""
        return self._processes[name]

    def end_worker(self, name: str, *, kill: bool = False) -> None:
        """End a worker, with SIGTERM or SIGKILL, and wait until the scheduler has noticed."""
        process = self._processes.pop(name)
        (process.kill if kill else process.terminate)()
        process.wait()
        self._wait_until(lambda: name not in self.workers(), f"the end of {name}")

    def log(self, name: str) -> str:
        """Return what a worker, or the ``scheduler``, has printed."""
        return (self._folder / f"{name}.txt").read_text()

    def _start_scheduler(self) -> None:
        if self._has_tls:
            from swath.testing.certificates import write_certificate

            certificate, key = map(str, write_certificate(self._folder))
            self._tls = {"ca_file": certificate, "certificate": certificate, "key": key}
        contact = self._folder / "scheduler.json"
        protocol = "tls" if self._has_tls else "tcp"
        words = ["--host", "127.0.0.1", "--port", "0", "--protocol", protocol]
        # Who holds this object may be killed: without work, the scheduler ends after a while.
        words += ["--scheduler-file", str(contact), "--idle-timeout", "600 s"]
        self._spawn("scheduler", words)
        self._wait_until(contact.is_file, "scheduler")
        self.address = json.loads(contact.read_text())["address"]
        self.settings = {"dask.address": self.address}
        self.settings |= {f"dask.{key}": path for key, path in self._tls.items()}

    def _connect(self) -> Any:
        words = {
            "ca_file": "tls_ca_file",
            "certificate": "tls_client_cert",
            "key": "tls_client_key",
        }
        # Without any: to name them at all is to ask for encryption.
        security = self._dask.Security(**{words[key]: path for key, path in self._tls.items()})
        return self._dask.Client(self.address, security=security, set_as_default=False)

    def _spawn_worker(self, name: str, options: tuple[str, ...], resources: dict[str, int]) -> None:
        words = [self.address, "--name", name, "--nthreads", "1", "--no-nanny"]
        words += ["--death-timeout", f"{_DEATH_S} s", "--local-directory", str(self._folder)]
        if resources:
            words += ["--resources", " ".join(f"{key}={n}" for key, n in resources.items())]
        self._spawn(name, [*words, *options])

    def _spawn(self, name: str, words: list[str]) -> None:
        role = "scheduler" if name == "scheduler" else "worker"
        words += [word for key, path in self._tls.items() for word in (_SERVER[key], path)]
        words += ["--dashboard-address", "127.0.0.1:0"]
        with (self._folder / f"{name}.txt").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "dask", role, *words],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _wait_for_worker(self, name: str) -> None:
        self._wait_until(lambda: name in self.workers(), name)

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_S
        while not condition():
            process = self._processes.get(what)
            if time.monotonic() > deadline or (process is not None and process.poll() is not None):
                said = self.log(what)[-2000:] if process is not None else ""
                raise RunError(f"waited in vain for {what} of Dask. {said}")
            time.sleep(0.05)

    def _end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
