"""Which machine this is, and processes that are named together with theirs.

The number of a process means something on one machine only. A folder may be shared by several, so
whoever notes a number for others notes the machine with it, and nobody signals a number of another.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


@cache
def this_machine() -> str:
    """Name the place where the number of a process means the same one, beginning with its host.

    A host's name alone does not: containers may share it, and so may the machines of two networks.
    Linux tells its boot and the namespace of our numbers.
    """
    try:
        return f"{socket.gethostname()} {_BOOT.read_text().strip()} {_NAMESPACE.readlink()}"
    except OSError:  # not on Linux, or hidden from us
        return socket.gethostname()


@dataclass(frozen=True, slots=True)
class Process:
    """A process, or the group that it leads, on some machine.

    Attributes
    ----------
    pid
        Its number there.
    machine
        See `this_machine`.
    """

    pid: int
    machine: str

    @classmethod
    def ours(cls) -> Process:
        """Return this process."""
        return cls(os.getpid(), this_machine())

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Read what `str` wrote; None for anything else, a number alone included.

        Examples
        --------
        >>> Process.parse("12 host boot"), Process.parse("12")
        (Process(pid=12, machine='host boot'), None)
        """
        number, _, machine = text.strip().partition(" ")
        return cls(int(number), machine) if number.isdecimal() and machine else None

    @property
    def is_here(self) -> bool:
        """True if it is, or was, on this machine."""
        return self.machine == this_machine()

    @property
    def host(self) -> str:
        """The name of its host, for people."""
        return self.machine.partition(" ")[0]

    def __str__(self) -> str:
        return f"{self.pid} {self.machine}"


def is_elsewhere(machine: str) -> bool:
    """Tell whether processes that were started on `machine` may run where we cannot see them.

    A host that has been started anew since then is still the same host, and they are gone.
    """
    host, boot, *_ = [*machine.split(" "), ""]
    our_host, our_boot, *_ = [*this_machine().split(" "), ""]
    return host != our_host or (boot == our_boot and machine != this_machine())


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
