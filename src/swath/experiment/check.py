"""Check experiments before anything is spent: their scenes, and what they must have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product

from swath.errors import DataError, Problems, SwathError
from swath.experiment.config import Declared
from swath.experiment.experiment import Experiment, Headers
from swath.experiment.headers import known_headers
from swath.learn.tasks import task_room
from swath.plan.command import Pipeline
from swath.plan.plan import Plan
from swath.plan.scan import State
from swath.raster.layout import image_grid
from swath.run.refuse import refuse_unwritable
from swath.scene import Scene


@dataclass
class CheckReport:
    """What a check found.

    Attributes
    ----------
    problems
        Errors: work would fail or mean nothing.
    warnings
        Worth a look, for example training and validation areas that overlap.
    n_scenes
        Scenes that were looked into.
    """

    problems: list[SwathError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    n_scenes: int = 0

    def refuse(self) -> None:
        """Raise all problems, if there are any."""
        if self.problems:
            raise self.problems[0] if len(self.problems) == 1 else Problems(self.problems)


def check_experiments(declared: Iterable[Declared]) -> CheckReport:
    """Check everything: every scene of every experiment, and that its root can be written to."""
    report = CheckReport()
    for item in declared:
        if isinstance(item, Experiment):
            _check(item, item.scenes, report)
            _check_model(item, report)
        try:
            pipeline = item if isinstance(item, Pipeline) else item.compile()
            refuse_unwritable([pipeline])
        except SwathError as error:
            if not report.problems:  # an unreadable image was told in more detail above
                report.problems.append(error)
    return report


def refuse_problems(declared: Sequence[Declared], plan: Plan) -> list[str]:
    """Check the scenes that a plan will read, and no others; models only if they will be trained.

    Returns
    -------
    list of str
        Warnings.

    Raises
    ------
    DeclarationError
        All problems at once.
    """
    report = CheckReport()
    by_experiment: dict[str, set[str]] = {}
    trained: set[str] = set()
    for node in plan.graph.nodes:
        for i in node.units:
            unit = plan.graph.units[i]
            if plan.scanned[i].state is not State.RUN:
                continue
            if node.command.kind == "train":
                trained |= set(node.experiments)
            if unit.unit.scene is not None:
                for experiment in node.experiments:
                    by_experiment.setdefault(experiment, set()).add(unit.unit.scene)
    seen: set[str] = set()
    for item in declared:
        if isinstance(item, Experiment) and item.id in by_experiment:
            wanted = by_experiment[item.id]
            scenes = [scene for scene in item.scenes if scene.id in wanted]
            new = [s for s in scenes if (s.model_dump_json() + str(item.task.classes)) not in seen]
            seen |= {s.model_dump_json() + str(item.task.classes) for s in new}
            _check(item, new, report)
        if isinstance(item, Experiment) and item.id in trained:
            _check_model(item, report)
    report.refuse()
    return report.warnings


def _check(experiment: Experiment, scenes: Collection[Scene], report: CheckReport) -> None:
    from swath.scene.check import check_scene

    where = f"experiment {experiment.id!r}"
    for scene in scenes:
        report.n_scenes += 1
        report.problems += [
            DataError(error.what, where=f"{where}, {error.where}", mend=error.mend)
            for error in check_scene(scene, experiment.task.classes)
        ]
    if report.problems or not scenes:
        return
    keys = [key for scene in experiment.scenes for key in scene.image.header_keys()]
    headers = known_headers(experiment.root_uri, keys)
    report.problems += _differing_bands(experiment, where)
    if not report.problems:
        report.warnings += _overlaps(experiment, headers)


def _check_model(experiment: Experiment, report: CheckReport) -> None:
    """Let the task look at its model; a name that is not well-known takes seconds to look up."""
    task = experiment.task
    try:
        task_room(task.kind).check_model(task.model)
    except SwathError as error:
        where = f"experiment {experiment.id!r}, {error.where}"
        report.problems.append(type(error)(error.what, where=where, mend=error.mend))


def _differing_bands(experiment: Experiment, where: str) -> list[SwathError]:
    """Compare the number of bands and the types of all scenes' images."""
    from swath.raster.reader import open_raster

    def bands_and_type(scene: Scene) -> tuple[int, str]:
        with open_raster(scene.image) as image:
            return image.n_bands, str(image.dtype)

    first = experiment.scenes[0]
    expected = bands_and_type(first)
    problems: list[SwathError] = []
    for scene in experiment.scenes[1:]:
        found = bands_and_type(scene)
        if found != expected:
            problems.append(
                DataError(
                    f"scene {scene.id!r} has {found[0]} bands of {found[1]}, scene {first.id!r} "
                    f"has {expected[0]} of {expected[1]}.",
                    where=where,
                    mend="Set `bands` of their images to the same ones, and add Cast to the "
                    "`transforms` of those of another type.",
                )
            )
    return problems


def _overlaps(experiment: Experiment, headers: Headers) -> list[str]:
    """Tell training scenes that share ground with validation or test scenes."""
    from swath.scene.overlap import shared_pixels

    grids = {scene.id: image_grid(scene.image, headers) for scene in experiment.scenes}
    others = experiment.validation_scenes + experiment.test_scenes
    warnings = []
    for trained, other in product(experiment.train_scenes, others):
        n_shared = shared_pixels(trained.area, grids[trained.id], other.area, grids[other.id])
        if n_shared:
            warnings.append(
                f"experiment {experiment.id!r}: scenes {trained.id!r} (training) and {other.id!r} "
                f"share about {n_shared:,} pixels; scores on the latter will look too good. Keep "
                f"their areas apart, for example with BlockArea."
            )
    return warnings
