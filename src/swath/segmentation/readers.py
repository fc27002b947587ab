"""Readers of one image that several threads take turns with."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from contextlib import ExitStack
from os import PathLike, fspath
from types import TracebackType
from typing import Literal, Self

from swath.grid.window import Window
from swath.raster.reader import Pixels, open_raster
from swath.raster.spec import Raster, Stack

Image = str | PathLike[str] | Raster | Stack


def image_of(
    images: Image | Sequence[Image],
    *,
    bands: Sequence[int] | None = None,
    nodata: float | Literal["nan"] | None = None,
) -> Raster | Stack:
    """Return one image of several: their bands, one after the other, on one grid.

    Parameters
    ----------
    images
        Paths, URIs or declarations.
    bands
        Bands to read of each path, 0-based; default: all.
    nodata
        Value that marks missing pixels in each path, instead of the one that the file names.
    """
    many = [images] if isinstance(images, str | PathLike | Raster | Stack) else list(images)
    sources: list[Raster] = []
    for image in many:
        if isinstance(image, Stack):
            sources.extend(image.sources)
        elif isinstance(image, Raster):
            sources.append(image)
        else:
            chosen = None if bands is None else tuple(bands)
            sources.append(Raster(uris=(fspath(image),), bands=chosen, nodata=nodata))
    if len(many) == 1 and isinstance(many[0], Stack):
        return many[0]
    return sources[0] if len(sources) == 1 else Stack(sources=tuple(sources))


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
        self._readers = [
            open_raster(image, n_threads=n_threads, cache_rows=window_height)
            for _ in range(n_readers)
        ]
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
        with ExitStack() as stack:
            for reader in self._readers:
                stack.callback(reader.close)
