"""The rows of the table: a figure, an alternative, their ratio, a target, and whether it is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

HEAD = ("measured", "figure", "alternative", "its figure", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Target:
    """A limit on a figure, or on its ratio to that of the alternative.

    Attributes
    ----------
    limit
        In the unit of the figure, or plain.
    kind
        ``most``: the limit is the largest good value; ``least``: the smallest.
    of
        What is limited.
    """

    limit: float
    kind: Literal["most", "least"]
    of: Literal["figure", "ratio"]

    def is_met(self, row: Row) -> bool:
        """Tell whether a row keeps to the limit."""
        value = row.figure if self.of == "figure" else row.ratio
        assert value is not None, "a ratio is limited where there is one"
        return value <= self.limit if self.kind == "most" else value >= self.limit

    def text(self, unit: str) -> str:
        """Return the limit for people."""
        sign = "<=" if self.kind == "most" else ">="
        return f"{sign} {number(self.limit)} {unit if self.of == 'figure' else 'x'}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name
        What was measured.
    figure
        What it came to, in `unit`.
    unit
        Unit of both figures.
    alternative
        What it is compared with; empty if with nothing.
    other
        Figure of the alternative; None if there is none.
    target
        None: a figure to know, without a promise.
    """

    name: str
    figure: float
    unit: str
    alternative: str = ""
    other: float | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """Figure over that of the alternative."""
        return None if self.other is None else self.figure / self.other

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        return None if self.target is None else self.target.is_met(self)

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the line, in the order of `HEAD`."""
        met = self.is_met
        return (
            self.name,
            f"{number(self.figure)} {self.unit}",
            self.alternative,
            "" if self.other is None else f"{number(self.other)} {self.unit}",
            "" if self.ratio is None else f"{number(self.ratio)} x",
            "" if self.target is None else self.target.text(self.unit),
            "" if met is None else ("yes" if met else "NO"),
        )


def number(value: float) -> str:
    """Return a number with three digits that count.

    Examples
    --------
    >>> [number(value) for value in (0.04567, 1.234, 98.76, 1234.5)]
    ['0.0457', '1.23', '98.8', '1234']
    """
    digits = 3
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 10**digits:
        return f"{value:.0f}"
    return f"{rounded:g}"


def markdown(rows: Sequence[Row]) -> str:
    """Lay rows out as a table that people and Markdown read."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    texts = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])
