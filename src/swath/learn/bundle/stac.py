"""Describe a model as a STAC item with the Machine Learning Model extension.

One idea: the item repeats what is in the bundle, in words that catalogues understand.

References
----------
https://github.com/stac-extensions/mlm, version 1.5.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyproj

from swath.grid.grid import Grid
from swath.learn.bundle.onnx_export import INPUT, OUTPUT
from swath.learn.description import ModelDescription
from swath.learn.tasks import Task

MLM = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
TASKS = {"semantic_segmentation": "semantic-segmentation"}
"""Kind of task to the extension's word for it."""

# A model is not of a moment; the extension asks for an open interval then.
_ALWAYS = {
    "datetime": None,
    "start_datetime": "1900-01-01T00:00:00Z",
    "end_datetime": "9999-12-31T23:59:59Z",
}
_ASSETS = (
    ("weights", "model.safetensors", "application/octet-stream", "safetensors"),
    ("onnx", "model.onnx", "application/octet-stream", "onnx"),
)


def stac_item(
    name: str,
    task: Task,
    description: ModelDescription,
    grids: Sequence[Grid],
    *,
    n_parameters: int,
) -> dict[str, Any]:
    """Return the item as JSON values.

    Parameters
    ----------
    name
        Id of the item and name of the model.
    task
        What was learned.
    description
        The trained model.
    grids
        Where the training scenes lie.
    n_parameters
        Numbers in the model.
    """
    box = union_wgs84(grids)
    best = {f"best_{key}": value for key, value in description.training.get("best", {}).items()}
    properties = {
        **_ALWAYS,
        "bands": [{"name": each} for each in _band_names(description)],
        "mlm:name": mlm_name(name),
        "mlm:architecture": f"{task.model.architecture} {task.model.encoder}",
        "mlm:tasks": [TASKS[task.kind]],
        "mlm:framework": "PyTorch",
        "mlm:framework_version": description.packages.get("torch", ""),
        "mlm:total_parameters": n_parameters,
        "mlm:pretrained": task.model.weights is not None,
        "mlm:pretrained_source": task.model.weights,
        "mlm:batch_size_suggestion": task.predict.batch_size,
        "mlm:input": [_input(description)],
        "mlm:output": [_output(task, description)],
        "mlm:hyperparameters": {**task.train.to_json(), **best},
    }
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [MLM],
        "id": name,
        "geometry": None if box is None else _polygon(box),
        "properties": properties,
        "links": [],
        "assets": {
            key: {
                "href": f"./{href}",
                "type": media,
                "title": href,
                "roles": ["mlm:model", f"mlm:{'weights' if key == 'weights' else 'compiled'}"],
                "mlm:artifact_type": kind,
            }
            for key, href, media, kind in _ASSETS
        },
    }
    if box is not None:
        item["bbox"] = list(box)
    return item


def mlm_name(name: str) -> str:
    """Return a name that the extension allows: it starts with a letter, ends with one or a digit.

    Examples
    --------
    >>> mlm_name("zion"), mlm_name("2024-run.")
    ('zion', 'model-2024-run')
    """
    trimmed = name.rstrip("_.-")
    return trimmed if len(trimmed) > 2 and trimmed[0].isalpha() else f"model-{trimmed}"


def _band_names(description: ModelDescription) -> list[str]:
    return [f"band {index + 1}" for index in range(description.n_bands)]


def union_wgs84(grids: Sequence[Grid]) -> tuple[float, float, float, float] | None:
    """Return west, south, east, north in degrees around all grids that have a CRS."""
    boxes = []
    for grid in grids:
        if grid.crs is None:
            continue
        transformer = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
        boxes.append(transformer.transform_bounds(*grid.bounds))
    if not boxes:
        return None
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)


def _polygon(box: tuple[float, float, float, float]) -> dict[str, Any]:
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def _input(description: ModelDescription) -> dict[str, Any]:
    size, normalisation = description.chip_size, description.normalisation
    return {
        "name": INPUT,
        "bands": _band_names(description),
        "input": {
            "shape": [-1, description.n_bands, size, size],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": [
            {"type": "z-score", "mean": mean, "stddev": std}
            for mean, std in zip(normalisation.mean, normalisation.std, strict=True)
        ],
        "resize_type": None,
        "description": "Pixels without data are 0 after scaling.",
    }


def _output(task: Task, description: ModelDescription) -> dict[str, Any]:
    size, classes = description.chip_size, task.classes
    return {
        "name": OUTPUT,
        "tasks": [TASKS[task.kind]],
        "result": {
            "shape": [-1, classes.n_classes, size, size],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {"value": index, "name": name, "color_hint": colour.removeprefix("#").upper()}
            for index, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True))
        ],
        "post_processing_function": None,
    }
