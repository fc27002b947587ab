"""Training: every option does something, and an interrupted one goes on bit for bit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from swath.errors import ConfigError, DataError, RunError
from swath.learn.analysis import SceneAnalysis
from swath.learn.chip_set import ChipFiles
from swath.learn.description import ModelDescription
from swath.learn.semantic_segmentation.model import build_model
from swath.learn.semantic_segmentation.training import TrainedFiles, class_weights, train
from swath.learn.spec import Architecture, Augmentation, SegmentationModel

if TYPE_CHECKING:
    from tests.learn.conftest import Tiny


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test catches it."""


def _same(one: Path, two: Path) -> bool:
    first, second = load_file(one), load_file(two)
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_class_that_can_be_seen_is_learned(trained: TrainedFiles) -> None:
    rows = _rows(trained.history)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    description = ModelDescription.read(trained.description)
    assert description.n_bands == 3
    assert description.dtype == "uint16"
    assert description.chip_size == 32
    assert description.classes["names"] == ["dark", "bright"]
    assert description.normalisation.mean[0] == pytest.approx(11_250, rel=0.01)


def test_the_same_inputs_give_the_same_bytes(tiny: Tiny) -> None:
    task = tiny.task(seed=3)
    one, two = (tiny.train(name, task) for name in ("same-1", "same-2"))
    for name in ("model", "description", "history"):
        assert getattr(one, name).read_bytes() == getattr(two, name).read_bytes()


MODEL = SegmentationModel(architecture="linknet", encoder="tu-test_resnet")
BASE: dict[str, Any] = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def base(tiny: Tiny) -> TrainedFiles:
    return tiny.train("base", tiny.task(**BASE))


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 1},
        {"batch_size": 3},
        {"learning_rate": 2e-3},
        {"weight_decay": 0.1},
        {"optimizer": "adam"},
        {"optimizer": "sgd"},
        {"schedule": "constant"},
        {"schedule": "cosine"},
        {"loss": "dice"},
        {"loss": "focal"},
        {"loss": "ce_dice"},
        {"class_weights": (1.0, 3.0)},
        {"augment": Augmentation(flips=False)},
        {"augment": Augmentation(rotations=False)},
        {"augment": Augmentation(brightness=0.3)},
        {"precision": "bfloat16"},
        {"seed": 1},
    ],
    ids=lambda change: "-".join(f"{key}={value}" for key, value in change.items())[:40],
)
def test_every_training_option_changes_the_weights(
    tiny: Tiny, base: TrainedFiles, change: dict[str, Any]
) -> None:
    name = f"change-{sorted(change.items())}".replace("/", "")[:60]
    other = tiny.train(name, tiny.task(**{**BASE, **change}))
    assert not _same(base.model, other.model)


def test_balanced_weights_follow_the_pixels_of_the_chips(tiny: Tiny) -> None:
    even = class_weights(tiny.task(class_weights="balanced"), [tiny.chips])
    np.testing.assert_allclose(even, [1.0, 1.0])  # the squares are half of the scene
    assert class_weights(tiny.task(class_weights=(2.0, 3.0)), []).tolist() == [2.0, 3.0]
    assert class_weights(tiny.task(), []).tolist() == [1.0, 1.0]


def test_early_stopping_and_monitor_decide_what_is_kept(tiny: Tiny) -> None:
    # So high a rate makes the first epochs jump; without patience all eight are run.
    options = {"epochs": 8, "learning_rate": 3e-2, "schedule": "constant"}
    full = tiny.train("patience-none", tiny.task(**options, monitor="loss"))
    rows = _rows(full.history)
    losses = [float(row["validation_loss"]) for row in rows]
    best = json.loads(full.description.read_text())["training"]["best"]
    assert best["epoch"] == 1 + losses.index(min(losses))
    stale = next(
        (epoch for epoch in range(1, 8) if epoch - losses.index(min(losses[: epoch + 1])) >= 1),
        7,
    )
    task = tiny.task(**options, monitor="loss", early_stopping_patience=1)
    short = tiny.train("patience-1", task)
    assert len(_rows(short.history)) == stale + 1 < 8


@pytest.mark.parametrize("stop_at", [1, 3, 4, 5])
def test_hazard_resume_that_restores_weights_but_not_the_optimiser(
    tiny: Tiny, stop_at: int
) -> None:
    """Three batches an epoch: stops within the first, at its end, and within the second."""
    task = tiny.task(epochs=3, batch_size=3, augment=Augmentation(brightness=0.1))
    whole = tiny.train(f"whole-{stop_at}", task)

    def kill(done: float, total: float, **_: float) -> None:
        if done == stop_at + 1:
            raise Killed

    name = f"killed-{stop_at}"
    with pytest.raises(Killed):
        tiny.train(name, task, progress=kill, checkpoint_seconds=0)
    seen: list[float] = []
    resumed = tiny.train(name, task, progress=lambda done, *_, **__: seen.append(done))
    assert seen[0] == stop_at + 1, "goes on where the last state was written"
    for field in ("model", "description", "history"):
        assert getattr(resumed, field).read_bytes() == getattr(whole, field).read_bytes()


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_training_goes_on_with_the_threads_that_it_began_with(
    tiny: Tiny, before: int, after: int
) -> None:
    task = tiny.task(epochs=2, batch_size=3)
    used: list[int] = []

    def kill(done: float, total: float, **_: float) -> None:
        used.append(torch.get_num_threads())
        if done == 2:
            raise Killed

    def note(done: float, total: float, **_: float) -> None:
        used.append(torch.get_num_threads())

    outside = torch.get_num_threads()
    name = f"threads-{before}-{after}"
    whole = tiny.train(f"{name}-whole", task, threads=before)
    with pytest.raises(Killed):
        tiny.train(name, task, progress=kill, threads=before, checkpoint_seconds=0)
    resumed = tiny.train(name, task, progress=note, threads=after)
    assert set(used) == {before}
    assert torch.get_num_threads() == outside
    assert resumed.model.read_bytes() == whole.model.read_bytes()


def test_random_state_goes_on_too(tiny: Tiny) -> None:
    """DeepLab has dropout, which draws from torch's generator."""
    task = tiny.task(epochs=2, batch_size=9).replace(
        model=SegmentationModel(architecture="deeplabv3plus", encoder="tu-test_resnet")
    )

    def kill(done: float, total: float, **_: float) -> None:
        if done == 2:
            raise Killed

    whole = tiny.train("dropout-whole", task)
    with pytest.raises(Killed):
        tiny.train("dropout-killed", task, progress=kill)
    torch.manual_seed(12345)
    resumed = tiny.train("dropout-killed", task)
    assert whole.model.read_bytes() == resumed.model.read_bytes()


def test_a_state_holds_weights_optimiser_random_state_and_position_without_pickle(
    tiny: Tiny,
) -> None:
    tiny.train("state", tiny.task())
    folder = tiny.folder / "state" / "state"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best-0001.safetensors",
        "state.safetensors",
    ]
    with safe_open(folder / "state.safetensors", framework="pt") as file:
        names = set(file.keys())
        position = json.loads(file.metadata()["position"])
    assert {name.partition(".")[0] for name in names} == {"model", "optimizer", "random"}
    assert any(name.endswith("exp_avg_sq") for name in names)
    assert (position["epoch"], position["step"], len(position["history"])) == (1, 0, 1)


def test_training_can_start_from_the_weights_of_another(tiny: Tiny, trained: TrainedFiles) -> None:
    task = tiny.task(learning_rate=1e-9)
    started = tiny.train("from-weights", task, weights=trained.model)
    one, two = load_file(trained.model), load_file(started.model)
    name = "encoder.model.conv1.0.weight"
    torch.testing.assert_close(one[name], two[name], atol=1e-6, rtol=0)


def test_weights_of_another_model_are_refused(tiny: Tiny, trained: TrainedFiles) -> None:
    task = tiny.task().replace(
        model=SegmentationModel(architecture="fpn", encoder="tu-test_resnet")
    )
    with pytest.raises(ConfigError, match="the weights do not fit the model"):
        tiny.train("wrong-weights", task, weights=trained.model)


def test_a_loss_that_is_no_number_stops_the_training(tiny: Tiny) -> None:
    task = tiny.task(learning_rate=1e30, optimizer="sgd", schedule="constant", batch_size=2)
    with pytest.raises(RunError, match=r"the loss is .* in epoch 1. Use a smaller"):
        tiny.train("nan", task)


def test_a_misspelt_encoder_is_named_with_what_is_near() -> None:
    with pytest.raises(ConfigError, match=r"'resnet81' is no encoder .* Did you mean resnet18"):
        build_model(SegmentationModel(encoder="resnet81"), 3, 2)


def test_missing_chips_and_foreign_statistics_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    empty = ChipFiles(*(tmp_path / name for name in ("i.npy", "l.npy", "v.npy", "x.parquet")))
    np.save(empty.images, np.zeros((0, 3, 32, 32), np.uint16))
    analysis = SceneAnalysis.read(tiny.stats)
    data = json.loads(tiny.stats.read_text())
    data["bands"] = {name: numbers[:2] for name, numbers in data["bands"].items()}
    (tmp_path / "two.json").write_text(json.dumps(data))
    assert analysis.bands.n_bands == 3

    def run(validation: ChipFiles, stats: Path) -> None:
        outputs = TrainedFiles(*(tmp_path / name for name in ("m", "d", "h")))
        nothing: Any = lambda *_, **__: None  # noqa: E731
        train(
            tiny.task(), [tiny.chips], [validation], [stats], outputs, state_dir=tmp_path,
            weights=None, options={"threads": 1}, progress=nothing, log=nothing,
        )  # fmt: skip

    with pytest.raises(DataError, match="no window of the validation scenes became a chip"):
        run(empty, tiny.stats)
    with pytest.raises(DataError, match="statistics: they have 2 bands, the training chips 3"):
        run(tiny.chips, tmp_path / "two.json")


@pytest.mark.parametrize("n_bands", [1, 2, 7])
def test_any_number_of_bands(n_bands: int) -> None:
    model = build_model(MODEL, n_bands, 3).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, n_bands, 32, 32)).shape == (1, 3, 32, 32)


def test_every_architecture_can_be_built_and_run() -> None:
    for name in get_args(Architecture):
        spec = SegmentationModel(architecture=name, encoder="tu-test_resnet")
        model, size = build_model(spec, 4, 2), spec.smallest_size
        with torch.no_grad():  # in training mode, the stricter one
            assert model(torch.zeros(2, 4, size, size)).shape == (2, 2, size, size), name


def test_the_default_model_is_built() -> None:
    assert sum(each.numel() for each in build_model(SegmentationModel(), 3, 2).parameters()) > 10**7


def test_a_batch_too_small_for_batch_normalisation_is_explained(tiny: Tiny) -> None:
    with pytest.raises(ConfigError, match=r"1 chip in a step is too few.* at least 2"):
        tiny.train("one-chip", tiny.task(batch_size=1))
