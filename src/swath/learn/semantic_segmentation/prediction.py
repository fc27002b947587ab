"""Apply a trained model to a block of a scene.

Not here: cutting a scene into blocks (the command) and joining them (`maps`). One idea: the windows
are fixed by the scene, a block computes every window that touches it, in one order, and adds up
class probabilities by fixed weights; so a pixel has one value, whoever computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.window import Window, sliding_offsets
from swath.learn.ahead import read_ahead
from swath.learn.description import ModelDescription
from swath.learn.semantic_segmentation.forward import ForwardPool
from swath.learn.semantic_segmentation.maps import FULL_SCORE, BlockPrediction, write_block
from swath.learn.spec import PredictOptions
from swath.learn.strips import Arrays, cut_windows
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import Raster, Stack
from swath.scene.spec import IGNORE

Progress = Callable[..., None]
T = TypeVar("T")


class _Batch(NamedTuple):
    windows: tuple[Window, ...]
    images: NDArray[np.float32]
    valid: NDArray[np.bool_]


class Predictor:
    """A trained model, ready to predict; close it when done.

    Parameters
    ----------
    model
        Weights, safetensors.
    description
        What was written beside them.
    options
        Window, stride, batch size, blending, precision, and whether scores are wanted.
    device_options
        ``device`` and ``threads``; they do not change the result on CPU.
    """

    def __init__(
        self,
        model: Path,
        description: ModelDescription,
        options: PredictOptions,
        device_options: Mapping[str, Any],
    ) -> None:
        self.description = description
        self.options = options
        self.window = options.window or description.chip_size
        self.stride = options.stride or max(1, self.window // 2)
        self.n_classes = len(description.classes["names"])
        self._forward = ForwardPool(model, description, options.precision, device_options)

    def close(self) -> None:
        """Stop the workers."""
        self._forward.close()

    def predict(
        self, reader: RasterReader, block: Window, progress: Progress | None = None
    ) -> BlockPrediction:
        """Predict one block of an image.

        Parameters
        ----------
        reader
            The opened image.
        block
            Pixels of the image to predict.
        progress
            Called with (done, total) windows.

        Raises
        ------
        DataError
            If the image has other bands or another type of values than those of the training.

        Notes
        -----
        Memory: the sums of the block, ``4 * (n_classes + 1)`` bytes per pixel, two strips of the
        image and a few batches; the size of the scene does not matter.
        """
        n_bands = self.description.n_bands
        if reader.n_bands != n_bands:
            raise DataError(
                f"the image has {reader.n_bands} bands, the model was trained on {n_bands}.",
                where=reader.spec.source_uris()[0],
                mend="Select the bands of the training, in their order (image.bands).",
            )
        if reader.dtype.name != self.description.dtype:
            # A type of the same values may be right, but mostly it is another unit (reflectance
            # against counts), which normalisation would turn into nonsense without a word.
            raise DataError(
                f"the image's values are {reader.dtype.name}, the model was trained on "
                f"{self.description.dtype}.",
                where=reader.spec.source_uris()[0],
                mend="Give the product of the training; if the values are in the same unit, add "
                f"Cast(dtype={self.description.dtype!r}) to image.transforms; if they are not, "
                "normalise by the image's own statistics (--update-stats of 'swath predict').",
            )
        windows = windows_of(reader.grid.shape, self.window, self.stride, block)
        sums = _Sums(block, self.n_classes, blend_weights(self.window, self.options.blend))
        valid = np.zeros(block.shape, bool)
        done = 0
        with (
            closing(read_ahead(self._batches(reader, windows, block, valid))) as batches,
            closing(self._forward.map(batches)) as results,
        ):
            for batch, probabilities in results:
                for window, part in zip(batch.windows, probabilities, strict=True):
                    sums.add(window, part)
                done += len(batch.windows)
                if progress is not None:
                    progress(done, len(windows))
        return sums.result(valid, scores=self.options.scores)

    def _batches(
        self,
        reader: RasterReader,
        windows: Sequence[Window],
        block: Window,
        valid_of_block: NDArray[np.bool_],
    ) -> Generator[_Batch]:
        """Yield batches of windows with data, and note which pixels of the block have any."""

        def read(window: Window) -> Arrays:
            pixels = reader.read(window)
            return pixels.values, pixels.valid

        def with_data() -> Iterator[tuple[Window, Arrays]]:
            for window, (values, valid) in cut_windows(read, windows, reader.block_shape[0]):
                here, there = _overlap(window, block)
                valid_of_block[there] = valid[here]
                if valid.any():  # else nothing of it is seen in the result
                    yield window, (values, valid)

        normalise = self.description.normalisation.apply
        for group in _grouped(with_data(), self.options.batch_size):
            images = np.stack([normalise(values, valid) for _, (values, valid) in group])
            yield _Batch(
                tuple(window for window, _ in group),
                images,
                np.stack([valid for _, (_, valid) in group]),
            )


class _Sums:
    """Weighted sums of class probabilities over a block."""

    def __init__(self, block: Window, n_classes: int, weights: NDArray[np.float32]) -> None:
        self._block = block
        self._weights = weights
        self._sums = np.zeros((n_classes, *block.shape), np.float32)
        self._total = np.zeros(block.shape, np.float32)

    def add(self, window: Window, probabilities: NDArray[np.float32]) -> None:
        here, there = _overlap(window, self._block)
        weights = self._weights[here]
        self._sums[:, *there] += probabilities[:, *here] * weights
        self._total[there] += weights

    def result(self, valid: NDArray[np.bool_], *, scores: bool) -> BlockPrediction:
        labels = _argmax(self._sums)
        labels[~valid] = IGNORE
        if not scores:
            return BlockPrediction(labels, None)
        quantised = np.zeros(self._sums.shape, np.uint8)
        total = np.maximum(self._total, np.finfo(np.float32).tiny)
        for index, summed in enumerate(self._sums):
            share = np.rint(summed / total * FULL_SCORE)
            np.copyto(quantised[index], np.minimum(share, FULL_SCORE), casting="unsafe")
            quantised[index][~valid] = 0
        return BlockPrediction(labels, quantised)


def _argmax(sums: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the first class with the largest sum, in memory of one band instead of eight."""
    labels = np.zeros(sums.shape[1:], np.uint8)
    best = sums[0].copy()
    for index in range(1, len(sums)):
        higher = sums[index] > best
        labels[higher] = index
        np.copyto(best, sums[index], where=higher)
    return labels


def windows_of(shape: tuple[int, int], size: int, stride: int, block: Window) -> list[Window]:
    """Return the windows of a scene that touch a block, row by row.

    Parameters
    ----------
    shape
        Height and width of the scene in pixels.
    size, stride
        Of the windows, in pixels.
    block
        Part of the scene.
    """
    rows, cols = (
        [offset for offset in sliding_offsets(length, size, stride) if start - size < offset < end]
        for length, start, end in (
            (shape[0], block.row_off, block.row_end),
            (shape[1], block.col_off, block.col_end),
        )
    )
    return [Window(row, col, size, size) for row in rows for col in cols]


def blend_weights(size: int, blend: str) -> NDArray[np.float32]:
    """Return the weight of each pixel of a window, ``(y, x)`` float32.

    ``smooth`` is a pyramid: 1 at the centre, falling linearly to ``1 / size`` at the outermost
    pixels, along both axes. It is above 0 everywhere, so that a pixel which only one window sees is
    still predicted.
    """
    if blend == "mean":
        return np.ones((size, size), np.float32)
    offsets = np.abs(np.arange(size) - (size - 1) / 2)
    ramp = ((size + 1) / 2 - offsets) / ((size + 1) / 2)
    return np.outer(ramp, ramp).astype(np.float32)


def _grouped(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while group := list(islice(items, size)):
        yield group


def _overlap(window: Window, block: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the pixels that both have, as slices of the window and of the block."""
    both = window.intersect(block)
    assert both is not None, "a window touches its block"
    return (
        both.shift(-window.row_off, -window.col_off).slices,
        both.shift(-block.row_off, -block.col_off).slices,
    )


def load_predictor(
    model: Path, description: Path, options: PredictOptions, device_options: Mapping[str, Any]
) -> Predictor:
    """Build the model of a training, ready to predict.

    Parameters
    ----------
    model, description
        The files that a training wrote.
    options
        How to predict.
    device_options
        ``device`` and ``threads``.
    """
    return Predictor(model, ModelDescription.read(description), options, device_options)


def predict_block(
    predictor: Predictor,
    image: Raster | Stack,
    block: Window,
    labels: Path,
    scores: Path | None,
    *,
    progress: Progress | None = None,
) -> None:
    """Predict one block of an image and write its files; see `Predictor.predict`."""
    with open_raster(image) as reader:
        prediction = predictor.predict(reader, block, progress)
        write_block(prediction, reader.grid, block, labels, scores)
