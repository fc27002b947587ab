"""Watching a run: its events are passed on, and a cancel from anywhere is heard.

On a disk that costs nothing. On a store each look is a few requests, so it is not looked at more
often than people read; and a store that is away for a while does not end the watching, since the
work goes on without it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from swath.errors import (
    ForbiddenError,
    InterruptedRunError,
    RefusedError,
    RunError,
    StoreError,
    SwathError,
    TakenOverError,
    ThrottledError,
    UnansweredError,
)
from swath.run.events import EventReader
from swath.run.folder import CANCELLED, RunFolder
from swath.run.runner import RunContext

STORE_LOOK_S = 1.0
"""Seconds between two looks at a run on a store."""

LOOK_SHARE = 0.25
"""... or more, so that looking takes no more than about this share of the time."""

LONGEST_PAUSE_S = 10.0
"""... and never more than this many."""

AWAY_S = 600.0
"""A store that cannot be read is asked again for this many seconds before that ends a client."""

_LOG = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Watch:
    """Watches one run for its client.

    Parameters
    ----------
    context
        The run.
    reads_events
        False if the workers tell their events to the context themselves.
    look_s
        Seconds between two looks at a run on a store.
    away_s
        Seconds after which a store that cannot be read is given up.
    """

    def __init__(
        self,
        context: RunContext,
        *,
        reads_events: bool = True,
        look_s: float = STORE_LOOK_S,
        away_s: float = AWAY_S,
    ) -> None:
        self._context = context
        self._reader = context.events or EventReader(context.folder) if reads_events else None
        self._look_s = look_s
        self._away_s = away_s
        self._away_since: float | None = None
        self._next = 0.0

    def is_cancelled(self, *, at_once: bool = False) -> bool:
        """Pass on events and return whether somebody has cancelled the run.

        Where a look costs something, that is left for later unless it has to be `at_once`: before
        anything is started again that may just have been stopped. Then it is waited for, too, until
        a store that is away comes back.

        Raises
        ------
        StoreError
            If the store may not be read, or is away for too long.
        """
        if time.monotonic() < self._next and not at_once:
            return False
        while (told := self._asked(self._look)) is None and at_once:
            time.sleep(max(0.0, self._next - time.monotonic()))
        return bool(told)

    def pass_on(self) -> None:
        """Pass on all events that are new, as far as they can be read."""
        with suppress(StoreError):
            self._asked(self._tell)

    def _look(self) -> bool:
        self._tell()
        return self._context.folder.has(CANCELLED)

    def _tell(self) -> None:
        for event in self._reader.new() if self._reader is not None else ():
            self._context.emit(event)

    def _asked(self, look: Callable[[], Answer]) -> Answer | None:
        """Return what a look tells, and say when to look again; None while the store is away."""
        began = time.monotonic()
        try:
            answer = look()
        except ForbiddenError:
            raise
        except StoreError as error:
            now = time.monotonic()
            if self._away_since is None:
                self._away_since = began
                _LOG.warning("the run goes on, and is looked at again soon: %s", error)
            elif now - self._away_since > self._away_s:
                raise
            away_s = now - self._away_since
            self._next = now + min(max(self._look_s, away_s), LONGEST_PAUSE_S)
            return None
        self._away_since = None
        if not self._context.folder.is_local:
            now = time.monotonic()
            self._next = now + min(max(self._look_s, (now - began) / LOOK_SHARE), LONGEST_PAUSE_S)
        return answer


@contextmanager
def refusals() -> Iterator[None]:
    """Tell that a service does not take what it is given from what only ends this client.

    Raises
    ------
    RefusedError
        In place of an error of ours, unless it may pass.
    """
    try:
        yield
    except (InterruptedRunError, TakenOverError, ThrottledError, UnansweredError):
        raise
    except SwathError as error:
        raise RefusedError(error.what, where=error.where, mend=error.mend) from error


@contextmanager
def going_on(folder: RunFolder, *, has_started: Callable[[], bool]) -> Iterator[None]:
    """Say of what ends this client, and not the work elsewhere, that the work goes on.

    Parameters
    ----------
    folder
        The run.
    has_started
        Tells whether there is work that goes on without this client.

    Raises
    ------
    RunError
        In place of any other error of ours, except refusals: something was started, whatever kind
        of error it is.
    """
    try:
        yield
    except (InterruptedRunError, RefusedError, TakenOverError):
        raise
    except SwathError as error:
        if not has_started():
            raise
        mend, follow = error.mend or "", f"swath wait {folder.uri}"
        if follow not in mend:
            mend = f"{mend} The jobs of the run go on; follow them with: {follow}".lstrip()
        raise RunError(error.what, where=error.where or folder.uri, mend=mend) from error
