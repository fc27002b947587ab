"""A segmentation from file to file, by the commands of a runner.

One idea: what is made on the way lies in a folder beside the result, which outlives a kill, so that
the same call goes on; it is removed once the result is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Literal

from swath.errors import ConfigError
from swath.experiment.segmentation import TABLE, Segmentation
from swath.experiment.session import RunResult, Warn, execute, plan_to_run
from swath.plan.plan import Plan
from swath.plan.split import Splits
from swath.run.events import Emit, ignore
from swath.run.prepare import results_of
from swath.run.runner import make_runner
from swath.segmentation.budget import refuse_target
from swath.segmentation.spec import Image, SegmentOptions, image_of
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
        If `out` exists, or the plan cannot be run there; nothing has been written then.
    InterruptedRunError
        If the user interrupted.
    StoreError
        If the result cannot be written.
    """
    settings = settings or load_settings()
    make_runner(runner, settings)  # before a folder is made
    target = normalise(out)
    table = beside(target, ".parquet") if statistics_out is None else normalise(statistics_out)
    for each in (target, table) if statistics or colours else (target,):
        _refuse(each, overwrite)
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
    if target in declared.image.source_uris():
        raise ConfigError(
            f"{target} is read, and would be written, too.", where="OUT", mend="Give another OUT."
        )
    made = plan_to_run([declared], runner=runner, splits=splits, settings=settings, tell=tell)
    with watch(made) as emit:
        result = execute(made, runner, settings=settings, emit=emit, warn=warn)
    if not result.succeeded:
        return replace(result, results={})
    _, places = results_of(made)[declared.id]
    targets = {
        f"{declared.id}.json": beside(target, ".json"),
        f"{declared.id}.tif.aux.xml": f"{target}.aux.xml",
        TABLE: table,
        f"{declared.id}.tif": target,  # the last: it says that all is there
    }
    delivered = {name: each for name, each in targets.items() if name in places}
    _deliver(places, delivered, target, may_link=not kept)
    if not kept:
        open_store(declared.root_uri).delete(declared.root_uri)
    return replace(result, results={declared.id: delivered})


def beside(target: str, suffix: str) -> str:
    """Return the URI of what lies beside a file, with another suffix.

    Examples
    --------
    >>> beside("s3://bucket/map.tif", ".json")
    's3://bucket/map.json'
    """
    parent, _, name = target.rpartition("/")
    return join(parent, PurePosixPath(name).with_suffix(suffix).name)


def _deliver(
    places: Mapping[str, str], targets: Mapping[str, str], labels: str, *, may_link: bool
) -> None:
    """Bring the results to their targets, in the order of these."""
    if is_local(labels):
        from swath.raster.cog import SIDECARS

        for ending in SIDECARS:  # of the file that is replaced
            Path(f"{local_path(labels)}{ending}").unlink(missing_ok=True)
    for name, target in targets.items():
        _bring(places[name], target, may_link=may_link)


def _bring(uri: str, target: str, *, may_link: bool) -> None:
    """Make the same bytes, at once; without a link, whoever changes one changes not the other."""
    if is_local(target) and not may_link:
        open_store(uri).get(uri, local_path(target))
    else:
        copy(uri, target)


def _id_of(name: str) -> str:
    """Return an id for the segmentation that a file is named for."""
    stem = PurePosixPath(name).stem
    return re.sub(r"[^A-Za-z0-9._-]", "_", stem).lstrip("._-")[:100] or "segments"


def _refuse(target: str, overwrite: bool) -> None:
    if is_local(target):
        refuse_target(local_path(target), overwrite)
    elif not overwrite and open_store(target).exists(target):
        raise ConfigError(f"{target} exists.", mend="Give --overwrite, or another OUT.")
