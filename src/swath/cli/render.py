"""Plans, results and counts as text: aligned columns that read the same in a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from swath.plan.graph import Node
from swath.plan.plan import Plan
from swath.plan.scan import State


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Align rows in columns; the first row is the head, columns in `right` go to the right.

    Examples
    --------
    >>> print(table([["kind", "n"], ["chip", "12"]], right=[1]))
    kind   n
    chip  12
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def amount(number: float, unit: str = "") -> str:
    """Shorten a number with a metric prefix.

    Examples
    --------
    >>> amount(1_234_567, "px"), amount(950, "B")
    ('1.2 Mpx', '950 B')
    """
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {prefix}{unit}"
    return f"{number:.0f} {unit}".rstrip()


def plan_text(plan: Plan) -> str:
    """Return a plan as a table of commands, with reasons, and its estimate."""
    rows = [["command", "units", "to run", "splits", "state", "used by"]]
    for node in plan.graph.nodes:
        counts = plan.counts(node)
        splits = sum(split.node == node.index for split in plan.splits)
        rows.append(
            [
                node.command.kind,
                str(len(node.units)),
                str(counts[State.RUN]),
                str(splits or ""),
                _state_text(plan, node),
                ", ".join(node.experiments),
            ]
        )
    lines = [table(rows, right=[1, 2, 3])]
    n_blocked = sum(plan.counts(node)[State.BLOCKED] for node in plan.graph.nodes)
    if n_blocked:
        lines.append(f"{n_blocked} units wait for scenes that were not selected.")
    if plan.is_empty:
        lines.append("Everything that was selected is up to date; nothing to run.")
        return "\n".join(lines)
    estimate = plan.estimate()
    told = [f"{estimate.n_units} units to run", f"{amount(estimate.work, 'px')} of work"]
    if estimate.output_bytes:
        told.append(f"about {amount(estimate.output_bytes, 'B')} to write")
    if estimate.memory_gib is not None:
        told.append(f"at most {estimate.memory_gib:.1f} GiB of memory a split")
    return "\n".join([*lines, ", ".join(told) + "."])


def _state_text(plan: Plan, node: Node) -> str:
    """Tell the states of a node's units; of those to run, the reasons, most frequent first."""
    counts = plan.counts(node)
    told = []
    reasons = Counter(
        str(plan.scanned[i].reason) for i in node.units if plan.scanned[i].state is State.RUN
    )
    for reason, count in reasons.most_common(2):
        told.append(reason if len(node.units) == 1 else f"{count} {reason}")
    if len(reasons) > 2:
        told.append(f"{sum(reasons.values()) - sum(n for _, n in reasons.most_common(2))} other")
    for state in (State.DONE, State.LEFT_OUT, State.BLOCKED):
        if counts[state]:
            whole = counts[state] == len(node.units)
            told.append(state.value if whole else f"{counts[state]} {state.value}")
    return "; ".join(told)


def duration(seconds: float) -> str:
    """Return a duration such as ``2 min 05 s``.

    Examples
    --------
    >>> duration(4.24), duration(125), duration(7325)
    ('4.2 s', '2 min 05 s', '2 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
