"""Canonical JSON and the hash over it: the root of every fingerprint.

Two values have one canonical form exactly if they are the same declaration. JSON already tells 1
from 1.0, "1", true and null; whatever JSON has no type for is an error rather than a guess.
"""

from __future__ import annotations

import hashlib
import json
import math
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
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _plain(value: object) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} has no place in a fingerprint")
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a key in a fingerprint is text, not {key!r}")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in a fingerprint: {value!r}")


def fingerprint_of(value: object) -> str:
    """Return the first 20 hexadecimal digits of the SHA-256 over the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()[:HEX_DIGITS]
