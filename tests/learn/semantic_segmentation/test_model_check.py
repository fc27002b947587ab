"""A model that cannot be built is met before work starts; well-known names cost nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swath.errors import ConfigError
from swath.learn.semantic_segmentation.model_check import check_model, check_names
from swath.learn.spec import WELL_KNOWN, SegmentationModel
from swath.store import open_store


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder": "resnet81"}, "model.encoder: 'resnet81' is no .* Did you mean resnet18"),
        ({"weights": "imagnet"}, "model.weights: .* 'imagnet' .* Did you mean imagenet"),
        ({"weights": "first.pth"}, "A file of weights ends in .safetensors"),
        ({"encoder": "dpn92", "weights": "imagenet"}, r"Did you mean imagenet\+5k"),
        ({"encoder": "tu-resnet81"}, "'tu-resnet81' is no encoder of timm. Did you mean tu-res"),
        ({"encoder": "tu-resnet18", "weights": "imagnet"}, "Did you mean imagenet"),
        ({"encoder": "tu-test_resnet.no_such", "weights": "imagenet"}, "timm has no weights"),
        ({"weights": "/no/such.safetensors"}, "'/no/such.safetensors' does not exist"),
        ({"weights": "memory://b/no-such.safetensors"}, "b/no-such.safetensors' does not exist"),
    ],
)
def test_what_is_not_known_is_refused(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_model(SegmentationModel(**fields))


def test_what_is_known_passes(tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").touch()
    remote = f"memory://{tmp_path.name}/m.safetensors"
    open_store(remote).write(remote, b"")
    for fields in (
        {},
        {"weights": str(tmp_path / "m.safetensors")},
        {"weights": remote},
        {"encoder": "dpn92", "weights": "imagenet+5k"},
        {"encoder": "tu-resnet18.a1_in1k", "weights": "imagenet"},
    ):
        check_model(SegmentationModel(**fields))


def test_the_well_known_names_are_known() -> None:
    for encoder, published in WELL_KNOWN.items():
        for weights in published:
            spec = SegmentationModel(encoder=encoder, weights=weights)
            assert spec.is_well_known
            check_names(spec)


def test_well_known_names_import_no_library() -> None:
    code = (
        "import sys; from swath.learn.tasks import task_room; import swath;"
        "check = task_room('semantic_segmentation').check_model;"
        "check(swath.SegmentationModel(encoder='resnet50', weights='imagenet'));"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
