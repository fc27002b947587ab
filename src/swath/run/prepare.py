"""Prepare a run: write the folder that its runner, its workers and `status` read.

Everything that a run needs is written before its first split starts.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import swath
from swath.errors import NotFoundError, StoreError
from swath.plan.command import DECLARATION_SCHEMA, Pipeline, Resources
from swath.plan.plan import Plan, memory_of
from swath.plan.scan import Memory
from swath.run.assignment import assign
from swath.run.folder import LATEST, PLAN, RUN, RunFolder, last_run
from swath.run.machine import this_machine
from swath.run.runner import Abilities
from swath.run.splits import splits_of
from swath.settings import Settings, cores
from swath.store import is_local, join, local_path, open_store

RESULTS = "outputs.json"
"""File beside the links to results: name of each to the URI where it lies."""

Results = Mapping[str, tuple[str, Mapping[str, str]]]
"""Experiment id to its root and, by name, the URI of each result."""


def last_plans(pipelines: Iterable[Pipeline]) -> Memory:
    """Remember what the last runs of these experiments planned, to explain changes.

    A plan is read when it is first asked for; where everything is up to date, none is.
    """
    known = {pipeline.id: pipeline for pipeline in pipelines}
    plans: dict[str, dict[str, Any]] = {}

    def read(experiment: str) -> dict[str, Any] | None:
        folder = last_run(known[experiment])
        if folder is None:
            return None
        try:
            if folder.uri not in plans:
                plans[folder.uri] = folder.read_plan()
        except (StoreError, ValueError):  # removed or damaged: nothing is remembered
            return None
        return plans[folder.uri]

    return memory_of(read)


def write_run(
    plan: Plan, *, runner: str, settings: Settings, keep_going: bool, abilities: Abilities
) -> RunFolder:
    """Write the folder of a run: declarations, assignments, and at last the plan.

    The run becomes the latest of its experiments.
    """
    folder = RunFolder.create(plan.graph.pipelines[0].root)
    whole = plan.to_json() | {"run": folder.id, "created": time.time()}
    results = results_of(plan)
    for item in whole["experiments"]:
        item["results"] = results[item["id"]][1]
    resources = [split.resources for split in splits_of(whole, settings)]
    threads = _threads(plan, resources, settings, abilities)
    # The profile of a user means something only where their configuration is.
    names = ("aws.profile",) if abilities.sees_local_files else ()
    environment = settings.variables("store.", "run.scratch", "aws.region", *names)
    folder.write_assignments(
        assign(
            plan,
            split,
            run=folder.id,
            threads=count,
            keep_going=keep_going,
            resources=given,
            device=settings.text("run.device"),
            environment=environment,
        )
        for split, count, given in zip(plan.splits, threads, resources, strict=True)
    )
    about = {
        "runner": runner,
        "experiments": [pipeline.id for pipeline in plan.graph.pipelines],
        "keep_going": keep_going,
        "detached": False,
        "machine": this_machine(),
        "settings": settings.saved(),
    }
    folder.write(RUN, about)
    folder.write(PLAN, whole)
    folder.register()
    for pipeline in plan.graph.pipelines:
        _write_experiment(pipeline, folder)
    return folder


def _threads(
    plan: Plan, resources: Sequence[Resources], settings: Settings, abilities: Abilities
) -> list[int]:
    """Return the threads of each split; 0 stands for all cores of its machine."""
    limit = None if settings["run.threads"] is None else settings.count("run.threads", 1)
    if abilities.shares_cores:
        jobs = abilities.parallelism
        return threads_of_splits(plan, jobs=jobs, n_cores=cores(), limit=limit)
    return [limit or given.cpus or abilities.cpus for given in resources]


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
    store = open_store(pipeline.root)
    place = join(pipeline.root, "experiments", pipeline.id)
    declared = pipeline.declaration or {
        "schema": DECLARATION_SCHEMA,
        "pipeline": pipeline.to_json(),
    }
    whole = {**declared, "swath": swath.__version__, "versions": _versions()}
    # Indented for people; a pipeline of 100,000 units is not, since that takes seconds.
    text = json.dumps(whole, indent=1 if pipeline.declaration else None)
    store.write(join(place, "experiment.json"), text.encode())
    pointer = {"run": folder.id, "folder": folder.uri}
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


def results_of(plan: Plan) -> Results:
    """Return where the named results of each experiment will lie."""
    index = plan.graph.index_of()
    return {
        pipeline.id: (
            pipeline.root,
            {
                name: plan.output_uri(index[ref.key], ref.output)
                for name, ref in pipeline.results.items()
            },
        )
        for pipeline in plan.graph.pipelines
    }


def results_of_run(plan: Mapping[str, Any]) -> Results:
    """Return the same from the plan of a run, as JSON."""
    return {item["id"]: (item["root"], item["results"]) for item in plan["experiments"]}


def write_results(results: Results) -> dict[str, dict[str, str]]:
    """Write where the named results of each experiment lie, on a disk with links to those there.

    A link to a result of an earlier declaration is removed: what is not there yet is not shown.

    Returns
    -------
    dict
        Experiment id to name of the result to the path of its link, or its URI on an object store,
        of those that are there.
    """
    found: dict[str, dict[str, str]] = {}
    for experiment, (root, uris) in results.items():
        place = join(root, "experiments", experiment)
        store, listed = open_store(root), join(place, RESULTS)
        try:
            before = store.read(listed)
        except NotFoundError:
            before = b""
        there = {name: uri for name, uri in uris.items() if open_store(uri).exists(uri)}
        if is_local(place):
            there = _link_all(local_path(place), {*_names(before), *uris}, there)
        text = json.dumps(dict(uris), indent=1).encode()
        if text != before:
            store.write(listed, text)
        found[experiment] = there
    return found


def _names(text: bytes) -> list[str]:
    """Return the names of the results that were there after the last run."""
    try:
        return list(json.loads(text))
    except ValueError:
        return []


def _link_all(place: Path, known: Iterable[str], there: Mapping[str, str]) -> dict[str, str]:
    """Link to every local result that is there, and remove the links to those that are not."""
    for name in set(known) - set(there):
        if (place / name).is_symlink():
            (place / name).unlink()
    found = dict(there)
    for name, uri in there.items():
        if is_local(uri):
            _link(place / name, local_path(uri))
            found[name] = str(place / name)
    return found


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == Path(os.path.relpath(target, link.parent)):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".partial-{link.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)
