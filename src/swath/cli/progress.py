"""The progress of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO

from swath.cli.render import duration
from swath.plan.plan import Plan
from swath.run.events import Event
from swath.run.status import RunStatus, SplitState, SplitStatus

QUIET_S = 10.0
"""Plain lines tell the progress inside one unit at most this often, in seconds."""


class Progress:
    """Takes events and shows them; use it as a context manager around a run."""

    def __init__(self, splits: Iterable[SplitStatus], stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._splits = {split.key: split for split in splits}
        self._started = time.monotonic()
        self._last_told = 0.0
        self._live: Any = None
        self._shown: AbstractContextManager[Any] = nullcontext()
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self._stream)
            self._live = Live(console=console, refresh_per_second=8, get_renderable=self._table)
            self._shown = self._live

    def __enter__(self) -> Progress:
        self._shown.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.__exit__(None, None, None)

    def emit(self, event: Event) -> None:
        """Take one event."""
        split = self._splits.get(event.split)
        if split is None:
            return
        split.take(event)
        if self._live is None:
            self._tell(split, event)
        elif event.what == "warning":
            self._live.console.print(f"warning: {split.kind} {event.data['text']}", markup=False)

    def _tell(self, split: SplitStatus, event: Event) -> None:
        """Write a line for what is worth one."""
        data, now = event.data, time.monotonic()
        if event.what == "unit_done":
            self._line(f"{split.kind} {data['unit']} done in {duration(data['seconds'])}")
        elif event.what == "unit_failed":
            self._line(f"{split.kind} {data['unit']} FAILED: {data['error']}")
        elif event.what == "failed" and not split.failures:
            self._line(f"{split.kind} FAILED: {data['error']}")
        elif event.what == "warning":
            self._line(f"warning: {split.kind} {data['text']}")
        elif event.what == "progress" and now - self._last_told >= QUIET_S:
            self._last_told = now
            self._line(f"{split.kind} {_progress_text(split)}")

    def _line(self, text: str) -> None:
        elapsed = duration(time.monotonic() - self._started)
        print(f"[{elapsed}] {text}", file=self._stream, flush=True)

    def _table(self) -> Any:
        """Draw one row per kind of command."""
        from rich.table import Table

        drawn = Table(box=None, pad_edge=False, caption_justify="left")
        drawn.add_column("command")
        drawn.add_column("units", justify="right")
        drawn.add_column("splits", justify="right")
        drawn.add_column("now", no_wrap=True, overflow="ellipsis")  # one line each, however long
        for kind in dict.fromkeys(split.kind for split in self._splits.values()):
            splits = [split for split in self._splits.values() if split.kind == kind]
            done = sum(split.n_done for split in splits)
            total = sum(split.n_units for split in splits)
            ended = sum(split.state is SplitState.DONE for split in splits)
            drawn.add_row(kind, f"{done}/{total}", f"{ended}/{len(splits)}", _now(splits))
        drawn.caption = f"{duration(time.monotonic() - self._started)} so far"
        return drawn


def of_plan(plan: Plan) -> Progress:
    """Return the progress of a plan that is going to be run."""
    nodes = plan.graph.nodes
    return Progress(
        SplitStatus(split.key, nodes[split.node].command.kind, n_units=len(split.units))
        for split in plan.splits
    )


def following(status: RunStatus) -> Progress:
    """Return the progress of a run that was started before, and is as `status` tells."""
    status.update()
    return Progress(status.splits.values())


def _now(splits: list[SplitStatus]) -> str:
    """Return what the splits of a kind do now, in rich's markup."""
    from rich.markup import escape

    failed = [split for split in splits if split.failures or split.state is SplitState.FAILED]
    if failed:
        error = failed[0].failures[0][1] if failed[0].failures else failed[0].error
        return f"[red]failed:[/red] {escape(error)}"
    running = [split for split in splits if split.state is SplitState.RUNNING]
    if running:
        return escape(" | ".join(_progress_text(split) for split in running[:3]))
    if all(split.state is SplitState.DONE for split in splits):
        return "[green]done[/green]"
    return "waiting"


def _progress_text(split: SplitStatus) -> str:
    """Return, for example, ``model 60 % loss 0.31``."""
    if split.progress is None:
        return "starting"
    unit, done, total = split.progress
    numbers = " ".join(f"{name} {value:.4g}" for name, value in split.numbers.items())
    share = f"{100 * done / total:.0f} %" if total else ""
    return " ".join(part for part in (unit, share, numbers) if part)
