"""The learning rate as a pure function of the step: nothing to save, nothing to restore wrongly."""

from __future__ import annotations

import math

from swath.learn.spec import TrainOptions

WARM_UP_SHARE = 0.3
FIRST_SHARE = 1 / 25


def learning_rate_at(step: int, n_steps: int, options: TrainOptions) -> float:
    """Return the learning rate of a step, 0-based, of `n_steps` in all.

    Examples
    --------
    >>> learning_rate_at(5, 10, TrainOptions(schedule="constant", learning_rate=0.1))
    0.1
    """
    peak = options.learning_rate
    if options.schedule == "constant":
        return peak
    if options.schedule == "cosine":
        return peak * _half_cosine(step / n_steps)
    rising = WARM_UP_SHARE * n_steps
    if step < rising:
        return peak * (FIRST_SHARE + (1 - FIRST_SHARE) * (1 - _half_cosine(step / rising)))
    return peak * _half_cosine((step - rising) / (n_steps - rising))


def _half_cosine(share: float) -> float:
    """Fall from 1 to 0 as `share` rises from 0 to 1."""
    return (1 + math.cos(math.pi * share)) / 2
