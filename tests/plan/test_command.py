"""Commands and pipelines as data: what is refused at once, and JSON there and back."""

from __future__ import annotations

import json

import pytest

from swath.errors import ConfigError
from swath.plan.command import Command, Pipeline, Ref, Resources, Unit


def command(*units: Unit, **fields: object) -> Command:
    given = {"kind": "chip", "function": "nowhere:run", "root": "/root"} | fields
    return Command(units=units or (Unit("a", outputs={"out": "a.txt"}),), **given)


@pytest.mark.parametrize("kind", ["", "Chip", "2chip", "chip-it", "chip it", "../chip"])
def test_kind_is_a_lower_case_word(kind):
    with pytest.raises(ConfigError, match="no name for a kind"):
        command(kind=kind)


@pytest.mark.parametrize("name", ["", "a b", "../a", "/a", "a/", ".a", "a//b", "ä"])
def test_unit_name_is_a_safe_path(name):
    with pytest.raises(ConfigError, match="no name for a unit"):
        command(Unit(name))


def test_two_units_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two units are named 'a'"):
        command(Unit("a"), Unit("a", params={"other": 1}))


def test_command_without_units_is_refused():
    with pytest.raises(ConfigError, match="no units"):
        Command("chip", "nowhere:run", "/root", ())


def test_two_outputs_in_one_place_are_refused():
    with pytest.raises(ConfigError, match="two outputs of the unit 'a' have one place"):
        command(Unit("a", outputs={"image": "x.tif", "mask": "x.tif"}))


@pytest.mark.parametrize("place", ["../x.tif", "", "a/../../x", ".partial-x", "~/x.tif", "a//b"])
def test_output_that_leaves_the_folder_of_its_unit_is_refused(place):
    with pytest.raises(ConfigError, match="cannot be the file") as caught:
        command(Unit("a", outputs={"out": place}))
    assert "absolute path" in str(caught.value)


def test_parameter_that_is_no_json_is_refused_with_the_kind():
    for params in ({"size": float("nan")}, {"codes": {1: "water"}}, {"what": object()}):
        with pytest.raises(ConfigError, match="chip: a parameter cannot be part of a fingerprint"):
            _ = command(params=params).params_key
        with pytest.raises(ConfigError, match="chip: a parameter"):
            _ = command(Unit("a", params=params)).unit_keys


def test_experiment_id_is_a_safe_name():
    with pytest.raises(ConfigError, match="no id for an experiment"):
        Pipeline("a/b", "/root", (command(),))


def test_reference_to_an_unknown_unit_is_refused():
    with pytest.raises(ConfigError, match="no unit 'b'"):
        command().ref("b", "out")


def test_pipeline_survives_json():
    chip = command(
        Unit("s1", {"image": ("/a.tif", "/b.tif"), "labels": "/l.tif"}, {"out": "o"}, {"k": [1]}),
        options={"threads": 2},
        resources=Resources(gpus=1, memory_gib=2.5),
        version=3,
    )
    train = command(
        Unit("m", {"one": chip.ref("s1", "out"), "all": chip.refs("out")}, {"model": "m.bin"}),
        kind="train",
        splittable=False,
    )
    pipeline = Pipeline("x", "/root", (chip, train), results={"m": train.ref("m", "model")})
    again = Pipeline.from_json(json.loads(json.dumps(pipeline.to_json())))
    assert [c.unit_keys for c in again.commands] == [c.unit_keys for c in pipeline.commands]
    assert again.to_json() == pipeline.to_json()
    assert again.results["m"] == Ref(train.unit_keys[0], "model")
    assert again.commands[0].resources == chip.resources
