"""Where the time of a segmentation went, so that the right number of workers can be read off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

STAGES = (
    "read",
    "cluster",
    "clump",
    "settle",
    "eliminate",
    "label",
    "write",
    "statistics",
    "polygons",
)
"""What workers do: read pixels; fit centres, and find each pixel's; find the clumps of a tile and
their neighbours; eliminate inside a tile; eliminate across tiles; number the segments; write the
labels; then statistics and polygons. Those that workers do together (fitting, eliminating across
tiles, and from writing on) count from begin to end for each of them."""

Stage = Callable[[str], AbstractContextManager[None]]
"""Takes the time of a stage."""


def untimed(name: str) -> AbstractContextManager[None]:  # noqa: ARG001
    """Take no time."""
    return nullcontext()


class Timings:
    """Seconds of each stage, summed over workers; safe to use from several threads.

    Attributes
    ----------
    workers
        Threads that share the work.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._busy = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()
        self._began = time.perf_counter()
        self._wall_s: float | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of what happens inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            with self._lock:
                self._busy[name] += seconds

    @contextmanager
    def of_all(self, name: str) -> Iterator[None]:
        """Count the time of what happens inside for every worker: they do it together."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            with self._lock:
                self._busy[name] += self.workers * seconds

    def stop(self) -> None:
        """Say that everything is done."""
        self._wall_s = time.perf_counter() - self._began

    @property
    def wall_s(self) -> float:
        """Seconds from begin to end, or until now."""
        return self._wall_s if self._wall_s is not None else time.perf_counter() - self._began

    def busy_s(self) -> dict[str, float]:
        """Return the seconds of each stage that took any, and of waiting, summed over workers."""
        busy = {name: seconds for name, seconds in self._busy.items() if seconds > 0}
        idle = self.workers * self.wall_s - sum(busy.values())
        return busy | {"wait": max(0.0, idle)}
