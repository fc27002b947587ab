"""Declarations of models, training and prediction are valid once constructed."""

from __future__ import annotations

import pytest

from swath.errors import ConfigError
from swath.learn import PredictOptions, SegmentationModel, SemanticSegmentation, TrainOptions
from swath.learn.tasks import ROOMS, task_from_json, task_room
from swath.scene.spec import ChipSampling, ClassConfig

CLASSES = ClassConfig(names=("a", "b"))


def test_hazard_chip_size_that_silently_differs_from_model_size() -> None:
    with pytest.raises(ConfigError, match=r"100 px does not fit .* Set chips.size to 96 or 128"):
        SemanticSegmentation(classes=CLASSES, chips=ChipSampling(size=100))
    with pytest.raises(ConfigError, match=r"from 128 px on.* Set chips.size to 128\."):
        SemanticSegmentation(
            classes=CLASSES,
            chips=ChipSampling(size=64),
            model=SegmentationModel(architecture="pan"),
        )
    with pytest.raises(ConfigError, match=r"Set predict.window to 32\."):
        SemanticSegmentation(
            classes=CLASSES, chips=ChipSampling(size=64), predict=PredictOptions(window=20)
        )


def test_a_task_survives_json_unchanged() -> None:
    task = SemanticSegmentation(
        classes=CLASSES,
        chips=ChipSampling(size=64),
        train=TrainOptions(class_weights=(1.0, 2.0), loss="dice"),
    )
    assert task_from_json(task.to_json()) == task


def test_window_and_stride_follow_the_chips_unless_said_otherwise() -> None:
    task = SemanticSegmentation(classes=CLASSES, chips=ChipSampling(size=64))
    assert (task.window, task.stride) == (64, 32)
    other = task.replace(predict=PredictOptions(window=128, stride=100))
    assert (other.window, other.stride) == (128, 100)


def test_a_stride_with_gaps_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves gaps between windows of 64 px"):
        PredictOptions(window=64, stride=65)
    with pytest.raises(ConfigError, match="leaves gaps between windows of 64 px"):
        SemanticSegmentation(
            classes=CLASSES, chips=ChipSampling(size=64), predict=PredictOptions(stride=65)
        )


def test_target_classes_that_do_not_exist_are_refused() -> None:
    classes = ClassConfig(names=("water", "built"))

    def declare(target: str) -> None:
        chips = ChipSampling(size=64, target_classes=("built", target))
        SemanticSegmentation(classes=classes, chips=chips)

    declare("water")
    with pytest.raises(
        ConfigError, match=r"chips.target_classes: 'watr' is not .* Did you mean 'water'\?"
    ):
        declare("watr")
    with pytest.raises(ConfigError, match="Use names of water, built"):
        declare("forest")


def test_class_weights_fit_the_classes() -> None:
    with pytest.raises(ConfigError, match="3 weights for 2 classes"):
        SemanticSegmentation(
            classes=CLASSES,
            chips=ChipSampling(size=64),
            train=TrainOptions(class_weights=(1.0, 1.0, 1.0)),
        )
    with pytest.raises(ConfigError, match="no weights of classes"):
        TrainOptions(class_weights=(0.0, 0.0))


def test_only_a_safetensors_file_is_weights_by_uri() -> None:
    assert SegmentationModel(weights="imagenet").weights_uri is None
    assert SegmentationModel(weights="s3://b/m.safetensors").weights_uri == "s3://b/m.safetensors"


def test_every_task_has_a_room_and_an_unknown_one_is_named() -> None:
    for kind, declaration in ROOMS.items():
        assert declaration.model_fields["kind"].default == kind
        room = task_room(kind)
        assert all(getattr(room, name) is not None for name in room.MODULES)
    with pytest.raises(ConfigError, match=r"'detect' is no kind of task. Use one of"):
        task_room("detect")
    with pytest.raises(ConfigError, match="None is no kind of task"):
        task_from_json({})
