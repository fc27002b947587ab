"""Prepare a run: write the folder that its runner, its workers and `status` read.

Everything that a run needs is on disk before its first split starts.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import swath
from swath.plan.command import DECLARATION_SCHEMA, Pipeline
from swath.plan.plan import Plan, memory_of
from swath.plan.scan import Memory
from swath.run.assignment import assign
from swath.run.folder import LATEST, RunFolder, last_run
from swath.run.runner import Abilities
from swath.settings import Settings, cores
from swath.store import LocalStore, join, local_path

RESULTS = "outputs.json"
"""File beside the links to results: name of each to the URI where it lies."""


def last_plans(pipelines: Iterable[Pipeline]) -> Memory:
    """Remember what the last runs of these experiments planned, to explain changes.

    A plan is read when it is first asked for; where everything is up to date, none is.
    """
    known = {pipeline.id: pipeline for pipeline in pipelines}
    plans: dict[Path, dict[str, Any]] = {}

    def read(experiment: str) -> dict[str, Any] | None:
        folder = last_run(known[experiment])
        if folder is None:
            return None
        try:
            if folder.path not in plans:
                plans[folder.path] = folder.read_plan()
        except (OSError, ValueError):  # removed or damaged: nothing is remembered
            return None
        return plans[folder.path]

    return memory_of(read)


def write_run(
    plan: Plan, *, settings: Settings, keep_going: bool, abilities: Abilities
) -> RunFolder:
    """Write the folder of a run: declarations, assignments, and at last the plan.

    The run becomes the latest of its experiments.
    """
    folder = RunFolder.create(local_path(plan.graph.pipelines[0].root))
    threads = threads_of_splits(
        plan,
        jobs=abilities.parallelism,
        n_cores=cores(),
        limit=None if settings["run.threads"] is None else settings.count("run.threads", 1),
    )
    for split, count in zip(plan.splits, threads, strict=True):
        folder.write_assignment(
            assign(
                plan,
                split,
                run=folder.id,
                threads=count,
                keep_going=keep_going,
                device=settings.text("run.device"),
            )
        )
    folder.write("plan.json", plan.to_json() | {"run": folder.id, "created": time.time()})
    for pipeline in plan.graph.pipelines:
        _write_experiment(pipeline, folder)
    return folder


def threads_of_splits(plan: Plan, jobs: int, n_cores: int, limit: int | None) -> list[int]:
    """Return how many threads each split may use, so that jobs do not fight for cores.

    Splits at one depth of the graph are taken to run side by side, up to `jobs` of them. With
    `limit`, no split gets more.
    """
    depth: list[int] = []
    for split in plan.splits:
        depth.append(1 + max((depth[p] for p in split.upstream), default=-1))
    beside: dict[int, int] = {}
    for level in depth:
        beside[level] = beside.get(level, 0) + 1
    free = [max(1, n_cores // min(jobs, beside[level])) for level in depth]
    return [threads if limit is None else min(threads, limit) for threads in free]


def _write_experiment(pipeline: Pipeline, folder: RunFolder) -> None:
    """Store the declaration with the results, and point to this run as the latest."""
    store = LocalStore()
    place = join(pipeline.root, "experiments", pipeline.id)
    declared = pipeline.declaration or {
        "schema": DECLARATION_SCHEMA,
        "pipeline": pipeline.to_json(),
    }
    whole = {**declared, "swath": swath.__version__, "versions": _versions()}
    # Indented for people; a pipeline of 100,000 units is not, since that takes seconds.
    text = json.dumps(whole, indent=1 if pipeline.declaration else None)
    store.write(join(place, "experiment.json"), text.encode())
    pointer = {"run": folder.id, "folder": str(folder.path)}
    store.write(join(place, LATEST), json.dumps(pointer).encode())


def _versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on, as far as they are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("numpy", "rasterio", "torch", "segmentation-models-pytorch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_results(plan: Plan) -> dict[str, dict[str, Path]]:
    """Write where the named results of each experiment lie, with links to those that exist.

    A link to a result of an earlier declaration is removed: what is not there yet is not shown.

    Returns
    -------
    dict
        Experiment id to name of the result to its link, of those that are there.
    """
    index = plan.graph.index_of()
    results: dict[str, dict[str, Path]] = {}
    for pipeline in plan.graph.pipelines:
        uris = {
            name: plan.output_uri(index[ref.key], ref.output)
            for name, ref in pipeline.results.items()
        }
        place = local_path(join(pipeline.root, "experiments", pipeline.id))
        there = {name: local_path(uri) for name, uri in uris.items() if Path(uri).exists()}
        for name in {*_listed(place / RESULTS), *uris} - set(there):
            if (place / name).is_symlink():
                (place / name).unlink()
        text = json.dumps(uris, indent=1).encode()
        target = place / RESULTS
        if not target.exists() or target.read_bytes() != text:
            LocalStore().write(str(target), text)
        for name, path in there.items():
            _link(place / name, path)
        results[pipeline.id] = {name: place / name for name in there}
    return results


def _listed(path: Path) -> list[str]:
    """Return the names of the results that were there after the last run."""
    try:
        return list(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        return []


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == Path(os.path.relpath(target, link.parent)):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".partial-{link.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
