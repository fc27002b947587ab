"""Losses by hand: what is ignored has no part, and nothing gives NaN."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from swath.learn.semantic_segmentation.losses import Loss, segmentation_loss

EVEN = torch.ones(2)
KINDS: tuple[Loss, ...] = get_args(Loss)


def _logits(*pairs: tuple[float, float]) -> Tensor:
    return torch.tensor(pairs).T.reshape(1, 2, 1, -1)


def _labels(*ids: int) -> Tensor:
    return torch.tensor(ids).reshape(1, 1, -1)


def test_cross_entropy_is_the_mean_over_labelled_pixels() -> None:
    logits = _logits((0.0, 0.0), (0.0, 0.0), (9.0, -9.0))
    loss = segmentation_loss(logits, _labels(0, 1, 255), "cross_entropy", EVEN)
    assert loss.item() == pytest.approx(math.log(2))


def test_focal_turns_down_what_is_easy() -> None:
    logits = _logits((0.0, 0.0))
    loss = segmentation_loss(logits, _labels(0), "focal", EVEN)
    assert loss.item() == pytest.approx(0.25 * math.log(2))


def test_dice_is_zero_for_a_perfect_and_high_for_a_wrong_map() -> None:
    right = _logits((50.0, -50.0), (-50.0, 50.0))
    assert segmentation_loss(right, _labels(0, 1), "dice", EVEN).item() == pytest.approx(0.0)
    wrong = segmentation_loss(right, _labels(1, 0), "dice", EVEN).item()
    assert wrong == pytest.approx(1 - 1 / 3)  # overlap 0, smoothed by one pixel


def test_ce_dice_is_the_sum() -> None:
    logits, labels = _logits((1.0, 0.0), (0.3, 0.4)), _labels(0, 0)
    parts = [segmentation_loss(logits, labels, k, EVEN) for k in ("cross_entropy", "dice")]
    both = segmentation_loss(logits, labels, "ce_dice", EVEN)
    assert both.item() == pytest.approx(sum(part.item() for part in parts))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_change_every_loss(kind: Loss) -> None:
    logits, labels = _logits((1.0, 0.0), (0.5, 0.0)), _labels(0, 1)
    even = segmentation_loss(logits, labels, kind, EVEN)
    uneven = segmentation_loss(logits, labels, kind, torch.tensor([1.0, 5.0]))
    assert uneven.item() > even.item()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_any_label_has_a_loss_and_gradient_of_zero(kind: Loss) -> None:
    logits = _logits((1.0, 0.0)).requires_grad_()
    loss = segmentation_loss(logits, _labels(255), kind, EVEN)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_predicted_where_nothing_is_labelled_does_not_matter(kind: Loss) -> None:
    labels = _labels(0, 1, 255)
    one = segmentation_loss(_logits((1, 0), (0, 1), (9, 0)), labels, kind, EVEN)
    two = segmentation_loss(_logits((1, 0), (0, 1), (0, 9)), labels, kind, EVEN)
    assert one.item() == two.item()
