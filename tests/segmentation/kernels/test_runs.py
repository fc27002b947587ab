"""Labels as runs of equal values."""

from __future__ import annotations

import numpy as np

from swath.segmentation.kernels.runs import decode_runs, encode_runs


def test_runs_go_on_across_rows() -> None:
    values, lengths = encode_runs(np.array([[1, 1, 2], [2, 2, 0]], np.int32))
    assert (values.tolist(), lengths.tolist()) == ([1, 2, 0], [2, 3, 1])
    assert (values.dtype, lengths.dtype) == (np.int32, np.uint16)


def test_a_run_longer_than_its_type_holds_is_two() -> None:
    labels = np.full((7, 10_000), 3, np.int32)
    values, lengths = encode_runs(labels)
    assert (values.tolist(), lengths.tolist()) == ([3, 3], [65_535, 70_000 - 65_535])
    decoded = np.zeros(labels.shape, np.uint32)
    decode_runs(values, lengths, np.array([0, 0, 0, 9], np.uint32), decoded)
    assert (decoded == 9).all()


def test_runs_are_read_back_with_other_numbers() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 9, 100), rng.integers(1, 30, 100)).astype(np.int32)
    labels = labels[: labels.size // 7 * 7].reshape(-1, 7)
    numbers = rng.permutation(9).astype(np.uint32)
    decoded = np.full(labels.shape, 77, np.uint32)
    decode_runs(*encode_runs(labels), numbers, decoded)
    assert (decoded == numbers[labels]).all()
