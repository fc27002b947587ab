"""A bundle proves itself, is the same bytes each time, and cannot write where it should not."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window
from swath.learn.bundle.members import OPTIONAL, REQUIRED
from swath.learn.bundle.read import check_bundle, open_bundle, predict_image
from swath.learn.bundle.stac import mlm_name, union_wgs84
from swath.learn.bundle.write import BundleSources, golden_chip, write_bundle
from swath.learn.semantic_segmentation.prediction import load_predictor
from swath.learn.semantic_segmentation.training import TrainedFiles
from swath.learn.spec import PredictOptions
from swath.raster.reader import open_raster
from swath.raster.spec import Raster

if TYPE_CHECKING:
    from tests.learn.conftest import Tiny

GRID = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 96, 96)


def _write(path: Path, tiny: Tiny, trained: TrainedFiles) -> Path:
    sources = BundleSources(
        model=trained.model,
        description=trained.description,
        history=trained.history,
        stats=(tiny.stats,),
        images=(tiny.chips.images,),
        valid=(tiny.chips.valid,),
    )
    write_bundle(path, sources, tiny.task(), experiment={"id": "tiny"}, grids=[GRID])
    return path


@pytest.fixture(scope="module")
def bundle(tiny: Tiny, trained: TrainedFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("bundle") / "bundle.zip", tiny, trained)


def _changed(bundle: Path, path: Path, name: str, data: bytes | None) -> Path:
    """Copy a bundle with one member replaced, added or (None) left out."""
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            if member != name:
                target.writestr(member, source.read(member))
        if data is not None:
            target.writestr(name, data)
    return path


def test_a_bundle_proves_itself_with_torch_and_onnxruntime(bundle: Path) -> None:
    report = check_bundle(bundle)
    assert report.name == "tiny"
    assert report.torch_difference <= 1e-6
    assert report.onnx_difference is not None
    assert report.onnx_difference <= 1e-4
    assert report.label_agreement == 1.0
    assert report.is_proven


def test_another_output_than_expected_is_found(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        expected = np.load(io.BytesIO(archive.read("golden/expected.npy")))
    wrong = io.BytesIO()
    np.save(wrong, expected[::-1])
    changed = _changed(bundle, tmp_path / "b.zip", "golden/expected.npy", wrong.getvalue())
    report = check_bundle(changed)
    assert not report.is_proven
    assert report.label_agreement < 0.5


def test_the_same_sources_give_the_same_bytes(
    bundle: Path, tiny: Tiny, trained: TrainedFiles, tmp_path: Path
) -> None:
    again = _write(tmp_path / "other-name.zip", tiny, trained)
    assert again.read_bytes() == bundle.read_bytes()
    assert not list(tmp_path.glob(".bundle-*"))


def test_nothing_in_a_bundle_tells_of_the_machine_that_wrote_it(bundle: Path) -> None:
    assert str(Path(__file__).parents[3]).encode() not in bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        infos = archive.infolist()
        onnx.checker.check_model(onnx.load_model_from_string(archive.read("model.onnx")))
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    assert [info.filename for info in infos] == list(REQUIRED)


def test_the_item_describes_input_output_and_place(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        item = json.loads(archive.read("item.json"))
    properties = item["properties"]
    assert item["stac_extensions"] == ["https://stac-extensions.github.io/mlm/v1.5.0/schema.json"]
    # What the schema asks for, as far as it can be said by hand.
    assert properties["mlm:name"] == "tiny"
    assert properties["mlm:input"][0]["bands"] == [each["name"] for each in properties["bands"]]
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", key) for key in properties["mlm:hyperparameters"])
    assert all("mlm:model" in asset["roles"] for asset in item["assets"].values())
    assert properties["mlm:tasks"] == ["semantic-segmentation"]
    assert properties["mlm:input"][0]["input"]["shape"] == [-1, 3, 32, 32]
    assert len(properties["mlm:input"][0]["value_scaling"]) == 3
    classes = properties["mlm:output"][0]["classification:classes"]
    assert [each["name"] for each in classes] == ["dark", "bright"]
    west, south, east, north = item["bbox"]
    assert 14.99 < west < east < 15.02
    assert 45.13 < south < north < 45.16
    assert {asset["href"] for asset in item["assets"].values()} == {
        "./model.safetensors",
        "./model.onnx",
    }


@pytest.mark.parametrize("name", ["zion", "2024", "a", "x-", "_y"])
def test_any_id_of_an_experiment_becomes_a_name_that_the_extension_allows(name: str) -> None:
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]", mlm_name(name))


def test_a_place_without_crs_is_no_place() -> None:
    assert union_wgs84([Grid(None, (1.0, 0, 0, 0, -1.0, 0), 4, 4)]) is None


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "golden/../../evil", "code.py"])
def test_a_member_that_does_not_belong_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="members that do not belong in a bundle"):
        open_bundle(_changed(bundle, tmp_path / "b.zip", name, b"x"))
    assert not (tmp_path.parent / "evil.txt").exists()


def test_what_is_no_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(DataError, match="it is no bundle"):
        open_bundle(tmp_path / "text.zip")
    with pytest.raises(DataError, match="the bundle does not exist"):
        open_bundle(tmp_path / "none.zip")
    with pytest.raises(DataError, match=r"the bundle cannot be read: Is a directory\. Give the"):
        open_bundle(tmp_path)
    broken = _changed(bundle, tmp_path / "d.zip", "bundle.json", b"{")
    with pytest.raises(DataError, match=r"d\.zip: its description cannot be read"):
        open_bundle(broken)
    with pytest.raises(DataError, match=r"members are missing: model\.onnx"):
        open_bundle(_changed(bundle, tmp_path / "b.zip", "model.onnx", None))
    newer = _changed(bundle, tmp_path / "c.zip", "bundle.json", b'{"schema": 99}')
    with pytest.raises(DataError, match=r"has schema 99; this version reads 1\. Update Swath"):
        open_bundle(newer)


def test_a_damaged_member_is_named(bundle: Path, tmp_path: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[len(data) // 4] ^= 0xFF  # inside the weights, the first large member
    (tmp_path / "b.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"'model.*' is damaged"):
        open_bundle(tmp_path / "b.zip")


def test_scores_are_the_only_member_that_may_be_missing() -> None:
    assert OPTIONAL == ("scores.json",)


def test_an_image_is_predicted_as_by_blocks_of_the_experiment(
    bundle: Path, tiny: Tiny, trained: TrainedFiles, tmp_path: Path
) -> None:
    device = {"device": "cpu", "threads": 1}
    with open_bundle(bundle) as opened:
        folder = opened.folder
        out = tmp_path / "map.tif"
        predict_image(opened, tiny.scene.image, out, device_options=device)
        blocks = opened.task.predict.replace(block_size=40)
        parts = tmp_path / "parts.tif"
        predict_image(opened, tiny.scene.image, parts, options=blocks, device_options=device)
    assert not folder.exists()
    predictor = load_predictor(
        trained.model, trained.description, PredictOptions(window=32), device
    )
    with open_raster(tiny.scene.image) as reader:
        expected = predictor.predict(reader, Window(0, 0, 96, 96)).labels
    predictor.close()
    with open_raster(Raster(uris=(str(out),))) as reader:
        assert reader.grid.difference(GRID) is None
        np.testing.assert_array_equal(reader.read(GRID.window).values[0], expected)
    assert out.read_bytes() == parts.read_bytes()


def test_statistics_of_the_image_can_take_the_place_of_those_of_the_training(
    bundle: Path, tiny: Tiny, tmp_path: Path
) -> None:
    """The same scene in other units: only its own statistics make it look the same."""
    from tests.learn.conftest import write_image

    scaled = Raster(uris=write_image(tmp_path / "scaled.tif", tiny.image // 10))
    floats = tiny.image.astype(np.float32) * 1e-4
    reflectance = Raster(uris=write_image(tmp_path / "reflectance.tif", floats))
    maps = []
    with open_bundle(bundle) as opened:
        for name, source, update in (
            ("own", tiny.scene.image, False),
            ("foreign", scaled, False),
            ("updated", scaled, True),
            ("updated-floats", reflectance, True),
        ):
            out = tmp_path / f"{name}.tif"
            predict_image(opened, source, out, update_stats=update)
            with open_raster(Raster(uris=(str(out),))) as reader:
                maps.append(reader.read(GRID.window).values[0])
        with pytest.raises(DataError, match="values are float32, the model was trained on uint16"):
            predict_image(opened, reflectance, tmp_path / "refused.tif")
    own, foreign, updated, updated_floats = maps
    assert np.mean(updated == own) > 0.99
    assert np.mean(updated_floats == own) > 0.99
    assert np.mean(foreign == own) < 0.9


def test_the_golden_chip_is_the_first_there_is(tiny: Tiny, tmp_path: Path) -> None:
    empty = tmp_path / "empty.npy"
    np.save(empty, np.zeros((0, 3, 32, 32), np.uint16))
    image, valid = golden_chip([empty, tiny.chips.images], [empty, tiny.chips.valid])
    np.testing.assert_array_equal(image, tiny.image[:, :32, :32])
    assert valid.all()
    with pytest.raises(DataError, match="no validation chip to prove the model by"):
        golden_chip([empty], [empty])
