"""A thread prepares items; order, errors and the end pass through."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from swath.learn.ahead import read_ahead


def test_items_come_in_order() -> None:
    assert list(read_ahead(iter(range(100)), depth=3)) == list(range(100))


def test_an_error_of_the_producer_reaches_the_consumer() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken strip")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken strip"):
        next(ahead)


def test_leaving_early_closes_the_producer_and_ends_its_thread() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    before = threading.active_count()
    with closing(read_ahead(items())) as ahead:
        assert next(ahead) == 0
    assert closed.is_set()
    assert threading.active_count() == before
