"""Look up the class id of every value of a label raster at once.

Not here: which value is which class (`swath.scene.labels`).

The one idea: the table knows the declared values only, and says of every pixel whether its value
was one of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNDECLARED = 256  # in a table of uint16: the value has no class id and is not `IGNORE` either


class ValueTable:
    """Turn values of a file into class ids.

    Parameters
    ----------
    ids
        Class id, or `IGNORE`, by value.

    Notes
    -----
    Bytes are translated, five times as fast as by indexing; other values of up to 16 bits are
    looked up in a table of 65,536 entries; wider integers and floats by binary search among the
    declared values.
    """

    def __init__(self, ids: dict[int, int]) -> None:
        self._values = np.array(sorted(ids), dtype=np.int64)
        self._ids = np.array([ids[value] for value in sorted(ids)], dtype=np.uint8)
        # Values below this are class ids already, as most label files hold them.
        changed = [index for index in range(len(ids)) if ids.get(index) != index]
        self._n_unchanged = changed[0] if changed else len(ids)
        self._tables: dict[np.dtype[Any], NDArray[np.uint16]] = {}

    def decode(self, values: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return class ids and where they were declared, both shaped as `values`."""
        if values.dtype == np.uint8:
            if values.size and values.max() < self._n_unchanged:
                return values.copy(), np.ones(values.shape, bool)
            return self._translate(values)
        if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            found = self._table(values.dtype)[_as_index(values)]
            return found.astype(np.uint8), found != UNDECLARED
        places = np.searchsorted(self._values, values)
        places[places == len(self._values)] = 0
        return self._ids[places], self._values[places] == values

    def _translate(self, values: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        table = self._table(values.dtype)[: 1 << 8]
        text = values.tobytes()
        ids = bytearray(text.translate(table.astype(np.uint8).tobytes()))  # written to by callers
        known = text.translate((table != UNDECLARED).tobytes())
        return (
            np.frombuffer(ids, np.uint8).reshape(values.shape),
            np.frombuffer(known, np.bool_).reshape(values.shape),
        )

    def _table(self, dtype: np.dtype[Any]) -> NDArray[np.uint16]:
        if dtype not in self._tables:
            table = np.full(1 << 16, UNDECLARED, dtype=np.uint16)
            limits = np.iinfo(dtype)
            held = (self._values >= limits.min) & (self._values <= limits.max)
            table[_as_index(self._values[held].astype(dtype))] = self._ids[held]
            self._tables[dtype] = table
        return self._tables[dtype]


def _as_index(values: NDArray[Any]) -> NDArray[np.unsignedinteger[Any]]:
    """Return integers of up to 16 bits as unsigned ones, one to one."""
    if values.dtype.kind == "u":
        return values
    return values.astype(np.int16).view(np.uint16)


def fuse_colours(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return ``red << 16 | green << 8 | blue`` of a (3, y, x) array, shape (y, x)."""
    red, green, blue = values.astype(np.int64)
    code: NDArray[np.int64] = red << 16 | green << 8 | blue
    return code
