"""Selections: commands, bounds, scenes; what is left out, and what cannot run without it."""

from __future__ import annotations

import pytest

from swath.errors import ConfigError, GraphError
from swath.plan.command import Pipeline, Unit
from swath.plan.scan import State


@pytest.fixture
def pipeline(world) -> Pipeline:
    """`chip` of two scenes -> `train` -> `predict` of both -> `score`."""
    image = world.source("i.tif")
    chip = world.command("chip", [Unit(n, {"i": image}, {"o": "o"}, scene=n) for n in "ab"])
    train = world.command("train", [Unit("model", {"c": chip.refs("o")}, {"m": "m"})])
    predict = world.command(
        "predict",
        [Unit(n, {"i": image, "m": train.ref("model", "m")}, {"o": "o"}, scene=n) for n in "ab"],
    )
    score = world.command(
        "score", [Unit("all", {"p": predict.refs("o")}, {"o": "o"})], phase="evaluate"
    )
    return world.pipeline(chip, train, predict, score)


def states(plan) -> dict[str, str]:
    return {plan.title(i): item.state.value for i, item in enumerate(plan.scanned)}


def kinds_to_run(plan) -> list[str]:
    found = [plan.graph.nodes[split.node].command.kind for split in plan.splits]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ({}, ["chip", "train", "predict", "score"]),
        ({"commands": ("train", "chip")}, ["chip", "train"]),
        ({"commands": ("TRAIN", "Chip")}, ["chip", "train"]),
        ({"last": ("train",)}, ["chip", "train"]),
        ({"first": ("chip",), "last": ("predict",)}, ["chip", "train", "predict"]),
        ({"first": ("chip",), "commands": ("chip",)}, ["chip"]),
    ],
)
def test_selected_commands_run_in_the_order_of_the_graph(world, pipeline, select, expected):
    assert kinds_to_run(world.plan(pipeline, select=select)) == expected


def test_phase_selects_the_kinds_that_form_it(world, pipeline):
    world.do(world.plan(pipeline))
    plan = world.plan(pipeline, select={"commands": ("Evaluate",), "rerun": ("all",)})
    assert world.reasons(plan) == {"score all": "forced"}


def test_from_starts_in_the_middle_of_what_is_done(world, pipeline):
    world.do(world.plan(pipeline))
    plan = world.plan(pipeline, select={"first": ("predict",), "rerun": ("all",)})
    assert list(world.reasons(plan)) == ["predict a", "predict b", "score all"]


def test_rerun_of_what_is_not_selected_forces_nothing(world, pipeline):
    world.do(world.plan(pipeline))
    plan = world.plan(pipeline, select={"commands": ("chip",), "rerun": ("train",)})
    assert plan.is_empty


def test_what_is_not_selected_is_left_out(world, pipeline):
    found = states(world.plan(pipeline, select={"last": ("train",)}))
    assert found["train model"] == "run"
    assert found["predict a"] == found["score all"] == "not selected"


def test_selection_that_waits_for_what_was_left_out_is_refused(world, pipeline):
    with pytest.raises(GraphError, match="was not selected") as caught:
        world.plan(pipeline, select={"commands": ("predict", "score")})
    text = str(caught.value)
    assert "predict a needs train model, which is not up to date (never ran)" in text
    assert "Select 'train' too" in text


def test_selection_that_leaves_a_named_command_waiting_is_refused_though_others_could_run(
    world, pipeline
):
    with pytest.raises(GraphError, match=r"train model needs chip a.*Select 'chip' too"):
        world.plan(pipeline, select={"commands": ("train", "evaluate")})


def test_one_scene_runs_alone_and_blocks_what_needs_them_all(world, pipeline):
    found = states(world.plan(pipeline, select={"scenes": ("a",)}))
    assert found["chip a"] == "run"
    assert found["chip b"] == "not selected"
    assert found["train model"] == found["predict a"] == found["score all"] == "blocked"


def test_one_scene_alone_is_forced_where_everything_else_is_done(world, pipeline):
    world.do(world.plan(pipeline))
    plan = world.plan(pipeline, select={"scenes": ("b",), "rerun": ("predict",)})
    assert world.reasons(plan) == {
        "predict b": "forced",
        "score all": "upstream will run: predict b",
    }


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"commands": ("trian",)}, "no command 'trian'.*Did you mean 'train'"),
        ({"first": ("xyz",)}, "no command 'xyz'.*There are: chip, evaluate, predict"),
        ({"last": ("chips",)}, "no command 'chips'.*Did you mean 'chip'"),
        ({"rerun": ("scores",)}, "no command 'scores'.*Did you mean 'score'"),
        ({"scenes": ("c",)}, "no scene 'c'.*There are: a, b"),
        ({"first": ("score",), "last": ("chip",)}, "leave nothing to run.*--from and --until"),
    ],
)
def test_misspelt_word_is_an_error_at_once(world, pipeline, select, message):
    with pytest.raises(ConfigError, match=message) as caught:
        world.plan(pipeline, select=select)
    assert caught.value.exit_code == 2


def test_missing_source_of_what_is_not_selected_is_no_matter(world):
    here, gone = world.source("i.tif"), str(world.folder / "gone.tif")
    chip = world.command("chip", [Unit("s", {"i": here}, {"o": "o"})])
    other = world.command("other", [Unit("s", {"i": gone}, {"o": "o"})])
    plan = world.plan(world.pipeline(chip, other), select={"commands": ("chip",)})
    assert [item.state for item in plan.scanned] == [State.RUN, State.LEFT_OUT]
    with pytest.raises(GraphError, match=r"gone\.tif does not exist"):
        world.plan(world.pipeline(chip, other))
