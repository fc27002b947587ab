"""What ``swath segment`` is asked for: options that are checked, and the files that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click
from click.core import ParameterSource
from pydantic import ValidationError

from swath.errors import ConfigError, Problems, SwathError
from swath.segmentation.spec import SegmentOptions
from swath.segmentation.statistics.spec import StatisticsOptions
from swath.segmentation.targets import beside, targets_of
from swath.store import normalise

WITHOUT_EFFECT = {
    "runner": ("workers", "max_reads"),
    "tries": (
        *("stats", "stats_out", "polygons", "colours", "save_centres"),
        *("runner", "root", "tile_size", "max_reads"),
    ),
}
"""Options that do nothing together with another."""

OF_A_MODEL = {
    "weights": ("weights", "standardise"),
    "max_distance": ("max_distance", "distance_percentile"),
}
"""Options that a file of centres answers, if it has these keys."""


def options_of(given: Mapping[str, Any]) -> SegmentOptions:
    """Return what changes the labels, checked."""
    options = {
        "clusters": given["clusters"],
        "sample_percent": given["sample_percent"],
        "min_size": given["min_size"],
        "max_distance": _distance(given["max_distance"]),
        "distance_percentile": given["distance_percentile"],
        "connectivity": int(given["connectivity"]),
        "weights": _numbers(given["weights"], "--weights"),
        "standardise": given["standardise"],
    }
    if given["centres"] is not None:
        from swath.segmentation.clusters import read_model

        model = read_model(given["centres"])
        for key, names in OF_A_MODEL.items():
            _refuse_given(names if key in model else (), f"{given['centres']} says it")
        options |= model
    try:
        return SegmentOptions.model_validate(options)
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> SwathError:
    """Return what is wrong with each option."""
    found: dict[str, SwathError] = {}
    for item in error.errors():
        name = str(item["loc"][0]) if item["loc"] else ""
        option = "--" + name.replace("_", "-") if name else "--centres, --weights"
        said = item["msg"].removeprefix("Value error, ")
        found.setdefault(option, ConfigError(f"{item['input']!r}: {said}.", where=option))
    problems = list(found.values())
    return problems[0] if len(problems) == 1 else Problems(problems)


def _distance(text: str) -> Any:
    if text in ("auto", "none"):
        return "auto" if text == "auto" else None
    (distance,) = _numbers(text, "--max-distance") or (0.0,)
    return distance


def _numbers(text: str | None, where: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"{text!r} is no number, or list of numbers with commas.",
            where=where,
            mend="Write, for example, 1,1,2.5.",
        ) from None


def statistics_of(text: str | None) -> tuple[str, ...]:
    """Return names of statistics from a list with commas, checked."""
    try:
        return StatisticsOptions(statistics=text or ()).statistics
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{said}.", where="--stats") from None


def refuse_without_effect(given: Mapping[str, Any]) -> None:
    """Refuse options that do nothing together with others."""
    for name, others in WITHOUT_EFFECT.items():
        if given[name]:
            _refuse_given(others, f"it does nothing with --{'try' if name == 'tries' else name}")
    if given["runner"] is None:
        _refuse_given(("root", "splits"), "it does nothing without --runner")


def _refuse_given(names: Iterable[str], why: str) -> None:
    """Refuse options that the user wrote."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"{option}: {why}.", where=option, mend=f"Leave {option} out.")


def files_of(out: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is to be written, by the option that says so."""
    if given["tries"]:
        if not out.endswith(".png"):
            raise ConfigError(
                f"{out} cannot be a contact sheet.", where="OUT", mend="With --try, end it in .png."
            )
        return {"OUT's picture": normalise(out), "OUT's .csv": beside(normalise(out), ".csv")}
    if given["stats_out"] is not None and given["stats"] is None and not given["colours"]:
        raise ConfigError("no statistics are asked for.", where="--stats-out", mend="Give --stats.")
    if given["polygons"] is not None:
        from swath.vector.writer import driver_of

        driver_of(given["polygons"])
    return targets_of(
        out,
        table=given["stats_out"],
        has_table=bool(given["stats"]),
        colours=given["colours"],
        polygons=given["polygons"],
        centres=given["save_centres"],
    )
