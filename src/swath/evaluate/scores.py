"""Sum up counts per scene, per group and overall, and put scores on them.

One idea: scores are never averaged; counts are summed, and each sum has its scores.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath.scene.spec import ClassConfig
from swath.stats.confusion import ConfusionCounts
from swath.stats.scores import Scores

if TYPE_CHECKING:  # counting reads imagery; a table of scores is shown without
    from swath.evaluate.counts import SceneCounts

OVERALL = "overall"
_OF_ALL = (
    "overall_accuracy",
    "balanced_accuracy",
    "kappa",
    "macro_f1",
    "weighted_f1",
    "mean_iou",
)
_OF_CLASS = ("precision", "recall", "specificity", "f1", "iou", "support", "predicted")


@dataclass(frozen=True)
class ScoreRow:
    """Scores of one scene, of one group, or of everything.

    Attributes
    ----------
    level
        ``scene``, ``group`` or ``overall``.
    name
        Id of the scene, name of the group, or ``overall``.
    scores
        The scores.
    confusion
        The counts that they come from.
    """

    level: str
    name: str
    scores: Scores
    confusion: ConfusionCounts


@dataclass(frozen=True)
class ScoreTable:
    """Scores of an evaluation: overall first, then groups, then scenes."""

    class_names: tuple[str, ...]
    rows: tuple[ScoreRow, ...]

    @property
    def overall(self) -> Scores:
        """Scores of everything."""
        return self.rows[0].scores

    def write_json(self, path: Path) -> None:
        """Write all scores and the confusion matrices behind them (truth by row)."""
        data = {
            "classes": list(self.class_names),
            "rows": [
                {
                    "level": row.level,
                    "name": row.name,
                    "scores": row.scores.to_json(),
                    "confusion": row.confusion.to_json(),
                }
                for row in self.rows
            ],
        }
        path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> ScoreTable:
        """Read what `write_json` wrote."""
        data: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        rows = tuple(
            ScoreRow(
                row["level"],
                row["name"],
                Scores.from_json(row["scores"]),
                ConfusionCounts.from_json(row["confusion"]),
            )
            for row in data["rows"]
        )
        return cls(tuple(data["classes"]), rows)

    def write_csv(self, path: Path) -> None:
        """Write one line per score: level, name, class (empty: over all classes), score, value."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["level", "name", "class", "score", "value"])
            for row in self.rows:
                start = [row.level, row.name]
                for score in (*_OF_ALL, "n_pixels"):
                    writer.writerow([*start, "", score, _cell(getattr(row.scores, score))])
                for each in row.scores.classes:
                    for score in _OF_CLASS:
                        writer.writerow([*start, each.name, score, _cell(getattr(each, score))])

    def class_rows(self) -> list[tuple[str, ...]]:
        """Return a text table of the overall scores: a header, then one row per class."""
        head = ("class", "precision", "recall", "F1", "IoU", "pixels")
        rows = [
            (
                each.name,
                *map(_short, (each.precision, each.recall, each.f1, each.iou)),
                f"{each.support:,}",
            )
            for each in self.overall.classes
        ]
        return [head, *rows]

    def summary_rows(self) -> list[tuple[str, ...]]:
        """Return a text table over scenes: a header, overall, then groups and scenes."""
        head = ("", "accuracy", "balanced", "kappa", "macro F1", "mean IoU", "pixels")
        rows = []
        for row in self.rows:
            scores = row.scores
            numbers = (
                scores.overall_accuracy,
                scores.balanced_accuracy,
                scores.kappa,
                scores.macro_f1,
                scores.mean_iou,
            )
            name = row.name if row.level == OVERALL else f"{row.level} {row.name}"
            rows.append((name, *map(_short, numbers), f"{scores.n_pixels:,}"))
        return [head, *rows]


def score_scenes(
    counts: Mapping[str, SceneCounts], groups: Mapping[str, str], classes: ClassConfig
) -> ScoreTable:
    """Sum up the counts of scenes.

    Parameters
    ----------
    counts
        Counts by scene id, at least one.
    groups
        Group by scene id; an empty name is no group.
    classes
        Names of the classes.

    Raises
    ------
    DataError
        If nothing was counted.
    """
    rows = [_row(OVERALL, OVERALL, list(counts.values()), classes)]
    for group in sorted({groups[scene] for scene in counts} - {""}):
        members = [counted for scene, counted in counts.items() if groups[scene] == group]
        rows.append(_row("group", group, members, classes))
    rows += [_row("scene", scene, [counted], classes) for scene, counted in counts.items()]
    return ScoreTable(classes.names, tuple(rows))


def _row(level: str, name: str, members: Sequence[SceneCounts], classes: ClassConfig) -> ScoreRow:
    confusion = ConfusionCounts(classes.n_classes)
    for member in members:
        confusion.merge(member.confusion)
    return ScoreRow(level, name, confusion.scores(classes.names), confusion)


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
