"""Let one thread produce while another consumes: reading overlaps with computing.

Not a pool of processes: decoding, numpy and torch release the interpreter's lock, so one thread is
enough and nothing is copied to be sent. One idea: a bounded queue between a generator and its
consumer, with errors and the end passed through.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.05


class _End:
    """Marks the end of the items; holds the error that ended them, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(items: Iterable[T], depth: int = 2) -> Generator[T]:
    """Yield the items in order while a thread prepares the next ones.

    Parameters
    ----------
    items
        Iterated in the thread, wholly: what a generator opens is used and closed by one thread.
    depth
        Items that may wait; memory is bounded by ``depth + 2`` of them.

    Yields
    ------
    T
        The items. Close this generator (``contextlib.closing``) if it may be left early.
    """
    queue: Queue[T | _End] = Queue(maxsize=depth)
    left = Event()
    thread = Thread(target=_fill, args=(items, queue, left), name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        left.set()
        _drain(queue)
        thread.join()


def _fill(items: Iterable[T], queue: Queue[T | _End], left: Event) -> None:
    iterator = iter(items)
    end = _End()
    try:
        for item in iterator:
            if not _put(item, queue, left):
                break
    except BaseException as error:  # noqa: BLE001  handed to the consumer, who raises it
        end = _End(error)
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
        _put(end, queue, left)


def _put(item: T | _End, queue: Queue[T | _End], left: Event) -> bool:
    while not left.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
            return True
        except Full:
            continue
    return False


def _drain(queue: Queue[T | _End]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
