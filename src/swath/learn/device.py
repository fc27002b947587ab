"""Where torch computes, and with how many threads; settings that are put back afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from swath.errors import ConfigError


def device_of(options: Mapping[str, Any]) -> torch.device:
    """Return the device that ``options["device"]`` names; ``auto`` is a GPU if there is one.

    Raises
    ------
    ConfigError
        If a GPU is asked for and there is none.
    """
    name = options.get("device", "auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if str(name).startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            "there is no GPU that torch can use.",
            where="options.device",
            mend="Use device = 'cpu' or 'auto', or install a torch built for this GPU.",
        )
    return torch.device(name)


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
