"""The public face of Swath: one sorted list, frozen in `tests/public_api.txt`.

A name that is added, renamed or removed shows in that file's diff. After an intended change::

    python -c "import swath; print(*swath.__all__, sep='\\n')" > tests/public_api.txt
"""

from __future__ import annotations

import sys
from pathlib import Path

import swath

FROZEN = Path(__file__).with_name("public_api.txt")


def test_public_names_are_the_frozen_ones() -> None:
    assert list(swath.__all__) == FROZEN.read_text(encoding="utf-8").split()


def _case(name: str) -> int:
    """Constants come first, then classes, then the rest, as ruff sorts names."""
    return 0 if name.isupper() else 1 if name[0].isupper() else 2


def test_public_names_are_sorted_and_named_once() -> None:
    assert len(set(swath.__all__)) == len(swath.__all__)
    assert list(swath.__all__) == sorted(swath.__all__, key=lambda name: (_case(name), name))


def test_every_public_name_can_be_had() -> None:
    missing = [name for name in swath.__all__ if getattr(swath, name, None) is None]
    assert missing == []


def test_every_public_name_has_a_docstring() -> None:
    undocumented = [
        name
        for name in swath.__all__
        if callable(getattr(swath, name)) and not getattr(swath, name).__doc__
    ]
    assert undocumented == []


def test_public_names_are_listed_by_dir() -> None:
    assert set(swath.__all__) <= set(dir(swath))


def test_types_are_shipped() -> None:
    package = Path(sys.modules["swath"].__file__ or "").parent
    assert (package / "py.typed").is_file()
