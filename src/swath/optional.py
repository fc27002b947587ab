"""Import an optional library, or say which extra brings it."""

from __future__ import annotations

import importlib
from types import ModuleType

from swath.errors import MissingExtraError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise an error with the line that installs it.

    Parameters
    ----------
    module
        Dotted name, for example ``"torch"``.
    extra
        The extra of Swath that brings it, for example ``"learn"``.
    purpose
        What it is needed for, as the end of "is needed ...".

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{module} is not installed; it is needed {purpose}.",
            mend=f"Install it with: pip install 'swath[{extra}]'",
        ) from None
