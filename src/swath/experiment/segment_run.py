"""A segmentation from file to file, by the commands of a runner.

One idea: what is made on the way lies in a folder beside the result, which outlives a kill, so that
the same call goes on; it is removed once the result is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import PurePosixPath
from typing import Literal

from swath.experiment.segmentation import TABLE, Segmentation
from swath.experiment.session import RunResult, Warn, execute, plan_to_run
from swath.plan.plan import Plan
from swath.plan.split import Splits
from swath.run.events import Emit, ignore
from swath.run.prepare import results_of
from swath.run.runner import make_runner
from swath.segmentation.spec import Image, SegmentOptions, image_of
from swath.segmentation.statistics.spec import options_of
from swath.segmentation.targets import (
    ATTRIBUTES,
    DESCRIPTION,
    LABELS,
    check_targets,
    remove_old,
    targets_of,
)
from swath.segmentation.targets import TABLE as STATISTICS
from swath.settings import Settings, load_settings
from swath.store import copy, is_local, join, local_path, normalise, open_store

Watch = Callable[[Plan], AbstractContextManager[Emit]]
"""Given the plan, whatever takes the events of its run."""


@contextmanager
def _unwatched(made: Plan) -> Iterator[Emit]:  # noqa: ARG001
    yield ignore


def segment_with_runner(
    images: Image | Sequence[Image],
    out: str | PathLike[str],
    runner: str,
    *,
    options: SegmentOptions | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | Literal["nan"] | None = None,
    tile_size: int | None = None,
    statistics: str | Sequence[str] = (),
    statistics_out: str | PathLike[str] | None = None,
    colours: bool = False,
    root_uri: str | PathLike[str] | None = None,
    overwrite: bool = False,
    splits: Splits | None = None,
    settings: Settings | None = None,
    watch: Watch = _unwatched,
    tell: Callable[[str], None] = lambda _: None,
    warn: Warn = lambda _: None,
) -> RunResult:
    """Segment an image with a runner; the labels are those of `swath.segment`.

    Parameters
    ----------
    images, out, options, bands, nodata, statistics, statistics_out, colours, overwrite
        As for `swath.segment`; `out` and `statistics_out` may be URIs, too.
    runner
        Name of the runner.
    tile_size
        See `Segmentation.tile_size`.
    root_uri
        Folder or URI for what is made on the way, which is kept. Default: a hidden folder beside
        `out`, which is removed in the end.
    splits, settings
        See `swath.plan_experiments`.
    watch
        Shows the run.
    tell, warn
        See `swath.experiment.session.plan_to_run` and `execute`.

    Returns
    -------
    RunResult
        Its results are what lies at and beside `out`. If the run failed, nothing does; what was
        finished is taken over by the next call.

    Raises
    ------
    DeclarationError
        If a file to write exists, is read or is another one, too, or the plan cannot be run there;
        nothing has been written then.
    InterruptedRunError
        If the user interrupted.
    StoreError
        If the result cannot be written.
    """
    settings = settings or load_settings()
    make_runner(runner, settings)  # before a folder is made
    target = normalise(out)
    files = targets_of(
        target,
        table=statistics_out,
        has_table=bool(options_of(statistics).statistics),
        colours=colours,
    )
    parent, _, name = target.rpartition("/")
    kept = root_uri is not None
    declared = Segmentation(
        id=_id_of(name),
        root_uri=normalise(root_uri) if root_uri is not None else join(parent, f".{name}.swath"),
        image=image_of(images, bands=bands, nodata=nodata),
        options=options or SegmentOptions(),
        statistics=statistics,
        colours=colours,
        tile_size=tile_size,
    )
    check_targets(files, declared.image.source_uris(), overwrite, makes_folders=True, is_here=False)
    made = plan_to_run([declared], runner=runner, splits=splits, settings=settings, tell=tell)
    with watch(made) as emit:
        result = execute(made, runner, settings=settings, emit=emit, warn=warn)
    if not result.succeeded:
        return replace(result, results={})
    _, places = results_of(made)[declared.id]
    names = {
        f"{declared.id}.json": DESCRIPTION,
        f"{declared.id}.tif.aux.xml": ATTRIBUTES,
        TABLE: STATISTICS,
        f"{declared.id}.tif": LABELS,  # the last: it says that all is there
    }
    delivered = {name: files[what] for name, what in names.items() if name in places}
    if _is_left_out(places.get(f"{declared.id}.tif.aux.xml")):
        del delivered[f"{declared.id}.tif.aux.xml"]
        tell("warning: there are too many segments for a raster attribute table; it is left out.")
    remove_old(files)
    for name, each in delivered.items():
        _bring(places[name], each, may_link=not kept)
    if not kept:
        open_store(declared.root_uri).delete(declared.root_uri)
    return replace(result, results={declared.id: delivered})


def _is_left_out(attributes: str | None) -> bool:
    """Tell whether a unit made no raster attribute table, for so many segments."""
    from swath.segmentation.statistics.attribute_table import LEFT_OUT

    return attributes is not None and open_store(attributes).stat(attributes).size == len(LEFT_OUT)


def _bring(uri: str, target: str, *, may_link: bool) -> None:
    """Make the same bytes, at once; without a link, whoever changes one changes not the other."""
    if is_local(target):
        local_path(target).parent.mkdir(parents=True, exist_ok=True)
    if is_local(target) and not may_link:
        open_store(uri).get(uri, local_path(target))
    else:
        copy(uri, target)


def _id_of(name: str) -> str:
    """Return an id for the segmentation that a file is named for."""
    stem = PurePosixPath(name).stem
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip("._-")[:100] or "segments"
