"""Forward passes of many batches, in order, on every core or on a GPU.

Not for training. One idea: on CPU each worker runs whole batches on one core; that is a little
faster than splitting every operation over the cores, and the number of workers cannot change a bit
of the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from swath.learn.description import ModelDescription
from swath.learn.device import device_of, threads_of
from swath.learn.semantic_segmentation.model import build_model, load_weights
from swath.learn.spec import Precision, SegmentationModel
from swath.learn.trainer import arithmetic


class HasImages(Protocol):
    """A batch; ``images`` is ``(n, band, y, x)`` float32, normalised."""

    @property
    def images(self) -> NDArray[np.float32]:
        """The images."""
        ...


B = TypeVar("B", bound=HasImages)


def load_model(model: Path, description: ModelDescription) -> nn.Module:
    """Build the network of a training on CPU, filled with its weights, ready to predict."""
    spec = SegmentationModel.from_json(description.model).replace(weights=None)
    network = build_model(spec, description.n_bands, len(description.classes["names"]))
    load_weights(network, model)
    return network.eval()


class ForwardPool:
    """A model and the workers that run it.

    Parameters
    ----------
    model
        Weights, safetensors.
    description
        What was written beside them.
    precision
        Arithmetic of the pass.
    options
        ``device`` and ``threads``.
    """

    def __init__(
        self,
        model: Path,
        description: ModelDescription,
        precision: Precision,
        options: Mapping[str, Any],
    ) -> None:
        self._device = device_of(options)
        self._precision: Precision = precision
        network = load_model(model, description)
        network.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._model = network
        self._n_workers = threads_of(options) if self._device.type == "cpu" else 1
        self._pool = ThreadPoolExecutor(
            self._n_workers, "forward", initializer=torch.set_num_threads, initargs=(1,)
        )

    def close(self) -> None:
        """Stop the workers."""
        self._pool.shutdown(cancel_futures=True)

    def map(self, batches: Iterable[B]) -> Generator[tuple[B, NDArray[np.float32]]]:
        """Yield each batch with its probabilities, in order.

        Parameters
        ----------
        batches
            Prepared one ahead of the workers.

        Yields
        ------
        batch, probabilities
            ``(n, class, y, x)`` float32; they sum to 1 over the classes.
        """
        waiting: deque[tuple[B, Future[NDArray[np.float32]]]] = deque()
        try:
            for batch in batches:
                waiting.append((batch, self._pool.submit(self.probabilities, batch.images)))
                if len(waiting) > self._n_workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the class probabilities of one batch, on the calling thread."""
        with torch.inference_mode():
            tensor = torch.from_numpy(images).to(self._device)
            tensor = tensor.contiguous(memory_format=torch.channels_last)
            with arithmetic(self._device, self._precision):
                logits = self._model(tensor)
            result: NDArray[np.float32] = logits.float().softmax(1).cpu().contiguous().numpy()
        return result


def chip_output(
    model: Path,
    description: ModelDescription,
    image: NDArray[Any],
    valid: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return the class probabilities of one chip, ``(class, y, x)`` float32, computed on CPU.

    Parameters
    ----------
    model, description
        The trained model.
    image
        ``(band, y, x)`` in the units of the image.
    valid
        ``(y, x)``.
    """
    pool = ForwardPool(model, description, "float32", {"device": "cpu", "threads": 1})
    try:
        normalised = description.normalisation.apply(image, valid)
        result: NDArray[np.float32] = pool.probabilities(normalised[np.newaxis])[0]
        return result
    finally:
        pool.close()
