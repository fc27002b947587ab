"""Why a unit has to run: a closed set, told from this plan and the one before.

The one before is what the last run of the same experiment planned. It is used for explanations
only; whether a unit is up to date is settled by its fingerprint, its record and its outputs.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_MISSING = object()


class Cause(enum.StrEnum):
    """The kinds of reasons."""

    NEVER_RAN = "never ran"
    FORCED = "forced"
    OUTPUT_MISSING = "output missing"
    OUTPUT_CHANGED = "output changed"
    INPUT_CHANGED = "input changed"
    PARAMETER_CHANGED = "parameter changed"
    VERSION_CHANGED = "version of kind changed"
    UPSTREAM = "upstream will run"


@dataclass(frozen=True, slots=True)
class Reason:
    """A cause and what it is about: a URI, a parameter with both values, a unit."""

    cause: Cause
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.cause.value}: {self.detail}" if self.detail else self.cause.value


@dataclass(frozen=True, slots=True)
class Before:
    """What the last plan of an experiment said of one unit.

    Attributes
    ----------
    fingerprint, version, params, unit_params
        As they were.
    sources
        (input name, URI) to the identity that was found.
    producers
        Fingerprints of the units that it read from.
    outputs
        Output name to URI.
    """

    fingerprint: str
    version: int
    params: Mapping[str, Any]
    unit_params: Mapping[str, Any]
    sources: Mapping[tuple[str, str], str]
    producers: tuple[str, ...]
    outputs: Mapping[str, str] = field(default_factory=dict)


def changed_values(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (dotted name, old, new) for every value that differs between two JSON values.

    Examples
    --------
    >>> list(changed_values({"a": {"b": 1}}, {"a": {"b": 2}, "c": 3}))
    [('a.b', '1', '2'), ('c', 'unset', '3')]
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{name}.{key}" if name else str(key)
            yield from changed_values(old.get(key, _MISSING), new.get(key, _MISSING), inner)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        if len(old) != len(new):
            yield name, f"{len(old)} items", f"{len(new)} items"
        else:
            for i, (old_item, new_item) in enumerate(zip(old, new, strict=True)):
                yield from changed_values(old_item, new_item, f"{name}[{i}]")
    elif type(old) is not type(new) or old != new:
        yield name, _shown(old), _shown(new)


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "unset"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def explain(
    before: Before | None,
    *,
    fingerprint: str,
    version: int,
    params: Mapping[str, Any],
    unit_params: Mapping[str, Any],
    sources: Mapping[tuple[str, str], str],
    producers: tuple[str, ...],
    upstream: str | None,
) -> Reason:
    """Tell why a unit without a record for its fingerprint has to run.

    Parameters
    ----------
    before
        What the last plan said of it; None if it is new.
    fingerprint, version, params, unit_params, sources, producers
        As they are now, see `Before`.
    upstream
        The title of a unit that it reads from and that will run; None if there is none.
    """
    if before is None or before.fingerprint == fingerprint:
        return Reason(Cause.NEVER_RAN)
    if before.version != version:
        return Reason(Cause.VERSION_CHANGED, f"{before.version} -> {version}")
    changes = [
        *changed_values(before.params, params),
        *changed_values(before.unit_params, unit_params),
    ]
    if changes:
        shown = "; ".join(f"{name} {old} -> {new}" for name, old, new in changes[:3])
        more = f"; and {len(changes) - 3} more" if len(changes) > 3 else ""
        return Reason(Cause.PARAMETER_CHANGED, shown + more)
    for (name, uri), identity in sources.items():
        if before.sources.get((name, uri)) != identity:
            added = (name, uri) not in before.sources
            return Reason(Cause.INPUT_CHANGED, f"{name} {uri}" + (" (added)" if added else ""))
    for name, uri in before.sources:
        if (name, uri) not in sources:
            return Reason(Cause.INPUT_CHANGED, f"{name} {uri} (removed)")
    if upstream is not None and set(before.producers) != set(producers):
        return Reason(Cause.UPSTREAM, upstream)
    if before.producers != producers:
        gone = len(set(before.producers) - set(producers))
        new = len(set(producers) - set(before.producers))
        return Reason(Cause.INPUT_CHANGED, f"{new} other upstream results in place of {gone}")
    if upstream is not None:
        return Reason(Cause.UPSTREAM, upstream)
    return Reason(Cause.NEVER_RAN)
