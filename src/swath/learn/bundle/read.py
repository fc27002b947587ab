"""Open a bundle, prove it, and predict images with it.

One idea: a bundle is laid out in a temporary folder under names that are known beforehand; nothing
in it is code, and nothing of it is trusted to be a path.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.window import Window, tiles
from swath.learn.analysis import analyze_scene, normalisation_of
from swath.learn.bundle.members import extract_zip
from swath.learn.bundle.onnx_export import INPUT, OUTPUT
from swath.learn.bundle.write import SCHEMA
from swath.learn.description import ModelDescription
from swath.learn.spec import PredictOptions
from swath.learn.tasks import Task, task_from_json, task_room
from swath.raster.cog import write_cog
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import Raster, Stack
from swath.scene.spec import IGNORE, Scene

Progress = Callable[..., None]

TOLERANCE = 1e-4
"""Largest difference of a probability that other hardware and libraries may make."""

STATS_PIXELS = 4_000_000


class Bundle:
    """An opened bundle; a context manager. Made by `open_bundle`.

    Attributes
    ----------
    folder
        Where its members lie until it is closed.
    about
        ``bundle.json``: name, version of Swath, task.
    task
        What was learned.
    description
        The trained model.
    """

    def __init__(self, path: Path) -> None:
        self._temporary = TemporaryDirectory(prefix="swath-bundle-")
        self.folder = Path(self._temporary.name)
        try:
            extract_zip(path, self.folder)
            self.about: dict[str, Any] = json.loads(
                (self.folder / "bundle.json").read_text("utf-8")
            )
            if self.about.get("schema") != SCHEMA:
                raise DataError(
                    f"the bundle has schema {self.about.get('schema')}; this version reads "
                    f"{SCHEMA}.",
                    where=str(path),
                    mend="Update Swath.",
                )
            self.task: Task = task_from_json(self.about["task"])
            self.description = ModelDescription.read(self.folder / "model.json")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.close()
            raise DataError(
                f"its description cannot be read: {' '.join(str(error).split())}.",
                where=str(path),
                mend="Give the bundle.zip that the command 'bundle' wrote.",
            ) from error
        except BaseException:
            self.close()
            raise

    @property
    def model(self) -> Path:
        """The weights."""
        return self.folder / "model.safetensors"

    def close(self) -> None:
        """Remove the temporary folder."""
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_bundle(path: Path | str) -> Bundle:
    """Open a bundle.

    Raises
    ------
    DataError
        If the file is no bundle, or of a newer version.
    """
    return Bundle(Path(path))


@dataclass(frozen=True)
class BundleReport:
    """What a check of a bundle found.

    Attributes
    ----------
    name
        Name of the model.
    torch_difference
        Largest difference of a probability of the golden chip, computed here with torch.
    onnx_difference
        The same with onnxruntime; None if it is not installed.
    label_agreement
        Share of the golden chip's pixels that get the expected class, by every library used.
    """

    name: str
    torch_difference: float
    onnx_difference: float | None
    label_agreement: float

    @property
    def is_proven(self) -> bool:
        """Whether every library that is installed gives the expected output."""
        differences = [self.torch_difference, self.onnx_difference or 0.0]
        return all(value <= TOLERANCE for value in differences)


def check_bundle(path: Path | str) -> BundleReport:
    """Compute the golden chip's output on this machine and compare it with the expected one.

    Raises
    ------
    DataError
        If the file is no bundle.
    """
    with open_bundle(path) as bundle:
        image = np.load(bundle.folder / "golden/image.npy", allow_pickle=False)
        valid = np.load(bundle.folder / "golden/valid.npy", allow_pickle=False)
        expected = np.load(bundle.folder / "golden/expected.npy", allow_pickle=False)
        room = task_room(bundle.task.kind)
        found = [room.chip_output(bundle.model, bundle.description, image, valid)]
        if importlib.util.find_spec("onnxruntime") is not None:
            normalised = bundle.description.normalisation.apply(image, valid)
            found.append(_onnx_probabilities(bundle.folder / "model.onnx", normalised))
        differences = [_difference(each, expected) for each in found]
        labels = expected.argmax(0)
        agreement = min(float(np.mean(each.argmax(0) == labels)) for each in found)
        return BundleReport(
            name=str(bundle.about["name"]),
            torch_difference=differences[0],
            onnx_difference=differences[1] if len(differences) > 1 else None,
            label_agreement=agreement,
        )


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    largest = float(np.max(np.abs(found.astype(np.float64) - expected)))
    return largest if np.isfinite(largest) else float("inf")


def _onnx_probabilities(path: Path, normalised: NDArray[np.float32]) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run([OUTPUT], {INPUT: normalised[np.newaxis]})[0][0]
    return result


def predict_image(
    bundle: Bundle,
    image: Raster | Stack,
    out: Path | str,
    *,
    options: PredictOptions | None = None,
    device_options: Mapping[str, Any] | None = None,
    update_stats: bool = False,
    progress: Progress | None = None,
) -> None:
    """Predict a whole image into a cloud-optimised GeoTIFF with the colours of the classes.

    Parameters
    ----------
    bundle
        The model.
    image
        Image with the bands of the training, in their order.
    out
        File to write: uint8 class ids, 255 where the image has no data.
    options
        How to predict; None: as the experiment said.
    device_options
        ``device``, ``threads``.
    update_stats
        Normalise by the statistics of this image instead of those of the training.
    progress
        Called with (done, total) pixels.

    Raises
    ------
    DataError
        If the image does not fit the model.

    Notes
    -----
    Memory is bounded by one block of ``options.block_size``; the file is written as blocks come.
    """
    options = options or bundle.task.predict
    description = bundle.description
    classes = bundle.task.classes
    if update_stats:
        scene = Scene(id="image", image=image)
        analysis = analyze_scene(scene, classes, max_pixels=STATS_PIXELS)
        with open_raster(image) as reader:  # its own statistics are right for its own unit
            dtype = reader.dtype.name
        normalisation = normalisation_of(analysis.bands)
        description = replace(description, normalisation=normalisation, dtype=dtype)
    predictor = task_room(bundle.task.kind).Predictor(
        bundle.model,
        description,
        options.replace(scores=False, window=options.window or bundle.task.window),
        device_options or {},
    )
    try:
        with open_raster(image) as reader:
            write_cog(
                out,
                reader.grid,
                _predicted_blocks(predictor, reader, options.block_size, progress),
                dtype="uint8",
                nodata=IGNORE,
                colours=classes.colour_table(),
                resampling="mode",
                tags={f"CLASS_{index}": name for index, name in enumerate(classes.names)},
            )
    finally:
        predictor.close()


def _predicted_blocks(
    predictor: Any, reader: RasterReader, block_size: int, progress: Progress | None
) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    done = 0
    for block in tiles(reader.grid.shape, block_size):
        yield block, predictor.predict(reader, block).labels
        done += block.pixels
        if progress is not None:
            progress(done, reader.grid.window.pixels)
