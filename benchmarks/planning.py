"""Planning of 100,000 units: fingerprints, states, reasons and splits.

Measured: wall and processor seconds and peak memory of a fresh process that declares a pipeline of
100,000 units (half of them read a source file each, the others what those write) and plans it:
first under an empty root, then with everything done, so that each output is compared with its
record and the last plan is at hand for reasons. Against: a loop of ``os.stat`` over the same
sources and outputs, which is the least that anybody must ask of the disk, and ``make --question``
on as many targets. How: processes in turn, medians; the disk cache is warm for all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.measure import Answer, Usage, in_child, process_usage
from benchmarks.table import Row, Target

UNITS = {"small": 200, "full": 100_000}
ROUNDS = {"small": 1, "full": 3}
N_SPLITS = 20
LIMIT_S = Target(10, "most", "figure")
LIMIT_MIB = Target(1024, "most", "figure")


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    n_units, n_rounds = UNITS[size], ROUNDS[size]
    sources = folder / "sources"
    sources.mkdir()
    for index in range(n_units // 2):
        (sources / f"{index:06d}.bin").write_bytes(index.to_bytes(4, "big"))
    where = {"folder": str(folder), "n_units": n_units}
    for name, finish in (("empty root", False), ("all done", True)):
        if finish:
            in_child("benchmarks.planning:do_everything", **where)
        plans, stats, makes = [], [], []
        for _ in range(n_rounds):
            plans.append(in_child("benchmarks.planning:plan", is_done=finish, **where))
            stats.append(in_child("benchmarks.planning:stat_all", **where))
            if finish:
                makes.append(process_usage(["make", "--question"], cwd=folder).wall_s)
        plan_s, stat_s = _medians(plans), _medians(stats)
        label, other = f"planning {n_units} units, {name}", "os.stat of each file"
        yield Row(f"{label}, wall", plan_s.wall_s, "s", other, stat_s.wall_s, LIMIT_S)
        yield Row(f"{label}, CPU", plan_s.cpu_s, "s", other, stat_s.cpu_s)
        if finish:
            make_s = median(makes)
            yield Row(f"{label}, wall", plan_s.wall_s, "s", "make --question", make_s)
        peak = max(answer.peak_mib for answer in plans)
        peak_of_stat = max(answer.peak_mib for answer in stats)
        yield Row(f"{label}, memory", peak, "MiB", other, peak_of_stat, LIMIT_MIB)


def _medians(answers: list[Answer]) -> Usage:
    return Usage(*(median(values) for values in zip(*(a.value for a in answers), strict=True)))


def plan(folder: str, n_units: int, *, is_done: bool) -> Usage:
    """Declare and plan; return what that took, imports included."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    from swath import plan_experiments
    from swath.plan.scan import State

    made = plan_experiments([_pipeline(Path(folder), n_units)], splits=N_SPLITS)
    used = Usage(time.perf_counter() - wall_s, time.process_time() - cpu_s)
    expected = State.DONE if is_done else State.RUN
    assert all(item.state is expected for item in made.scanned)
    return used


def stat_all(folder: str, n_units: int) -> Usage:
    """Look at every source, and at every place where an output is or would be."""
    listed = Path(folder) / "outputs.txt"
    if listed.exists():
        outputs = listed.read_text().splitlines()
    else:
        outputs = [f"{folder}/root/missing/{index:06d}" for index in range(n_units)]
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for index in range(n_units // 2):
        os.stat(f"{folder}/sources/{index:06d}.bin")  # noqa: PTH116
    for path in outputs:
        try:
            os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            continue
    return Usage(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def do_everything(folder: str, n_units: int) -> None:
    """Leave what a finished run leaves: the run's folder, outputs and records."""
    from swath import load_settings, plan_experiments
    from swath.plan.record import Record, command_folder, write_part
    from swath.run.prepare import write_run
    from swath.run.runner import Abilities
    from swath.store import open_store

    place = Path(folder)
    made = plan_experiments([_pipeline(place, n_units)], splits=N_SPLITS)
    write_run(
        made,
        runner="local",
        settings=load_settings(),
        keep_going=False,
        abilities=Abilities(parallelism=2),
    )
    store = open_store(str(place))
    outputs = []
    for split in made.splits:
        records = []
        for index in split.units:
            item = made.scanned[index]
            for uri in item.outputs.values():
                Path(uri).parent.mkdir(parents=True, exist_ok=True)
                Path(uri).write_bytes(b"done")
                outputs.append(uri)
            recorded = {name: (uri, 4) for name, uri in item.outputs.items()}
            unit = made.graph.units[index].unit.name
            records.append(Record(item.fingerprint, unit, recorded, 0.0, 1.0, 0, "host", "run"))
        command = made.graph.nodes[split.node].command
        records_of = command_folder(command.root, command.kind, command.params_key)
        write_part(store, records_of, f"run.{split.key}", 0, records)
    (place / "outputs.txt").write_text("\n".join(outputs))
    _write_makefile(place, n_units, outputs)


def _pipeline(folder: Path, n_units: int):
    from swath import Command, Pipeline, Unit

    root, size = str(folder / "root"), 1_000_000
    cut = Command(
        "cut",
        "benchmarks.planning:never",
        root,
        tuple(
            Unit(
                f"scene/{index:06d}",
                inputs={"image": f"{folder}/sources/{index:06d}.bin"},
                outputs={"chips": "chips.npy"},
                params={"block": [0, 0, 1024, 1024]},
                work=size,
            )
            for index in range(n_units // 2)
        ),
    )
    count = Command(
        "count",
        "benchmarks.planning:never",
        root,
        tuple(
            Unit(f"scene/{index:06d}", inputs={"chips": ref}, outputs={"counts": "counts.json"})
            for index, ref in enumerate(cut.refs("chips"))
        ),
    )
    return Pipeline("many", root, (cut, count))


def _write_makefile(folder: Path, n_units: int, outputs: list[str]) -> None:
    """Write rules of one source or one other target each, as the pipeline has them."""
    half = n_units // 2
    sources = [f"sources/{index:06d}.bin" for index in range(half)]
    first = sorted(uri for uri in outputs if uri.endswith(".npy"))
    second = sorted(uri for uri in outputs if uri.endswith(".json"))
    rules = [f"{target}: {source}\n\tfalse" for target, source in zip(first, sources, strict=True)]
    rules += [f"{target}: {source}\n\tfalse" for target, source in zip(second, first, strict=True)]
    for path in second:  # written after what they are made of
        Path(path).touch()
    text = "all: " + " \\\n ".join(second) + "\n" + "\n".join(rules) + "\n"
    (folder / "Makefile").write_text("MAKEFLAGS += --no-builtin-rules\n" + text)
