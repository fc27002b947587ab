"""A plan as a picture: DOT for Graphviz, and Mermaid for pages that render it."""

from __future__ import annotations

from swath.plan.graph import Node
from swath.plan.plan import Plan
from swath.plan.scan import State

_COLOURS = {
    State.RUN: "#f6d55c",
    State.DONE: "#d9ead3",
    State.LEFT_OUT: "#eeeeee",
    State.BLOCKED: "#f4cccc",
}


def _lines(plan: Plan, node: Node) -> list[str]:
    """Return the lines of a node's box: what it is, how many units, who shares it."""
    counts = plan.counts(node)
    told = [f"{counts[state]} {state.value}" for state in State if counts[state]]
    splits = sum(split.node == node.index for split in plan.splits)
    lines = [node.command.kind, ", ".join(told)]
    if splits > 1:
        lines.append(f"{splits} splits")
    if len(node.experiments) > 1:
        lines.append(f"shared by {len(node.experiments)} experiments")
    return lines


def _state(plan: Plan, node: Node) -> State:
    counts = plan.counts(node)
    return next(s for s in (State.RUN, State.BLOCKED, State.LEFT_OUT, State.DONE) if counts[s])


def to_dot(plan: Plan) -> str:
    """Return the nodes of a plan as a graph in Graphviz's DOT language."""
    lines = ["digraph swath {", "  rankdir=LR;", '  node [shape=box style="rounded,filled"];']
    for node in plan.graph.nodes:
        label = "\\n".join(_lines(plan, node))
        colour = _COLOURS[_state(plan, node)]
        lines.append(f'  n{node.index} [label="{label}" fillcolor="{colour}"];')
    for node in plan.graph.nodes:
        lines += [f"  n{i} -> n{node.index};" for i in node.upstream]
    return "\n".join([*lines, "}"]) + "\n"


def to_mermaid(plan: Plan) -> str:
    """Return the nodes of a plan as a Mermaid flow chart."""
    lines = ["flowchart LR"]
    for node in plan.graph.nodes:
        lines.append(f'  n{node.index}["{"<br/>".join(_lines(plan, node))}"]')
        lines.append(f"  style n{node.index} fill:{_COLOURS[_state(plan, node)]},color:#000")
    for node in plan.graph.nodes:
        lines += [f"  n{i} --> n{node.index}" for i in node.upstream]
    return "\n".join(lines) + "\n"
