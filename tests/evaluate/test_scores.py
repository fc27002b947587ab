"""Counts are summed per scene, per group and overall before scores are taken."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from swath.errors import DataError
from swath.evaluate.counts import SceneCounts
from swath.evaluate.scores import ScoreTable, score_scenes
from swath.scene.spec import ClassConfig
from swath.stats.confusion import ConfusionCounts

CLASSES = ClassConfig(names=("a", "b"))


def _counts(scene: str, matrix: list[list[int]]) -> SceneCounts:
    confusion = ConfusionCounts(2)
    confusion.counts += np.array(matrix)
    return SceneCounts(scene, confusion, int(np.sum(matrix)), 0)


@pytest.fixture
def table() -> ScoreTable:
    """One scene all right, one of nine times the pixels all wrong, one without a group."""
    return score_scenes(
        {
            "one": _counts("one", [[10, 0], [0, 0]]),
            "two": _counts("two", [[0, 90], [0, 0]]),
            "three": _counts("three", [[50, 0], [0, 50]]),
        },
        {"one": "g", "two": "g", "three": ""},
        CLASSES,
    )


def test_scores_are_of_summed_counts_never_averages_of_scores(table: ScoreTable) -> None:
    accuracy = {(row.level, row.name): row.scores.overall_accuracy for row in table.rows}
    assert accuracy == {
        ("overall", "overall"): 110 / 200,
        ("group", "g"): 10 / 100,
        ("scene", "one"): 1.0,
        ("scene", "two"): 0.0,
        ("scene", "three"): 1.0,
    }


def test_files_hold_what_was_scored(table: ScoreTable, tmp_path: Path) -> None:
    table.write_json(tmp_path / "scores.json")
    read = ScoreTable.read(tmp_path / "scores.json")
    assert [row.scores for row in read.rows] == [row.scores for row in table.rows]
    table.write_csv(tmp_path / "scores.csv")
    lines = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    found = {(row["name"], row["class"], row["score"]): row["value"] for row in lines}
    assert found["overall", "", "overall_accuracy"] == "0.55"
    assert found["overall", "a", "recall"] == "0.4"
    assert found["one", "b", "recall"] == ""  # undefined is not zero


def test_text_tables_have_a_header_and_one_row_each(table: ScoreTable) -> None:
    assert table.class_rows() == [
        ("class", "precision", "recall", "F1", "IoU", "pixels"),
        ("a", "1.000", "0.400", "0.571", "0.400", "150"),
        ("b", "0.357", "1.000", "0.526", "0.357", "50"),
    ]
    names = [row[0] for row in table.summary_rows()]
    assert names == ["", "overall", "group g", "scene one", "scene two", "scene three"]


def test_nothing_counted_is_an_error() -> None:
    with pytest.raises(DataError, match="No pixel could be scored"):
        score_scenes({"one": _counts("one", [[0, 0], [0, 0]])}, {"one": ""}, CLASSES)
