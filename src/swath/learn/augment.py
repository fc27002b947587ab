"""Flip, turn and brighten batches of chips, and their labels with them.

One idea: what is drawn depends on seed, epoch and batch alone, so an interrupted epoch goes on
exactly as it would have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swath.learn.spec import Augmentation


def augment_batch(
    images: NDArray[np.float32],
    labels: NDArray[np.uint8],
    options: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return changed copies of a batch.

    Parameters
    ----------
    images
        ``(n, band, y, x)`` float32, normalised; y and x of one length.
    labels
        ``(n, y, x)`` uint8.
    options
        What may be changed.
    rng
        Drawn from in a fixed order.
    """
    n_chips = len(images)
    turns = rng.integers(0, 4, n_chips) if options.rotations else np.zeros(n_chips, np.int64)
    flips = rng.integers(0, 2, (2, n_chips)).astype(bool)
    if not options.flips:
        flips[:] = False
    images, labels = images.copy(), labels.copy()
    for turn in (1, 2, 3):
        chosen = turns == turn
        images[chosen] = np.rot90(images[chosen], turn, axes=(-2, -1))
        labels[chosen] = np.rot90(labels[chosen], turn, axes=(-2, -1))
    for axis, chosen in zip((-1, -2), flips, strict=True):
        images[chosen] = np.flip(images[chosen], axis)
        labels[chosen] = np.flip(labels[chosen], axis)
    if options.brightness > 0:
        shift = rng.uniform(-options.brightness, options.brightness, n_chips)
        images += shift.astype(np.float32)[:, None, None, None]
    return images, labels
