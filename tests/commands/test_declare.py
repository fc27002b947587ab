"""What a command's units read decides what is shared and what runs again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from swath.commands import predict, train
from swath.commands.scenes import blocks, refs_of_scenes, with_memory
from swath.errors import ConfigError
from swath.grid.grid import Grid
from swath.learn import PredictOptions, SegmentationModel, SemanticSegmentation, TrainOptions
from swath.plan.canonical import canonical_json
from swath.plan.command import Resources
from swath.scene.spec import ClassConfig, Scene

Make = Callable[..., Any]
KINDS = ("analyze", "chip", "train", "predict", "mosaic", "evaluate", "score", "bundle")


def _changed(one: Any, two: Any) -> list[str]:
    return [
        kind
        for kind in KINDS
        if set(getattr(one, kind).unit_keys) != set(getattr(two, kind).unit_keys)
    ]


def test_commands_are_declared_in_the_order_of_their_kinds(
    make_experiment: Make, make_scenes: Make
) -> None:
    commands = make_experiment(make_scenes(2)).commands
    assert tuple(command.kind for command in commands) == KINDS
    phases = ["analyze", "chip", "train", "predict", "predict", "evaluate", "evaluate", "bundle"]
    assert [command.phase for command in commands] == phases
    assert not any(
        command.splittable
        for command in commands
        if len(command.units) == 1 and command.kind in ("train", "score", "bundle")
    )
    for command in commands:
        canonical_json([command.params, [unit.params for unit in command.units]])
        assert all(unit.work > 0 and unit.output_bytes > 0 for unit in command.units)


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"train": TrainOptions(learning_rate=0.5)}, KINDS[2:]),
        ({"predict": PredictOptions(block_size=50, scores=True, stride=8)}, KINDS[3:]),
        ({"predict": PredictOptions(block_size=50)}, KINDS[3:]),
        ({"classes": ClassConfig(names=("dark", "bright"), colours=("#000000", "#ffffff"))},
         ("mosaic", "evaluate", "score", "bundle")),
        ({"classes": ClassConfig(names=("dark", "light"))}, KINDS),
    ],
    ids=["learning rate", "stride", "no scores", "colours", "names"],
)  # fmt: skip
def test_a_change_touches_only_what_depends_on_it(
    make_experiment: Make,
    make_scenes: Make,
    task: SemanticSegmentation,
    change: dict[str, Any],
    kinds: tuple[str, ...],
) -> None:
    scenes = make_scenes(2)
    one, two = make_experiment(scenes, task), make_experiment(scenes, task.replace(**change))
    assert _changed(one, two) == list(kinds)


def test_a_group_is_read_by_scores_alone(make_experiment: Make, make_scenes: Make) -> None:
    scenes = make_scenes(2)
    grouped = [scene.replace(group="other") for scene in scenes]
    assert _changed(make_experiment(scenes), make_experiment(grouped)) == ["score", "bundle"]


def test_a_new_scene_leaves_the_chips_of_the_others_alone(
    make_experiment: Make, make_scenes: Make
) -> None:
    one = make_experiment(make_scenes(3), n_training=2)
    two = make_experiment(make_scenes(4), n_training=2)
    for kind in ("analyze", "chip"):
        before, after = getattr(one, kind).unit_keys, getattr(two, kind).unit_keys
        assert len(set(after) - set(before)) == 1
        assert set(before) < set(after)


def test_units_read_the_files_that_they_need_and_no_others(
    make_experiment: Make, make_scenes: Make
) -> None:
    experiment = make_experiment(make_scenes(2))
    inputs = {
        command.kind: {name for unit in command.units for name in unit.inputs}
        for command in experiment.commands
    }
    assert inputs["analyze"] == {"image", "labels"}
    assert inputs["predict"] == {"image", "model", "description"}
    assert inputs["mosaic"] == {"labels", "scores"}
    assert inputs["evaluate"] == {"prediction", "image", "labels"}
    assert inputs["score"] == {"counts"}
    keys = {ref.key for ref in experiment.train.units[0].inputs["train_images"]}
    assert keys == {experiment.chip.ref("s0", "images").key}


def test_weights_from_a_file_are_an_input(
    make_experiment: Make, make_scenes: Make, task: SemanticSegmentation
) -> None:
    model = SegmentationModel(weights="s3://models/first.safetensors")
    experiment = make_experiment(make_scenes(2), task.replace(model=model))
    assert experiment.train.units[0].inputs["weights"] == "s3://models/first.safetensors"


def test_memory_is_estimated_unless_it_is_said(
    make_experiment: Make, make_scenes: Make, task: SemanticSegmentation
) -> None:
    experiment = make_experiment(make_scenes(2))
    assert experiment.train.resources == Resources(memory_gib=2.01)
    large = task.replace(
        train=task.train.replace(batch_size=2**10),
        predict=PredictOptions(block_size=2**15, batch_size=2**10),
    )
    # 1024 chips of 32 x 32 px are 2**20 px; 64 x 96 px and 3 sums of 4 bytes are nothing beside.
    assert train.memory_gib(large) == round(2 + 3500 / 2**10, 2)
    assert predict.memory_gib(large, 0) == round(2 + 2 * 700 / 2**10, 2)
    small = task.replace(predict=PredictOptions(batch_size=1))
    assert predict.memory_gib(small, 2**30) == 14.0, "two classes and the weights, 4 bytes each"
    given = Resources(gpus=1, memory_gib=7)
    assert with_memory(given, 2) == given
    assert with_memory(Resources(gpus=1), 2) == Resources(gpus=1, memory_gib=2)


def test_a_scene_of_one_block_has_its_own_name_and_a_large_one_is_cut() -> None:
    scene = Scene(id="big", image="big.tif")
    grid = Grid(None, (1.0, 0, 0, 0, -1.0, 0), 100, 150)
    assert [name for name, _ in blocks(scene, grid, 150)] == ["big"]
    assert [name for name, _ in blocks(scene, grid, 80)] == [
        "big/r000-c000",
        "big/r000-c001",
        "big/r001-c000",
        "big/r001-c001",
    ]
    assert sum(window.pixels for _, window in blocks(scene, grid, 80)) == 100 * 150


def test_training_reads_the_chips_of_every_block(make_experiment: Make, make_scenes: Make) -> None:
    experiment = make_experiment(make_scenes(2), block_size=40)
    assert len(experiment.chip.units) == 2 * 6
    assert len(experiment.train.units[0].inputs["train_images"]) == 6
    with pytest.raises(ConfigError, match="it does not cover the scenes nine"):
        refs_of_scenes(experiment.chip, ["nine"], "images")


def test_scenes_of_training_and_validation_are_apart(
    make_experiment: Make, make_scenes: Make, task: SemanticSegmentation
) -> None:
    made = make_experiment(make_scenes(2))
    with pytest.raises(ConfigError, match="validation: s0 would be trained and validated on"):
        train.declare("r", task, made.chip, made.analyze, ["s0"], ["s0"])
    with pytest.raises(ConfigError, match="there is no training scene"):
        train.declare("r", task, made.chip, made.analyze, [], ["s0"])


def test_a_scene_without_labels_is_not_evaluated(make_experiment: Make, make_scenes: Make) -> None:
    scenes = [make_scenes(1)[0], Scene(id="s1", image="i.tif")]
    with pytest.raises(ConfigError, match="scene 's1': it has no labels to evaluate"):
        make_experiment(scenes)


def test_a_grid_that_nobody_read_is_named(make_scenes: Make, task: SemanticSegmentation) -> None:
    from swath.commands import chip

    with pytest.raises(ConfigError, match="scene 's0': the grid of the scene is not known"):
        chip.declare("r", make_scenes(1), task, {})


def test_declaring_loads_no_heavy_library() -> None:
    code = (
        "import sys; from swath.commands import "
        + ", ".join(KINDS)
        + "; print(sorted({'torch', 'numpy', 'rasterio', 'geopandas', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
