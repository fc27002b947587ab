"""Do at once what waits for a network, and answer in the order of the questions.

Not for work that needs cores: splits are for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

N_AT_ONCE = 16
"""Requests in flight of one call: enough to hide the way to a store, far from what it minds."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


def in_order(
    function: Callable[[Question], Answer],
    items: Iterable[Question],
    *,
    n_at_once: int = N_AT_ONCE,
) -> Iterator[Answer]:
    """Yield ``function(item)`` of each item, in the order of the items.

    Parameters
    ----------
    function
        Called in threads; the first error that it raises is raised here, and ends the rest.
    items
        Taken from as there is room: never more than `n_at_once` are ahead of the reader, so that
        a long list of large objects does not pile up in memory.
    n_at_once
        Number of threads.
    """
    with ThreadPoolExecutor(n_at_once, thread_name_prefix="swath-store") as pool:
        ahead: deque[Future[Answer]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) >= n_at_once:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
