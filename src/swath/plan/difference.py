"""What differs between two plans, each as the JSON that was kept with a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swath.plan.reason import changed_values


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Tell, line by line, what changed from one plan to another.

    Nodes are matched by experiments, kind and order; parameters are compared value by value, units
    by name: added, removed, and those whose own parameters or sources changed.
    """
    lines: list[str] = []
    old_nodes, new_nodes = _by_role(old), _by_role(new)
    for role in dict.fromkeys([*old_nodes, *new_nodes]):
        title = f"{role[1]} ({', '.join(role[0])})"
        if role not in new_nodes:
            lines.append(f"- {title}")
        elif role not in old_nodes:
            lines.append(f"+ {title}: {len(new_nodes[role]['units'])} units")
        else:
            lines += [f"  {title}: {line}" for line in _node(old_nodes[role], new_nodes[role])]
    return lines


Role = tuple[tuple[str, ...], str, int]


def _by_role(plan: Mapping[str, Any]) -> dict[Role, Mapping[str, Any]]:
    roles: dict[Role, Mapping[str, Any]] = {}
    for node in plan["nodes"]:
        experiments = tuple(node["experiments"])
        number = sum(role[:2] == (experiments, node["kind"]) for role in roles)
        roles[experiments, node["kind"], number] = node
    return roles


def _node(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = []
    if old["version"] != new["version"]:
        lines.append(f"version {old['version']} -> {new['version']}")
    for name, was, now in changed_values(old["params"], new["params"]):
        lines.append(f"{name} {was} -> {now}")
    old_units = {unit["name"]: unit for unit in old["units"]}
    new_units = {unit["name"]: unit for unit in new["units"]}
    lines += [f"unit {name} removed" for name in old_units if name not in new_units]
    lines += [f"unit {name} added" for name in new_units if name not in old_units]
    for name, unit in new_units.items():
        before = old_units.get(name)
        if before is None or before["fingerprint"] == unit["fingerprint"]:
            continue
        changes = [
            f"{key} {was} -> {now}"
            for key, was, now in changed_values(before["params"], unit["params"])
        ]
        was_found = {(source, uri): found for source, uri, found in before["sources"]}
        changes += [
            f"{source} {uri} changed"
            for source, uri, found in unit["sources"]
            if was_found.get((source, uri)) != found
        ]
        if changes:
            lines.append(f"unit {name}: {'; '.join(changes)}")
    return lines
