"""What changed from one plan to another, line by line; and plans as pictures."""

from __future__ import annotations

import pytest

from swath.plan.command import Unit
from swath.plan.difference import difference
from swath.plan.picture import to_dot, to_mermaid
from swath.plan.reason import changed_values


def experiment(world, images, **params):
    chip = world.command(
        "chip", [Unit(n, {"i": uri}, {"o": "o"}) for n, uri in images.items()], params=params
    )
    return world.pipeline(chip)


def test_same_plan_has_no_difference(world):
    images = {"a": world.source("a.tif")}
    plan = world.plan(experiment(world, images, size=1)).to_json()
    assert difference(plan, plan) == []


def test_parameters_units_and_sources_are_told(world):
    images = {n: world.source(f"{n}.tif") for n in "abc"}
    old = world.plan(experiment(world, {n: images[n] for n in "ab"}, size=256)).to_json()
    world.source("b.tif", "changed")
    new = world.plan(experiment(world, {n: images[n] for n in "bc"}, size=128)).to_json()
    text = "\n".join(difference(old, new))
    assert "size 256 -> 128" in text
    assert "unit a removed" in text
    assert "unit c added" in text
    assert f"unit b: i {images['b']} changed" in text


def test_commands_that_came_and_went_are_told(world):
    image = {"a": world.source("a.tif")}
    chip = experiment(world, image)
    other = world.pipeline(world.command("mosaic", [Unit("all", {}, {"o": "o"})]))
    lines = difference(world.plan(chip).to_json(), world.plan(other).to_json())
    assert [line[0] for line in lines] == ["-", "+"]
    assert "chip (one)" in lines[0]
    assert "mosaic (one)" in lines[1]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1, 1, []),
        (1, 1.0, [("", "1", "1.0")]),
        ({"a": 1}, {}, [("a", "1", "unset")]),
        ({}, {"a": None}, [("a", "unset", "None")]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("a[1]", "2", "3")]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", "1 items", "2 items")]),
        ({"a": "x" * 99}, {"a": "y"}, [("a", "'" + "x" * 56 + "...", "'y'")]),
    ],
)
def test_changed_values_are_named_by_their_path(old, new, expected):
    assert list(changed_values(old, new)) == expected


def test_pictures_show_counts_splits_sharing_and_edges(world):
    image = world.source("a.tif")
    chip = world.command("chip", [Unit(n, {"i": image}, {"o": "o"}) for n in "abcd"])
    train = world.command("train", [Unit("m", {"c": chip.refs("o")}, {"m": "m"})])
    one, two = world.pipeline(chip, train, id="one"), world.pipeline(chip, id="two")
    plan = world.plan(one, two, splits=2)
    for picture, edge in ((to_dot(plan), "n0 -> n1"), (to_mermaid(plan), "n0 --> n1")):
        assert edge in picture
        assert "4 run" in picture
        assert "2 splits" in picture
        assert "shared by 2 experiments" in picture
