"""The experiment: what a user declares, and the graph that it compiles into.

One Python object, one JSON. Compiling is a pure function of the experiment and the headers of its
images. Those headers are read when they are not known yet, and remembered below the root.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import NonNegativeInt, field_validator, model_validator

from swath.commands import analyze, bundle, chip, evaluate, mosaic, predict, score, train
from swath.errors import DataError, Problems, SwathError
from swath.experiment.declaration import Declaration, absolute
from swath.experiment.headers import known_headers
from swath.grid.grid import Grid
from swath.learn.tasks import Task
from swath.plan.command import DECLARATION_SCHEMA, Command, Pipeline, Ref, Resources
from swath.raster.header import Header
from swath.raster.layout import image_grid, image_pixel_bytes
from swath.scene import Scene
from swath.store import normalise

ONE_GPU = Resources(gpus=1)
"""What training and prediction can use; without a GPU they run on the CPU."""

Headers = Mapping[str, "Header | DataError"]


class Experiment(Declaration):
    """A model to be learned from scenes, applied to scenes and evaluated."""

    task: Task
    """What is learned, and how."""

    train_scenes: tuple[Scene, ...]
    """Scenes with labels that the model learns from."""

    validation_scenes: tuple[Scene, ...]
    """Scenes with labels that choose the best epoch; they are mapped and evaluated, too."""

    test_scenes: tuple[Scene, ...] = ()
    """Further scenes to be mapped, and evaluated if they have labels; training never sees them."""

    preview_bands: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt] = (0, 1, 2)
    """Bands of the image, 0-based, that pictures show as red, green and blue."""

    @field_validator("task")
    @classmethod
    def _absolute_weights(cls, task: Task) -> Task:
        if task.model.weights_uri is None:
            return task
        weights = normalise(task.model.weights_uri)
        return task.replace(model=task.model.replace(weights=weights))

    @model_validator(mode="before")
    @classmethod
    def _absolute_sources(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        roles = ("train_scenes", "validation_scenes", "test_scenes")
        return data | {
            role: tuple(absolute(scene) for scene in data[role])
            for role in roles
            if isinstance(data.get(role), list | tuple)
        }

    @model_validator(mode="after")
    def _scenes_are_fit_for_their_role(self) -> Self:
        seen: dict[str, str] = {}
        for role, scenes in (
            ("train_scenes", self.train_scenes),
            ("validation_scenes", self.validation_scenes),
            ("test_scenes", self.test_scenes),
        ):
            if not scenes and role != "test_scenes":
                raise ValueError(f"{role} is empty. Give at least one scene.")
            for i, scene in enumerate(scenes):
                if scene.id in seen:
                    raise ValueError(
                        f"{role}[{i}] has the id {scene.id!r} of {seen[scene.id]}. Give each "
                        f"scene its own id."
                    )
                seen[scene.id] = f"{role}[{i}]"
                if scene.labels is None and role != "test_scenes":
                    raise ValueError(
                        f"{role}[{i}] ({scene.id!r}) has no labels. Set its `labels`, or move it "
                        f"to test_scenes."
                    )
        return self

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """All scenes: training, validation, test."""
        return self.train_scenes + self.validation_scenes + self.test_scenes

    def compile(self) -> Pipeline:
        """Return the commands of this experiment; headers that are not known are read.

        Raises
        ------
        DataError, Problems
            If images are missing, unreadable or not on the grids they should be on.
        """
        keys = [key for scene in self.scenes for key in scene.image.header_keys()]
        return compile_experiment(self, known_headers(self.root_uri, keys))


def compile_experiment(experiment: Experiment, headers: Headers) -> Pipeline:
    """Derive the commands of an experiment.

    Parameters
    ----------
    experiment
        The declaration.
    headers
        Of every image, see `swath.raster.header`.

    Raises
    ------
    DataError, Problems
        If an image has no header, its files are not on one grid, or a band does not exist.
    """
    task, root = experiment.task, experiment.root_uri
    grids, pixel_bytes = _images(experiment.scenes, headers)
    labelled = experiment.train_scenes + experiment.validation_scenes
    mapped = experiment.validation_scenes + experiment.test_scenes
    scored = tuple(scene for scene in mapped if scene.labels is not None)
    training = [scene.id for scene in experiment.train_scenes]
    validation = [scene.id for scene in experiment.validation_scenes]

    analysis = analyze.declare(root, labelled, task.classes, grids)
    chips = chip.declare(root, labelled, task, grids, pixel_bytes=pixel_bytes)
    trained = train.declare(root, task, chips, analysis, training, validation, resources=ONE_GPU)
    predicted = predict.declare(root, mapped, task, grids, trained, resources=ONE_GPU)
    maps = mosaic.declare(root, mapped, task, grids, predicted)
    evaluated = evaluate.declare(
        root, scored, task.classes, grids, maps, preview_bands=experiment.preview_bands
    )
    scores = score.declare(root, scored, task.classes, evaluated)
    described = {name: value for name, value in experiment.to_json().items() if name != "root_uri"}
    bundled = bundle.declare(
        root,
        described,  # where results lie is no part of what they are
        task,
        experiment.train_scenes,
        grids,
        chips=chips,
        analysis=analysis,
        train=trained,
        validation=validation,
        score=scores,
    )
    return Pipeline(
        id=experiment.id,
        root=root,
        commands=(analysis, chips, trained, predicted, maps, evaluated, scores, bundled),
        declaration={"schema": DECLARATION_SCHEMA, "experiment": experiment.to_json()},
        results=_results(mapped, scored, maps, evaluated, scores, bundled),
    )


def _results(
    mapped: Iterable[Scene],
    scored: Iterable[Scene],
    maps: Command,
    evaluated: Command,
    scores: Command,
    bundled: Command,
) -> dict[str, Ref]:
    results = {
        "scores.json": scores.ref("scores", "scores"),
        "scores.csv": scores.ref("scores", "table"),
        "bundle.zip": bundled.ref("bundle", "bundle"),
    }
    results |= {f"{scene.id}.tif": maps.ref(scene.id, "map") for scene in mapped}
    results |= {f"{scene.id}.png": evaluated.ref(scene.id, "preview") for scene in scored}
    return results


def _images(scenes: Iterable[Scene], headers: Headers) -> tuple[dict[str, Grid], dict[str, int]]:
    """Return the grid of each scene's image, and the bytes of one pixel over its bands."""
    grids: dict[str, Grid] = {}
    pixel_bytes: dict[str, int] = {}
    problems: list[SwathError] = []
    for scene in scenes:
        try:
            grids[scene.id] = image_grid(scene.image, headers)
            pixel_bytes[scene.id] = image_pixel_bytes(scene.image, headers)
        except DataError as error:
            where = f"scene {scene.id!r}, image {error.where or ''}".rstrip()
            problems.append(DataError(error.what, where=where, mend=error.mend))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Problems(problems)
    return grids, pixel_bytes
