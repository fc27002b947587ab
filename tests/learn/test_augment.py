"""Chips and labels are changed together, and only as the options say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from swath.learn.augment import augment_batch
from swath.learn.spec import Augmentation

NONE = Augmentation(flips=False, rotations=False)


def _batch(n_chips: int = 200) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    labels = np.arange(9, dtype=np.uint8).reshape(1, 3, 3).repeat(n_chips, axis=0)
    return labels[:, None].astype(np.float32), labels


def _kinds(options: Augmentation) -> int:
    images, labels = augment_batch(*_batch(), options, np.random.default_rng(0))
    np.testing.assert_array_equal(images[:, 0], labels)
    return len({chip.tobytes() for chip in labels})


def test_labels_move_with_their_image_in_every_way_the_options_allow() -> None:
    assert _kinds(NONE) == 1
    assert _kinds(Augmentation(flips=True, rotations=False)) == 4
    assert _kinds(Augmentation(flips=False, rotations=True)) == 4
    assert _kinds(Augmentation()) == 8  # the symmetries of a square


def test_brightness_shifts_all_pixels_of_a_chip_by_one_amount_within_the_limit() -> None:
    images, labels = _batch()
    options = NONE.replace(brightness=0.5)
    changed, same = augment_batch(images, labels, options, np.random.default_rng(0))
    shift = (changed - images).reshape(len(images), -1)
    assert np.ptp(shift, axis=1).max() < 1e-5
    assert 0.4 < np.abs(shift).max() <= 0.5
    np.testing.assert_array_equal(same, labels)


def test_the_same_generator_gives_the_same_batch_and_the_input_is_kept() -> None:
    images, labels = _batch(20)
    before = images.copy()
    one = augment_batch(images, labels, Augmentation(), np.random.default_rng([1, 2]))
    two = augment_batch(images, labels, Augmentation(), np.random.default_rng([1, 2]))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(images, before)
