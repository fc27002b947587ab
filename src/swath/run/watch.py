"""Watching a run: its events are passed on, and a cancel from anywhere is heard.

On a disk that costs nothing. On a store each look is a few requests, so it is not looked at more
often than people read.
"""

from __future__ import annotations

import time

from swath.run.events import EventReader
from swath.run.folder import CANCELLED
from swath.run.runner import RunContext

STORE_LOOK_S = 1.0
"""Seconds between two looks at a run on a store."""


class Watch:
    """Watches one run for its client.

    Parameters
    ----------
    context
        The run.
    reads_events
        False if the workers tell their events to the context themselves.
    """

    def __init__(self, context: RunContext, *, reads_events: bool = True) -> None:
        self._context = context
        self._reader = context.events or EventReader(context.folder) if reads_events else None
        self._pause_s = 0.0 if context.folder.is_local else STORE_LOOK_S
        self._next = 0.0

    def is_cancelled(self, *, at_once: bool = False) -> bool:
        """Pass on events and return whether somebody has cancelled the run.

        Where a look costs something, that is left for later unless it has to be `at_once`: before
        anything is started again that may just have been stopped.
        """
        now = time.monotonic()
        if now < self._next and not at_once:
            return False
        self._next = now + self._pause_s
        self.pass_on()
        return self._context.folder.has(CANCELLED)

    def pass_on(self) -> None:
        """Pass on all events that are new."""
        for event in self._reader.new() if self._reader is not None else ():
            self._context.emit(event)
