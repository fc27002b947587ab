"""A tether: the worker of a split that stops when whoever started it is gone.

The starter keeps the writing end of the worker's standard input and writes nothing. However it
ends, killed with -9 included, the kernel closes that end, and the worker reads the end of the file.
Without this, the split of an engine's process that was killed would run on beside its second try.
"""

from __future__ import annotations

import os
import signal
import threading
import time

GRACE_S = 5.0
"""Seconds from being asked to stop until being killed."""


def stop_with_starter() -> None:
    """Stop this process when its standard input ends: politely, then for good.

    What it does from now on has an empty standard input.
    """
    tether = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_wait_and_stop, args=(tether,), daemon=True).start()


def _wait_and_stop(tether: int) -> None:
    while os.read(tether, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    if os.getpgrp() == os.getpid():  # its children, too, where they are surely ours
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
