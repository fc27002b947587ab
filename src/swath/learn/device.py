"""Where torch computes, and with how many threads; settings that are put back afterwards."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from swath.errors import ConfigError

WHERE = "run.device"  # the setting that a worker hands on as options["device"]


def device_of(options: Mapping[str, Any]) -> torch.device:
    """Return the device that ``options["device"]`` names; ``auto`` is a GPU if there is one.

    Raises
    ------
    ConfigError
        If the name is none of ``auto``, ``cpu``, ``cuda`` and ``cuda:<number>``, or there is no
        such GPU.
    """
    name = str(options.get("device", "auto"))
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ConfigError(
            f"{name!r} is no device.",
            where=WHERE,
            mend="Use auto, cpu, cuda, or cuda:1 and so on for one of several GPUs.",
        )
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if n_gpus else "cpu"
    if name.startswith("cuda") and not n_gpus:
        raise ConfigError(
            "there is no GPU that torch can use.",
            where=WHERE,
            mend="Use the device cpu or auto, or install a torch built for this GPU.",
        )
    device = torch.device(name)
    if ":" in name and device.index >= n_gpus:
        raise ConfigError(
            f"there is no {name!r}; torch can use {n_gpus}, counted from 0.",
            where=WHERE,
            mend=f"Use a device up to cuda:{n_gpus - 1}.",
        )
    return device


def threads_of(options: Mapping[str, Any]) -> int:
    """Return ``options["threads"]``, or the number of cores this process may use."""
    threads = options.get("threads")
    return int(threads) if threads else len(os.sched_getaffinity(0))


@contextmanager
def torch_settings(device: torch.device, n_threads: int) -> Iterator[None]:
    """Use `n_threads` and deterministic algorithms inside; put back what was set before.

    On a GPU some operations have no deterministic form; there, results may differ in the last
    digits from run to run.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(n_threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
