"""A Slurm of one node on this machine, for tests and to try the runner `slurm`.

It is the real thing, without systemd, cgroups or a database, and needs no root: controller and node
are processes of this user that end with the one that started them. Ports, keys and state are its
own, so that several may run side by side. As a program it runs until it is interrupted::

    python -m swath.testing.slurm
"""

from __future__ import annotations

import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from swath.errors import ConfigError, RunError

PROGRAMS = ("munged", "slurmctld", "slurmd", "setpriv", "sbatch")
"""What has to be installed: Debian's packages slurm-wlm, munge and util-linux."""

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_START_S = 30.0
_STOP_S = 10.0


class OneNodeSlurm:
    """A controller and one node, with the partitions `cpu` (the default) and `gpu`.

    Parameters
    ----------
    cpus
        Cores that the node says it has, whatever it has.
    memory_mib
        Memory that it says it has, of which a job that does not say gets 500 for each core.
    gpus
        Pretended GPUs, of the partition `gpu`.
    options
        Further options of slurm.conf, or other values, for example ``{"MaxArraySize": "4"}``.

    Attributes
    ----------
    environment
        Variables with which Slurm's commands reach it.

    Examples
    --------
    >>> with OneNodeSlurm() as slurm:  # doctest: +SKIP
    ...     subprocess.run(["sinfo"], env={**os.environ, **slurm.environment})
    """

    def __init__(
        self,
        *,
        cpus: int = 4,
        memory_mib: int = 8192,
        gpus: int = 1,
        options: Mapping[str, str] | None = None,
    ) -> None:
        if missing := missing_programs():
            raise ConfigError(
                f"there is no {missing[0]} here.", mend="apt-get install slurm-wlm munge"
            )
        # Not below a folder of the caller: the path of a socket has at most 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="swath-slurm-"))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._node = socket.gethostname().partition(".")[0]
        self.environment = {"SLURM_CONF": str(self._folder / "slurm.conf")}
        self._write(cpus, memory_mib, gpus, options or {})

    def _write(self, cpus: int, memory_mib: int, gpus: int, options: Mapping[str, str]) -> None:
        folder, node = self._folder, self._node
        for name in ("spool", "state"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        user, (control, daemon) = _user(), _free_ports(2)
        settings = {
            "ClusterName": "one-node",
            "SlurmctldHost": f"{node}(127.0.0.1)",
            "SlurmUser": user,
            "SlurmdUser": user,
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={folder}/munge.socket",
            "CryptoType": "crypto/munge",
            "SlurmctldPort": str(control),
            "SlurmdPort": str(daemon),
            "StateSaveLocation": f"{folder}/state",
            "SlurmdSpoolDir": f"{folder}/spool",
            "SlurmctldPidFile": f"{folder}/slurmctld.pid",
            "SlurmdPidFile": f"{folder}/slurmd.pid",
            "SlurmdParameters": "config_overrides",  # the node has what it says
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            # Looked at every second, for there are no cgroups: more than was asked for is killed.
            "JobAcctGatherType": "jobacct_gather/linux",
            "JobAcctGatherFrequency": "1",
            "JobAcctGatherParams": "OverMemoryKill",
            "AccountingStorageType": "accounting_storage/none",
            "MpiDefault": "none",
            "SwitchType": "switch/none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory",
            "DefMemPerCPU": "500",
            "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,sched_min_interval=0,"
            "bf_interval=1",
            "ReturnToService": "2",
            "KillWait": "2",
            "MaxArraySize": "1001",
            "GresTypes": "gpu",
            **options,
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        offer = f"CPUs={cpus} RealMemory={memory_mib} Gres=gpu:{gpus}"
        lines += [
            f"NodeName={node} NodeAddr=127.0.0.1 {offer} State=UNKNOWN",
            f"PartitionName=cpu Nodes={node} Default=YES MaxTime=2-0 State=UP",
            f"PartitionName=gpu Nodes={node} MaxTime=1-0 State=UP",
        ]
        (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        pretended = "".join(f"NodeName={node} Name=gpu File=/dev/null\n" for _ in range(gpus))
        (folder / "gres.conf").write_text(pretended)

    def __enter__(self) -> Self:
        folder = self._folder
        munged = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key"]
        munged += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid"]
        munged += [f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed"]
        try:
            self._start(munged)
            self._wait_until("munged", (folder / "munge.socket").exists)
            self._start_controller()
            self._start(["slurmd", "-D", "-f", f"{folder}/slurm.conf"])
            self._wait_until("slurmd", self._is_idle)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self, arguments: list[str]) -> None:
        with (self._folder / f"{arguments[0]}.out").open("wb") as log:
            process = subprocess.Popen(
                # Should this process be killed, they end, too.
                ["setpriv", "--pdeathsig", "TERM", *arguments],
                env={**os.environ, **self.environment, "PATH": _PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes[arguments[0]] = process

    def _start_controller(self) -> None:
        self._start(["slurmctld", "-D", "-f", f"{self._folder}/slurm.conf"])

    def _end(self, program: str) -> None:
        process = self._processes.pop(program, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextmanager
    def controller_away(self) -> Iterator[None]:
        """Stop the controller while inside: nothing is answered, and what runs goes on."""
        self._end("slurmctld")
        try:
            yield
        finally:
            self._start_controller()

    def _wait_until(self, program: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + _START_S
        while not holds():
            ended = any(process.poll() is not None for process in self._processes.values())
            if ended or time.monotonic() > end:
                logs = {path.name: path.read_text() for path in self._folder.glob("*.out")}
                told = "".join(f"\n{name}: {text[-1000:]}" for name, text in sorted(logs.items()))
                raise RunError(f"Slurm did not start: {program} does not answer.{told}")
            time.sleep(0.05)

    def _is_idle(self) -> bool:
        return self.asked("sinfo", "--noheader", "--partition=cpu", "--format=%T") == "idle"

    def asked(self, *arguments: str) -> str:
        """Return what one of Slurm's commands prints; empty if it fails."""
        told = subprocess.run(
            arguments,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.strip() if told.returncode == 0 else ""

    def cancel_all(self) -> None:
        """Cancel every job, and wait until its processes are gone."""
        self.asked("scancel", f"--user={_user()}")
        end = time.monotonic() + _STOP_S
        while self.asked("squeue", "--noheader") and time.monotonic() < end:
            time.sleep(0.05)

    def stop(self) -> None:
        """End all jobs and daemons, and remove their files."""
        if self._processes:
            self.cancel_all()
        for program in ("slurmd", "slurmctld", "munged"):
            self._end(program)
        shutil.rmtree(self._folder, ignore_errors=True)


def missing_programs() -> list[str]:
    """Return what has to be installed and is not."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _free_ports(n: int) -> list[int]:
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [int(server.getsockname()[1]) for server in opened]
    for server in opened:
        server.close()
    return ports


def main() -> None:
    """Run a Slurm until it is interrupted, and say how it is reached."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), OneNodeSlurm() as slurm:
        for name, value in slurm.environment.items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
