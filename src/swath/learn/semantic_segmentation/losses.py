"""Losses over pixels that have a class; pixels labelled 255 have no part in any of them.

One idea: each loss is a weighted mean over what is labelled, and 0, not NaN, where nothing is.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  the name that torch's own documentation uses
from torch import Tensor

from swath.scene.classes import IGNORE

GAMMA = 2.0
"""Focusing parameter of the focal loss, the value of its paper."""

Loss = Literal["cross_entropy", "dice", "focal", "ce_dice"]


def segmentation_loss(logits: Tensor, labels: Tensor, loss: Loss, weights: Tensor) -> Tensor:
    """Return the loss of a batch.

    Parameters
    ----------
    logits
        ``(n, class, y, x)`` floating.
    labels
        ``(n, y, x)`` int64, 255 where there is no class.
    loss
        Which one.
    weights
        ``(class,)`` float32.

    Returns
    -------
    Tensor
        A scalar, float32.

    References
    ----------
    Milletari et al. 2016, V-Net, section 3 (Dice); Lin et al. 2017, Focal Loss for Dense Object
    Detection, equation 5.
    """
    logits = logits.float()
    if loss == "dice":
        return _dice(logits, labels, weights)
    if loss == "ce_dice":
        return _pixelwise(logits, labels, weights, 0.0) + _dice(logits, labels, weights)
    return _pixelwise(logits, labels, weights, GAMMA if loss == "focal" else 0.0)


def _pixelwise(logits: Tensor, labels: Tensor, weights: Tensor, gamma: float) -> Tensor:
    """Cross entropy, focused on hard pixels by `gamma`; a mean over labelled pixels by weight."""
    entropy = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    known = labels != IGNORE
    weight = weights[torch.where(known, labels, 0)] * known
    focus = (1 - torch.exp(-entropy)).pow(gamma) if gamma else 1.0
    return (entropy * weight * focus).sum() / weight.sum().clamp_min(1e-6)


def _dice(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """One minus the soft Dice coefficient, a weighted mean over the classes in the batch."""
    known = (labels != IGNORE)[:, None]
    truth = F.one_hot(torch.where(labels == IGNORE, 0, labels), logits.shape[1])
    truth = truth.permute(0, 3, 1, 2) * known
    predicted = logits.softmax(1) * known
    overlap = (predicted * truth).sum((0, 2, 3))
    total = (predicted + truth).sum((0, 2, 3))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    present = weights * (truth.sum((0, 2, 3)) > 0)
    return (dice * present).sum() / present.sum().clamp_min(1e-6)
