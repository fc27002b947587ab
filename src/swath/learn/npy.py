"""Write a `.npy` file item by item, when the number of items is known only at the end.

Not for reading: ``numpy.load(path, mmap_mode="r")`` does that. One idea: the header has a fixed
room at the start of the file, and is written last.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike, NDArray

_HEADER_BYTES = 256  # a multiple of 64, as the format asks; room for any shape and plain dtype


class NpyWriter:
    """An array ``(n, *shape)`` on disk that grows by one item at a time.

    Parameters
    ----------
    path
        File to write.
    shape
        Shape of one item.
    dtype
        Kind of its values; items of another are refused, never cast.

    References
    ----------
    NEP 1, "A Simple File Format for NumPy Arrays": magic, version 1.0, length of header, header.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.n_items = 0
        self._file = path.open("wb")
        self._file.write(bytes(_HEADER_BYTES))

    def append(self, item: NDArray[np.generic]) -> None:
        """Write one item, in C order.

        Raises
        ------
        TypeError
            If its shape or dtype is not that of the file.
        """
        if item.shape != self.shape or item.dtype != self.dtype:
            raise TypeError(
                f"an item of {item.dtype} {item.shape} does not fit a file of "
                f"{self.dtype} {self.shape}"
            )
        self._file.write(np.ascontiguousarray(item).data)
        self.n_items += 1

    def close(self) -> None:
        """Write the header; the file is complete."""
        if self._file.closed:
            return
        text = io.BytesIO()
        npy_format.write_array_header_1_0(
            text,
            {
                "descr": npy_format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (self.n_items, *self.shape),
            },
        )
        magic = npy_format.magic(1, 0)
        header = text.getvalue()[len(magic) + 2 :].rstrip()
        room = _HEADER_BYTES - len(magic) - 2
        body = header.ljust(room - 1) + b"\n"
        assert len(body) == room, "the header outgrew its room"
        self._file.seek(0)
        self._file.write(magic + room.to_bytes(2, "little") + body)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
