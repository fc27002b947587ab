"""Do work on tiles in several threads, and take the results in the order of the tiles.

For kernels and libraries that release the lock of Python. One idea: a few items are ahead of the
reader and never more, so memory is bounded however fast one side is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in the order of the items.

    Parameters
    ----------
    function
        Called in threads; the first error that it raises is raised here, and ends the rest.
    items
        Taken in the thread of the caller, at most ``workers + 1`` of them ahead.
    workers
        Number of threads, at least 1.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="swath-segmentation") as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
