"""An experiment is the same wherever it is read, and is estimated by its own images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import swath
from swath.errors import ConfigError, DataError
from swath.experiment.check import CheckReport, check_experiments
from swath.experiment.experiment import Experiment, compile_experiment
from swath.grid.grid import Grid
from swath.raster.header import Header


def _experiment(root: Path, *, bands: tuple[int, ...] | None = None, **model: Any) -> Experiment:
    def scene(name: str) -> swath.Scene:
        image = swath.Raster(uris=f"/{name}.tif", bands=bands)
        return swath.Scene(id=name, image=image, labels=f"/{name}-labels.tif")

    return Experiment(
        id="e",
        root_uri=root,
        task=swath.SemanticSegmentation(
            classes=swath.ClassConfig(names=("a", "b")),
            model=swath.SegmentationModel(**model),
            chips=swath.ChipSampling(size=32),
        ),
        train_scenes=(scene("t"),),
        validation_scenes=(scene("v"),),
    )


def _headers(*dtypes: str) -> dict[str, Header]:
    grid = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 100, 100)
    return {
        uri: Header(uri, grid, len(dtypes), dtypes, None, (100, 100), None)
        for uri in ("/t.tif", "/v.tif")
    }


def test_weights_have_an_absolute_path_whatever_folder_the_file_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = _experiment(tmp_path, weights="first.safetensors")
    assert experiment.task.model.weights == str(tmp_path / "first.safetensors")
    read = Experiment.from_json(experiment.to_json())
    monkeypatch.chdir("/")
    assert Experiment.from_json(read.to_json()) == experiment
    assert _experiment(tmp_path, weights="imagenet").task.model.weights == "imagenet"


def test_disk_for_chips_is_estimated_by_bands_and_type(tmp_path: Path) -> None:
    def chip_bytes(experiment: Experiment, *dtypes: str) -> int:
        commands = compile_experiment(experiment, _headers(*dtypes)).commands
        return next(c for c in commands if c.kind == "chip").units[0].output_bytes

    everything = _experiment(tmp_path)
    assert chip_bytes(everything, "uint8") == 100 * 100 * (1 + 1)
    assert chip_bytes(everything, *["float32"] * 20) == 100 * 100 * (80 + 1)
    chosen = _experiment(tmp_path, bands=(0, 3))
    assert chip_bytes(chosen, *["uint16"] * 4) == 100 * 100 * (4 + 1)


def test_training_and_prediction_ask_for_a_gpu_and_tell_their_memory(tmp_path: Path) -> None:
    commands = compile_experiment(_experiment(tmp_path), _headers("uint8")).commands
    for command in commands:
        assert command.resources.gpus == (command.kind in ("train", "predict"))
        heavy = command.kind in ("train", "predict", "bundle")
        assert (command.resources.memory_gib is not None) == heavy


def test_a_band_that_does_not_exist_names_its_scene(tmp_path: Path) -> None:
    experiment = _experiment(tmp_path, bands=(3,))
    with pytest.raises(swath.Problems) as found:
        compile_experiment(experiment, _headers("uint8"))
    assert all(isinstance(error, DataError) for error in found.value.errors)
    assert "scene 't', image /t.tif: Band 3 does not exist" in str(found.value)


def test_a_check_tells_a_model_that_cannot_be_built(tmp_path: Path) -> None:
    report: CheckReport = check_experiments([_experiment(tmp_path, weights="imagnet")])
    told = [error for error in report.problems if isinstance(error, ConfigError)]
    assert len(told) == 1
    assert "experiment 'e', model.weights: there are no weights 'imagnet'" in str(told[0])
