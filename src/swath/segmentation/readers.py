"""Readers of one image that several threads take turns with."""

from __future__ import annotations

import queue
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from swath.grid.window import Window
from swath.raster.reader import Pixels, open_raster
from swath.raster.spec import Raster, Stack


class Readers:
    """A few readers of one image; more threads than that wait for their turn.

    Parameters
    ----------
    image
        The image.
    n_readers
        Windows that are read at once.
    n_threads
        Threads that decode the blocks of one window.
    window_height
        Height of the windows, in pixels; they are read side by side, row by row.
    """

    def __init__(
        self, image: Raster | Stack, *, n_readers: int, n_threads: int, window_height: int
    ) -> None:
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        with ExitStack() as opened:  # closes the others if one cannot be opened
            self._readers = [
                opened.enter_context(
                    open_raster(image, n_threads=n_threads, cache_rows=window_height)
                )
                for _ in range(n_readers)
            ]
            self._opened = opened.pop_all()
        for number in range(n_readers):
            self._free.put(number)
        first = self._readers[0]
        self.grid, self.n_bands, self.dtype = first.grid, first.n_bands, first.dtype

    def read(self, window: Window) -> Pixels:
        """Read a window, which may reach past the image; from any thread."""
        number = self._free.get()
        try:
            return self._readers[number].read(window)
        finally:
            self._free.put(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()
