"""Try again what failed for a passing reason."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from swath.store.failures import failure, foreign_errors

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0

Result = TypeVar("Result")


class Patience:
    """The time that one operation may spend on waiting, and how much of it is left.

    Only waits count: a transfer may take hours, and what it has done does not use up what it may
    wait for the next failure.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._wait = FIRST_WAIT_S

    def wait(self) -> bool:
        """Wait, longer each time and by chance; tell False, at once, if nothing is left."""
        if self._left <= 0:
            return False
        pause = min(random.uniform(0.5, 1.0) * self._wait, self._left)
        time.sleep(pause)
        self._left -= pause
        self._wait = min(2 * self._wait, LONGEST_WAIT_S)
        return True


def persistently(action: Callable[[], Result], uri: str, patience_s: float) -> Result:
    """Return ``action()``, called again as long as it fails for a passing reason.

    Parameters
    ----------
    action
        One request or transfer; what it raises is turned into an error of ours.
    uri
        What it is about, for messages.
    patience_s
        Seconds to wait, all waits together.

    Raises
    ------
    StoreError
        What the last failure means: not found, forbidden, throttled, or else.
    """
    patience = Patience(patience_s)
    while True:
        try:
            return action()
        except foreign_errors() as error:
            found = failure(error, uri)
            if not found.passing or not patience.wait():
                raise found.error from None
