"""Values are brought to mean 0 and deviation 1; nothing invalid gets through."""

from __future__ import annotations

import numpy as np

from swath.learn.normalisation import Normalisation
from swath.stats.bands import BandStats


def test_values_are_shifted_and_scaled_band_by_band() -> None:
    values = np.array([[[10, 14]], [[5, 5]]], np.uint16)
    result = Normalisation((12.0, 5.0), (2.0, 1.0)).apply(values)
    assert result.dtype == np.float32
    assert result.tolist() == [[[-1.0, 1.0]], [[0.0, 0.0]]]


def test_values_below_the_mean_do_not_wrap_around() -> None:
    result = Normalisation((200.0,), (1.0,)).apply(np.array([[[100]]], np.uint8))
    assert result.item() == -100.0


def test_invalid_and_not_finite_pixels_become_the_mean() -> None:
    values = np.array([[[np.nan, np.inf, -9999.0, 3.0]]])
    valid = np.array([[True, True, False, True]])
    result = Normalisation((2.0,), (0.5,)).apply(values, valid)
    assert result.tolist() == [[[0.0, 0.0, 0.0, 2.0]]]


def test_a_batch_has_a_mask_per_chip() -> None:
    values = np.full((2, 3, 1, 2), 4, np.int16)
    valid = np.array([[[True, False]], [[False, True]]])
    result = Normalisation((0.0,) * 3, (1.0,) * 3).apply(values, valid)
    assert result[:, 0].tolist() == [[[4.0, 0.0]], [[0.0, 4.0]]]


def test_hazard_statistics_nan_when_one_band_is_all_zero() -> None:
    stats = BandStats(2)
    values = np.stack([np.zeros(50), np.arange(50)])
    stats.add(values, np.ones(50, bool))
    summary = stats.result()
    normalisation = Normalisation.of(list(summary.mean), list(summary.std))
    assert np.isfinite([*normalisation.mean, *normalisation.std]).all()
    assert np.isfinite(normalisation.apply(values[..., None])).all()
    assert Normalisation.of([np.nan], [np.nan]) == Normalisation((0.0,), (1.0,))


def test_json_round_trip_is_exact() -> None:
    normalisation = Normalisation((1 / 3, 2.0), (0.1, 1e-9))
    assert Normalisation.from_json(normalisation.to_json()) == normalisation
