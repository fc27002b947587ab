"""GPUs of this machine, each used by one split at a time.

Make knows no resources but jobs, so the worker itself waits for a free device: it holds a lock on
a file per device, which the kernel gives back when the worker ends, however it ends. In a job of
Slurm the devices are those of the job, which may number them anew: what is locked is its own.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from pathlib import Path


def devices() -> list[str]:
    """Return the devices that this process may use, as CUDA numbers or names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    return [path.name[6:] for path in sorted(Path("/dev").glob("nvidia[0-9]*"))]


def take_devices(n_gpus: int, *, poll_s: float = 0.5) -> list[int]:
    """Wait for `n_gpus` free devices and make them the only visible ones of this process.

    Without any device, or without a wish, nothing is done: commands then run on the CPU.

    Returns
    -------
    list of int
        File descriptors of the locks; closing them gives the devices back.
    """
    known = devices()
    if n_gpus == 0 or not known:
        return []
    wanted = min(n_gpus, len(known))
    job = os.environ.get("SLURM_JOB_ID", "")
    folder = Path(tempfile.gettempdir()) / f"swath-gpus-{os.getuid()}{job and '-' + job}"
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        held: dict[str, int] = {}
        for name in known:
            descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            held[name] = descriptor
            if len(held) == wanted:
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held)
                return list(held.values())
        for descriptor in held.values():
            os.close(descriptor)
        time.sleep(poll_s)
