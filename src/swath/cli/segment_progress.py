"""The progress of a segmentation in this process: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Self, TextIO

QUIET_S = 10.0
"""Plain lines come at most this often, in seconds."""


class SegmentProgress:
    """Is told tiles that are done, and shows them; use it in a `with` statement."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}
        self._began = self._last = time.monotonic()
        self._began_stage: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description:<10}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} tiles  {task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
            )
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, text: str) -> None:
        """Show a line."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False)
        else:
            print(text, file=self._stream, flush=True)

    def advance(self, stage: str, done: int, total: int, pixels: int) -> None:
        """Show that `done` of `total` tiles of a stage are done, with so many pixels."""
        now = time.monotonic()
        begun = self._began_stage.setdefault(stage, self._last if self._tasks else self._began)
        rate = f"{pixels / 1e6 / max(now - begun, 1e-9):.1f} Mpx/s"
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(stage, total=total, rate=rate)
            self._bar.update(self._tasks[stage], completed=done, rate=rate)
        elif now - self._last >= QUIET_S:
            self._last = now
            self.tell(f"[{now - self._began:.0f} s] {stage}: {done}/{total} tiles, {rate}")
