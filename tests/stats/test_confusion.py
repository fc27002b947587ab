"""Confusion counts and scores: by hand, against scikit-learn, and merged."""

from __future__ import annotations

import json
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from swath.errors import DataError
from swath.stats.confusion import IGNORE, ConfusionCounts
from swath.stats.scores import Scores

NAMES = ("water", "forest", "built")
ids = st.sampled_from([0, 1, 2, IGNORE])
pairs = st.integers(1, 50).flatmap(
    lambda n: st.tuples(*(hnp.arrays(np.uint8, n, elements=ids) for _ in range(2)))
)


def counted(truth, predicted, n_classes: int = 3) -> ConfusionCounts:
    counts = ConfusionCounts(n_classes)
    counts.add(np.asarray(truth, np.uint8), np.asarray(predicted, np.uint8))
    return counts


def test_rows_are_truth_and_columns_prediction():
    counts = counted([0, 0, 1], [0, 2, 2])
    assert counts.counts.tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_hazard_ignored_pixels_are_not_correct_background():
    counts = counted([IGNORE, IGNORE, 0, 1], [0, IGNORE, IGNORE, 1])
    assert counts.counts.sum() == 1
    assert counts.counts[1, 1] == 1


@given(pairs)
def test_counts_are_those_of_scikit_learn(pair):
    truth, predicted = pair
    known = (truth != IGNORE) & (predicted != IGNORE)
    counts = counted(truth, predicted).counts
    if known.any():
        expected = metrics.confusion_matrix(truth[known], predicted[known], labels=[0, 1, 2])
        assert counts.tolist() == expected.tolist()
    else:
        assert counts.sum() == 0


@pytest.mark.parametrize("n_classes", [1, 2, 15, 16, 200, 255])
def test_counts_are_exact_for_any_number_of_classes(n_classes):
    rng = np.random.default_rng(n_classes)
    truth, predicted = rng.integers(0, n_classes, (2, 301, 1003)).astype(np.uint8)
    expected = np.zeros((n_classes, n_classes), int)
    np.add.at(expected, (truth, predicted), 1)
    assert np.array_equal(counted(truth, predicted, n_classes).counts, expected)


@given(pairs, st.data())
def test_merged_parts_are_the_whole(pair, data):
    truth, predicted = pair
    cut = data.draw(st.integers(0, truth.size))
    counts = counted(truth[:cut], predicted[:cut])
    counts.merge(counted(truth[cut:], predicted[cut:]))
    assert np.array_equal(counts.counts, counted(truth, predicted).counts)


def test_views_that_are_not_contiguous_are_counted():
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6) % 3
    assert counted(labels[::2, ::-1].T, labels[::2, ::-1].T).counts.trace() == 12


def test_wider_integers_are_counted():
    counts = ConfusionCounts(2)
    counts.add(np.array([0, 1, 255]), np.array([1, 1, 0], np.int64))
    assert counts.counts.tolist() == [[0, 1], [0, 1]]


def test_nothing_to_add_adds_nothing():
    assert counted([], []).counts.sum() == 0


@pytest.mark.parametrize("n_classes", [3, 20])
def test_unknown_class_id_names_the_id_and_the_side(n_classes):
    with pytest.raises(DataError, match=f"truth holds class id 77, but there are {n_classes} cla"):
        counted([0, 77], [0, 0], n_classes)
    with pytest.raises(DataError, match="prediction holds class id 254"):
        counted([0, 0], [0, 254], n_classes)


def test_failed_add_counts_nothing():
    counts = ConfusionCounts(3)
    with pytest.raises(DataError):
        counts.add(np.array([0, 7], np.uint8), np.array([0, 0], np.uint8))
    assert counts.counts.sum() == 0


def test_ids_that_no_byte_holds_are_refused_instead_of_wrapped():
    with pytest.raises(DataError, match="Class id 256 is not in 0 to 255"):
        ConfusionCounts(3).add(np.array([256]), np.array([0]))
    with pytest.raises(DataError, match="Class id -1 is not in 0 to 255"):
        ConfusionCounts(3).add(np.array([-1]), np.array([0]))
    with pytest.raises(TypeError, match="integers, not float64"):
        ConfusionCounts(3).add(np.array([0.0]), np.array([0]))


def test_shapes_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        counted([0, 1], [0])
    with pytest.raises(ValueError, match="3 classes do not merge with 2"):
        ConfusionCounts(3).merge(ConfusionCounts(2))
    with pytest.raises(ValueError, match="n_classes is 256"):
        ConfusionCounts(256)
    with pytest.raises(ValueError, match="2 names for 3 classes"):
        counted([0], [0]).scores(("a", "b"))


def test_counts_survive_json():
    counts = counted([0, 1, 2], [0, 2, 2])
    again = ConfusionCounts.from_json(json.loads(json.dumps(counts.to_json())))
    assert np.array_equal(again.counts, counts.counts)


def test_scores_by_hand():
    # water: 3 right, 1 called forest; forest: 2 right, 2 called water; built: nowhere.
    scores = counted([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 0, 0]).scores(NAMES)
    water, forest, built = scores.classes
    assert (water.precision, water.recall, water.specificity) == (3 / 5, 3 / 4, 2 / 4)
    assert (water.f1, water.iou) == (6 / 9, 3 / 6)
    assert (water.support, water.predicted) == (4, 5)
    assert (forest.precision, forest.recall) == (2 / 3, 2 / 4)
    assert (built.precision, built.recall, built.f1, built.iou) == (None, None, None, None)
    assert built.specificity == 1.0
    assert scores.overall_accuracy == 5 / 8
    assert scores.kappa == pytest.approx((5 / 8 - 1 / 2) / (1 - 1 / 2))
    assert scores.macro_f1 == pytest.approx((6 / 9 + 4 / 7) / 2)
    assert scores.balanced_accuracy == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert scores.n_pixels == 8


@given(pairs)
def test_scores_are_those_of_scikit_learn(pair):
    truth, predicted = pair
    known = (truth != IGNORE) & (predicted != IGNORE)
    if not known.any():
        return
    scores = counted(truth, predicted).scores(NAMES)
    truth, predicted = truth[known], predicted[known]
    same = pytest.approx
    assert scores.overall_accuracy == same(metrics.accuracy_score(truth, predicted))
    assert scores.macro_f1 == same(metrics.f1_score(truth, predicted, average="macro"))
    assert scores.weighted_f1 == same(metrics.f1_score(truth, predicted, average="weighted"))
    assert scores.mean_iou == same(metrics.jaccard_score(truth, predicted, average="macro"))
    recalls = metrics.recall_score(truth, predicted, average=None, labels=np.unique(truth))
    assert scores.balanced_accuracy == same(recalls.mean())
    if scores.kappa is not None:
        assert scores.kappa == same(metrics.cohen_kappa_score(truth, predicted))


def test_kappa_is_undefined_where_both_sides_have_one_class():
    assert counted([1, 1], [1, 1]).scores(NAMES).kappa is None


def test_hazard_scores_of_nothing_are_an_error():
    with pytest.raises(DataError, match="No pixel could be scored"):
        counted([IGNORE], [0]).scores(NAMES)


def test_scores_of_billions_of_pixels_do_not_overflow():
    counts = ConfusionCounts.from_json({"counts": [[4 * 10**12, 10**12], [10**12, 4 * 10**12]]})
    assert counts.scores(("a", "b")).kappa == pytest.approx(0.6)


def test_scores_survive_json():
    scores = counted([0, 0, 1], [0, 1, 1]).scores(NAMES)
    assert Scores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_memory_of_add_does_not_grow_with_the_image():
    labels = np.zeros((4000, 4000), np.uint8)
    counts = ConfusionCounts(8)
    tracemalloc.start()
    counts.add(labels, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_counting_is_ten_times_as_fast_as_scikit_learn():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.repeat(rng.integers(0, 8, (125, 125)), 16, 0), 16, 1).astype(np.uint8)
    predicted = np.where(rng.random(truth.shape) < 0.8, truth, 3).astype(np.uint8)

    def seconds(call) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    ours = min(seconds(lambda: counted(truth, predicted, 8)) for _ in range(5))
    theirs = min(
        seconds(lambda: metrics.confusion_matrix(truth.ravel(), predicted.ravel()))
        for _ in range(2)
    )
    assert theirs > 10 * ours
