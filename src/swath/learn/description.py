"""The trained model in words: everything besides the weights that is needed to use it.

One idea: `model.json` and `model.safetensors` are enough; no experiment, no cache and no network.
"""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swath.errors import DataError
from swath.learn.normalisation import Normalisation

SCHEMA = 1
PACKAGES = ("torch", "segmentation-models-pytorch", "timm")


@dataclass(frozen=True)
class ModelDescription:
    """What `model.json` holds.

    Attributes
    ----------
    task
        Kind of the task.
    model
        Declaration of the network.
    n_bands
        Bands of an image, in the order of training.
    dtype
        Values of the images of training.
    classes
        Names of the classes, and the null class.
    chip_size
        Edge of the chips of training in pixels.
    normalisation
        What is done to values before the network sees them.
    training
        Options of the training, best epoch and its numbers.
    packages
        Versions that trained it.
    """

    task: str
    model: dict[str, Any]
    n_bands: int
    dtype: str
    classes: dict[str, Any]
    chip_size: int
    normalisation: Normalisation
    training: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        return {"schema": SCHEMA, **vars(self), "normalisation": self.normalisation.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ModelDescription:
        """Build from what `to_json` returned.

        Raises
        ------
        DataError
            If it was written by a version that this one does not know.
        """
        data = dict(data)
        schema = data.pop("schema", None)
        if schema != SCHEMA:
            raise DataError(
                f"the model's description has schema {schema}; this version reads {SCHEMA}.",
                where="model.json",
                mend="Update Swath.",
            )
        return cls(**{**data, "normalisation": Normalisation.from_json(data["normalisation"])})

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> ModelDescription:
        """Read what `write` wrote."""
        return cls.from_json(json.loads(path.read_text("utf-8")))


def package_versions() -> dict[str, str]:
    """Return the versions of the libraries that a model depends on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
