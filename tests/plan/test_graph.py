"""The graph: edges, merging, order, and everything that is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import ConfigError, GraphError
from swath.plan.command import Command, Pipeline, Ref, Unit
from swath.plan.graph import build_graph
from swath.plan.plan import make_plan

KINDS = ("alpha", "beta", "gamma")


@st.composite
def pipelines(draw: st.DrawFn, root: str = "/r") -> list[Pipeline]:
    """Random experiments over few kinds and parameters, so that much is alike and merges."""
    result = []
    for number in range(draw(st.integers(1, 3))):
        commands: list[Command] = []
        for _ in range(draw(st.integers(1, 5))):
            earlier = [Ref(key, "o") for command in commands for key in command.unit_keys]
            units = []
            for name in draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True)):
                refs = draw(st.lists(st.sampled_from(earlier), max_size=3)) if earlier else []
                units.append(Unit(name, {"i": refs}, {"o": "o"}))
            kind = draw(st.sampled_from(KINDS))
            params = {"p": draw(st.integers(0, 1))}
            commands.append(Command(kind, f"m:{kind}", root, tuple(units), params=params))
        commands = draw(st.permutations(commands))
        result.append(Pipeline(f"e{number}", root, tuple(commands)))
    return result


@given(pipelines())
def test_order_is_topological_and_merging_makes_no_cycle(declared):
    graph = build_graph(declared)
    for unit in graph.units:
        assert all(producer < unit.index for producer in unit.producers)
    for node in graph.nodes:
        assert all(upstream < node.index for upstream in node.upstream)
        assert all(graph.units[i].node == node.index for i in node.units)
    assert sorted(i for node in graph.nodes for i in node.units) == list(range(len(graph.units)))
    assert len({node.key for node in graph.nodes}) == len(graph.nodes)


@given(pipelines())
def test_every_declared_unit_is_in_the_graph_once(declared):
    keys = {key for p in declared for command in p.commands for key in command.unit_keys}
    assert sorted(unit.key for unit in build_graph(declared).units) == sorted(keys)


@given(st.data(), pipelines())
def test_order_of_experiments_and_commands_does_not_change_fingerprints(data, declared):
    root = "/nowhere/there/is/nothing"
    declared = [Pipeline(p.id, root, p.commands) for p in declared]
    shuffled = [
        Pipeline(p.id, root, tuple(data.draw(st.permutations(p.commands))))
        for p in data.draw(st.permutations(declared))
    ]

    def fingerprints(some: list[Pipeline]) -> dict[str, str]:
        plan = make_plan(some)
        return {u.key: plan.scanned[u.index].fingerprint for u in plan.graph.units}

    assert fingerprints(shuffled) == fingerprints(declared)


@given(pipelines(), st.integers(1, 4))
def test_splits_are_ordered_and_wait_for_what_their_units_read(declared, n_splits):
    plan = make_plan(declared, splits=n_splits)
    split_of = {unit: i for i, split in enumerate(plan.splits) for unit in split.units}
    assert len(split_of) == len(plan.graph.units)
    for i, split in enumerate(plan.splits):
        wanted = {split_of[p] for u in split.units for p in plan.graph.units[u].producers}
        assert set(split.upstream) == wanted
        assert all(upstream < i for upstream in split.upstream)


def test_what_experiments_share_is_one_node(world):
    image = world.source("i.tif")

    def experiment(name: str, rate: float) -> Pipeline:
        chip = world.command("chip", [Unit("s", {"i": image}, {"o": "o"})], params={"size": 256})
        train = world.command(
            "train", [Unit("m", {"c": chip.refs("o")}, {"m": "m"})], params={"rate": rate}
        )
        return world.pipeline(chip, train, id=name)

    plan = world.plan(experiment("slow", 0.1), experiment("fast", 0.2))
    assert [(n.command.kind, n.experiments) for n in plan.graph.nodes] == [
        ("chip", ("slow", "fast")),
        ("train", ("slow",)),
        ("train", ("fast",)),
    ]


def test_hazard_commands_with_other_parameters_are_never_merged(world):
    """The old system merged commands of one kind, inputs and outputs whatever their parameters."""
    image = world.source("i.tif")

    def experiment(name: str, size: int) -> Pipeline:
        units = [Unit("s", {"i": image}, {"o": "o"})]
        return world.pipeline(world.command("chip", units, params={"size": size}), id=name)

    plan = world.plan(experiment("a", 256), experiment("b", 512))
    assert len(plan.graph.nodes) == 2
    assert len({item.fingerprint for item in plan.scanned}) == 2
    assert len({uri for item in plan.scanned for uri in item.outputs.values()}) == 2


def test_parameters_of_another_type_are_other_parameters(world):
    image = world.source("i.tif")
    units = [Unit("s", {"i": image}, {"o": "o"})]
    some = [
        world.pipeline(world.command("chip", units, params={"size": size}), id=f"e{i}")
        for i, size in enumerate([1, 1.0, "1", True])
    ]
    assert len({item.fingerprint for item in world.plan(*some).scanned}) == 4


def test_nodes_keep_the_units_that_only_one_experiment_has(world):
    image = world.source("i.tif")
    units = [Unit(name, {"i": image}, {"o": "o"}) for name in "abc"]
    one = world.pipeline(world.command("chip", units[:2]), id="one")
    two = world.pipeline(world.command("chip", units[1:]), id="two")
    (node,) = world.plan(one, two).graph.nodes
    assert len(node.units) == 3
    assert node.experiments == ("one", "two")


def test_edge_comes_from_a_pinned_output_that_is_read_by_its_path(world):
    image, pinned = world.source("i.tif"), str(world.folder / "out" / "map.tif")
    reader = world.command("score", [Unit("s", {"map": pinned}, {"o": "o"})])
    writer = world.command("predict", [Unit("s", {"i": image}, {"map": pinned})])
    plan = world.plan(world.pipeline(reader, writer))
    assert [n.command.kind for n in plan.graph.nodes] == ["predict", "score"]
    assert plan.splits[1].upstream == (0,)


def test_two_experiments_with_one_id_are_refused(world):
    chip = world.command("chip", [Unit("s", {}, {"o": "o"})])
    with pytest.raises(ConfigError, match="two experiments have the id 'one'") as caught:
        world.plan(world.pipeline(chip), world.pipeline(chip))
    assert caught.value.exit_code == 2
    assert "its own id" in str(caught.value)


def test_cycle_is_refused_and_told_step_by_step(world):
    a, b = str(world.folder / "a"), str(world.folder / "b")
    first = world.command("first", [Unit("u", {"i": b}, {"o": a})])
    second = world.command("second", [Unit("u", {"i": a}, {"o": b})])
    with pytest.raises(GraphError, match="form a cycle") as caught:
        world.plan(world.pipeline(first, second))
    text = str(caught.value)
    assert f"command second 'u' reads {a} of experiment 'one', command first 'u'" in text
    assert f"command first 'u' reads {b} of experiment 'one', command second 'u'" in text
    assert "another place" in text


def test_unit_that_reads_its_own_output_is_a_cycle(world):
    place = str(world.folder / "a")
    with pytest.raises(GraphError, match="cycle"):
        world.plan(world.pipeline(world.command("first", [Unit("u", {"i": place}, {"o": place})])))


def test_two_commands_that_claim_one_output_are_refused(world):
    place = str(world.folder / "map.tif")
    one = world.pipeline(world.command("predict", [Unit("u", {}, {"o": place})]), id="one")
    two = world.pipeline(
        world.command("predict", [Unit("u", {}, {"o": place})], params={"p": 1}), id="two"
    )
    with pytest.raises(GraphError, match="claimed as output by two commands") as caught:
        world.plan(one, two)
    text = str(caught.value)
    assert place in text
    assert "experiment 'one', command predict 'u'" in text
    assert "experiment 'two', command predict 'u'" in text
    assert "another output" in text


def test_output_claimed_under_two_spellings_is_refused(world):
    one = world.command("a", [Unit("u", {}, {"o": f"{world.folder}/x/../map.tif"})])
    two = world.command("b", [Unit("u", {}, {"o": f"file://{world.folder}/map.tif"})])
    with pytest.raises(GraphError, match="claimed as output"):
        world.plan(world.pipeline(one, two))


def test_missing_input_is_refused_before_anything_is_written(world):
    missing = str(world.folder / "missing.tif")
    units = [Unit(n, {"image": missing}, {"o": "o"}) for n in "abc"]
    with pytest.raises(GraphError, match="does not exist and no command produces it") as caught:
        world.plan(world.pipeline(world.command("chip", units)))
    text = str(caught.value)
    assert f"{missing} does not exist" in text
    assert "the image of chip 'a' and 2 more (experiment 'one')" in text
    assert "Correct the path" in text
    assert not Path(world.root).exists()


def test_many_missing_inputs_are_told_ten_at_a_time(world):
    units = [Unit(f"s{i}", {"i": f"{world.folder}/{i}.tif"}, {"o": "o"}) for i in range(5000)]
    with pytest.raises(GraphError, match=r"\.\.\. and 4990 more"):
        world.plan(world.pipeline(world.command("chip", units)))


def test_reference_to_a_command_outside_the_pipeline_is_refused(world):
    chip = world.command("chip", [Unit("s", {}, {"o": "o"})])
    train = world.command("train", [Unit("m", {"c": chip.refs("o")}, {"m": "m"})])
    with pytest.raises(GraphError, match="not in the pipeline"):
        world.plan(world.pipeline(train))


def test_one_kind_with_two_functions_is_refused(world):
    units = (Unit("s", {}, {"o": "o"}),)
    one = Command("ndvi", "a:ndvi", world.root, units)
    two = Command("ndvi", "b:ndvi", world.root, units, params={"p": 1})
    with pytest.raises(GraphError, match="'ndvi' has two functions: a:ndvi"):
        world.plan(world.pipeline(one, id="one"), world.pipeline(two, id="two"))


def test_order_of_an_inputs_mapping_does_not_count(world):
    a, b = world.source("a"), world.source("b")
    one = world.command("chip", [Unit("s", {"x": a, "y": b}, {"o": "o"})])
    two = world.command("chip", [Unit("s", {"y": b, "x": a}, {"o": "o"})])
    prints = [world.plan(world.pipeline(c)).scanned[0].fingerprint for c in (one, two)]
    assert prints[0] == prints[1]


def test_order_of_several_files_of_one_input_counts(world):
    a, b = world.source("a"), world.source("b")
    one = world.command("chip", [Unit("s", {"x": (a, b)}, {"o": "o"})])
    two = world.command("chip", [Unit("s", {"x": (b, a)}, {"o": "o"})])
    prints = [world.plan(world.pipeline(c)).scanned[0].fingerprint for c in (one, two)]
    assert prints[0] != prints[1]
