"""Declarations of older schema versions: one numbered step each."""

from __future__ import annotations

import pytest

from swath.errors import ConfigError
from swath.experiment.upgrades import upgrade

STEPS = {
    1: lambda data: {**data, "scenes": data["images"]},
    2: lambda data: {k: v for k, v in data.items() if k != "images"},
}


def test_steps_are_taken_one_after_the_other():
    old = {"schema": 1, "images": ["a"]}
    assert upgrade(old, where="f", steps=STEPS, newest=3) == {"schema": 3, "scenes": ["a"]}
    assert old == {"schema": 1, "images": ["a"]}


def test_newest_schema_is_taken_as_it_is():
    assert upgrade({"schema": 3}, where="f", steps=STEPS, newest=3) == {"schema": 3}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "f: it is no stored declaration.*experiment.json"),
        ({"schema": "1"}, "no stored declaration"),
        ({"schema": 4}, "its schema is 4; this Swath.*reads up to 3.*newer Swath"),
        ({"schema": 0}, "schema 0 can no longer be read"),
    ],
)
def test_what_cannot_be_read_is_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        upgrade(data, where="f", steps=STEPS, newest=3)
