"""How kernels are compiled: once for a machine, without the lock of Python, in the order written.

One idea: a kernel is plain Python that numba compiles. `fastmath` stays off, so that additions are
done in the order in which they stand, and a pixel's result does not depend on where in a row it
falls. With ``NUMBA_DISABLE_JIT=1`` the same functions run in the interpreter and give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from swath.optional import require

numba = require("numba", extra="segment", purpose="for segmentation")

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function when it is first called, and keep the machine code on disk.

    Later processes load it from beside the source, or from the user's cache where that cannot be
    written to (``NUMBA_CACHE_DIR`` names another place).
    """
    made: Callable[P, R] = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return made


def is_on_disk(kernel: Any) -> bool:
    """Return whether a kernel has been compiled before, so that it only has to be loaded.

    What was compiled from an older source counts, too: it is a guess that costs no compilation.
    """
    stats = getattr(kernel, "stats", None)  # None: the interpreter runs it
    if stats is None:
        return True
    function = kernel.py_func
    name = f"{Path(function.__code__.co_filename).stem}.{function.__qualname__}-*.nbi"
    return stats.cache_path is not None and any(Path(stats.cache_path).glob(name))
