"""Take over earlier outputs as up to date, without running anything (``--touch``).

For changes that the user knows not to matter: a source file with a new date, a raised version. The
outputs of the last plan are linked to their new place, and the record says from where they came.
"""

from __future__ import annotations

import os
import time

from swath.plan.command import is_pinned
from swath.plan.plan import Plan
from swath.plan.record import SIDECAR, Record, command_folder, sidecar, write_part
from swath.plan.scan import Memory, State
from swath.store import copy, open_store


def touch(plan: Plan, memory: Memory) -> tuple[list[int], list[int]]:
    """Record every unit that would run as done, if the last plan left outputs for it.

    A unit whose upstream cannot be taken over is not taken over either: its outputs were not made
    from what is there.

    Returns
    -------
    touched, left
        Indexes of units that were recorded, and of those that had nothing to take over.
    """
    records: dict[str, list[Record]] = {}
    touched: list[int] = []
    left: list[int] = []
    untouched: set[int] = set()
    for unit in plan.graph.units:
        item = plan.scanned[unit.index]
        if item.state is not State.RUN:
            continue
        node = plan.graph.nodes[unit.node]
        sizes = None
        if not untouched.intersection(unit.producers):
            sizes = _take_over(plan, unit.index, memory)
        if sizes is None:
            untouched.add(unit.index)
            left.append(unit.index)
            continue
        command = node.command
        folder = command_folder(command.root, command.kind, command.params_key)
        record = Record(
            fingerprint=item.fingerprint,
            unit=unit.unit.name,
            outputs=sizes,
            started=time.time(),
            note="outputs taken over by --touch",
        )
        records.setdefault(folder, []).append(record)
        touched.append(unit.index)
    writer = f"touch-{time.time_ns()}-{os.getpid()}"
    for folder, lines in records.items():
        write_part(open_store(folder), folder, writer, 0, lines)
    return touched, left


def _take_over(plan: Plan, index: int, memory: Memory) -> dict[str, tuple[str, int]] | None:
    """Link the outputs of the last plan to their new place; None if they are not all there."""
    graph_unit = plan.graph.units[index]
    node = plan.graph.nodes[graph_unit.node]
    name = graph_unit.unit.name
    remembered = (memory(experiment, node.command.kind, name) for experiment in node.experiments)
    before = next((item for item in remembered if item is not None), None)
    outputs = plan.scanned[index].outputs
    if before is None or set(before.outputs) != set(outputs):
        return None
    sizes: dict[str, tuple[str, int]] = {}
    for output, uri in outputs.items():
        old = before.outputs[output]
        store = open_store(old)
        if not store.exists(old):
            return None
        if old != uri:
            copy(old, uri)
        if is_pinned(graph_unit.unit.outputs[output]):
            made_for = sidecar(plan.scanned[index].fingerprint, graph_unit.unit.name)
            store.write(uri + SIDECAR, made_for)
        sizes[output] = (uri, store.stat(uri).size)
    return sizes
