"""Canonical JSON and the hash over it: the root of every fingerprint.

Two values have one canonical form exactly if they are the same declaration. JSON already tells 1
from 1.0, "1", true and null; whatever JSON has no type for is an error rather than a guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

HEX_DIGITS = 20
"""Digits kept of a SHA-256: 80 bits, no collision to be expected below 10^11 units."""


def canonical_json(value: object) -> str:
    """Return the canonical JSON text of `value`.

    Keys are sorted, there is no white space, tuples are lists, and numbers keep their type:
    ``1`` and ``1.0`` differ.

    Raises
    ------
    TypeError
        For a type that JSON does not have, a key that is no text, NaN or infinity.

    Examples
    --------
    >>> canonical_json({"b": (1, 1.0), "a": None})
    '{"a":null,"b":[1,1.0]}'
    """
    _refuse_keys(value)
    try:
        return _ENCODER.encode(value)
    except ValueError as error:  # NaN, infinity, or a value that holds itself
        raise TypeError(f"{value!r} has no place in a fingerprint: {error}") from None


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _refuse_keys(value: object) -> None:
    """Refuse keys that are no text: the encoder would quietly write ``1`` as ``"1"``."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key in a fingerprint is text, not {key!r}")
            if type(item) not in _PLAIN:
                _refuse_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            if type(item) not in _PLAIN:
                _refuse_keys(item)


def _plainer(value: object) -> Any:
    """Return what the encoder does not know by itself as something that it does."""
    if isinstance(value, Mapping):
        plain: object = dict(value)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        plain = list(value)
    else:
        raise TypeError(f"{type(value).__name__} has no place in a fingerprint: {value!r}")
    _refuse_keys(plain)
    return plain


# The encoder written in C walks the value; planning 100,000 units spends its time here.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_plainer
)


def fingerprint_of(value: object) -> str:
    """Return the first 20 hexadecimal digits of the SHA-256 over the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()[:HEX_DIGITS]
