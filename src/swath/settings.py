"""Settings: what fits work to a machine and never changes a result.

They come from files, the environment and the command line, later ones winning, and `swath config`
prints each with its origin. Parameters that change a result belong to an experiment instead.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from swath.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    Attributes
    ----------
    name
        Dotted: the room, then the setting.
    kind
        Type of its value.
    default
        Value if nobody sets it; None: found out when it is needed.
    help
        What it means, with its unit.
    """

    name: str
    kind: type[int] | type[str]
    default: int | str | None
    help: str

    @property
    def variable(self) -> str:
        """Name of its environment variable."""
        return "SWATH_" + self.name.upper().replace(".", "_")


KEYS = {
    key.name: key
    for key in (
        Key("run.splits", str, "auto", "splits of each command: a count, or auto"),
        Key("run.threads", int, None, "threads of one process; default: cores shared by the jobs"),
        Key("run.device", str, "auto", "where models compute: auto (a GPU if any), cpu or cuda"),
        Key("local.jobs", int, None, "processes at once of the local runner; default: cores"),
        Key("local.make", str, "make", "GNU make, a name or a path"),
    )
}


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it was set."""

    value: int | str | None
    origin: str


class Settings:
    """Values of all settings, each with its origin."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = {
            name: values.get(name, Value(key.default, "default")) for name, key in KEYS.items()
        }

    def __getitem__(self, name: str) -> int | str | None:
        return self._values[name].value

    def text(self, name: str) -> str:
        """Return a setting that is text."""
        return str(self[name])

    def count(self, name: str, default: int) -> int:
        """Return a setting that is a count, or `default` if nobody set it."""
        value = self[name]
        return default if value is None else int(value)

    def rows(self) -> list[tuple[Key, Value]]:
        """Return every key with its value, in the documented order."""
        return [(key, self._values[name]) for name, key in KEYS.items()]


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_settings(
    overrides: Iterable[str] = (),
    *,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Gather settings: user file < project file < profile of either < environment < overrides.

    Parameters
    ----------
    overrides
        ``"name=value"`` each, from the command line.
    profile
        Name of a ``[profiles.NAME]`` table; default: ``SWATH_PROFILE``, if set.
    environment
        Default: the environment of this process.
    folder
        Where ``swath.toml`` is looked for; default: the working folder.

    Raises
    ------
    ConfigError
        For unknown names, values of a wrong type, and a profile that no file has.
    """
    environment = os.environ if environment is None else environment
    profile = profile or environment.get("SWATH_PROFILE")
    base = environment.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    files = [Path(base) / "swath" / "settings.toml", (folder or Path.cwd()) / "swath.toml"]
    tables = [(path, _read(path)) for path in files if path.is_file()]
    values: dict[str, Value] = {}
    for path, table in tables:
        plain = {name: item for name, item in table.items() if name != "profiles"}
        values |= _flat(plain, str(path))
    if profile is not None:
        matching = [
            (p, t["profiles"][profile]) for p, t in tables if profile in t.get("profiles", {})
        ]
        if not matching:
            raise ConfigError(
                f"there is no profile {profile!r} in {' or '.join(map(str, files))}.",
                mend=f"Add a table [profiles.{profile}] to one of them.",
            )
        for path, table in matching:
            values |= _flat(table, f"{path} [profiles.{profile}]")
    for key in KEYS.values():
        if key.variable in environment:
            values[key.name] = _value(key.name, environment[key.variable], key.variable)
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override!r} has no value.", mend="Write --set name=value.")
        values[name] = _value(name, text, "command line")
    return Settings(values)


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"it is no valid TOML: {error}.", where=str(path)) from None
    profiles = table.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise ConfigError(
            "a profile is no table.", where=str(path), mend="Write settings below [profiles.NAME]."
        )
    return table


def _flat(table: Mapping[str, Any], origin: str, prefix: str = "") -> dict[str, Value]:
    result: dict[str, Value] = {}
    for name, item in table.items():
        if isinstance(item, dict):
            result |= _flat(item, origin, f"{prefix}{name}.")
        else:
            result[prefix + name] = _value(prefix + name, item, origin)
    return result


def _value(name: str, value: object, origin: str) -> Value:
    key = KEYS.get(name)
    if key is None:
        close = get_close_matches(name, KEYS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(KEYS)}."
        raise ConfigError(f"there is no setting {name!r}.", where=origin, mend=hint)
    if key.kind is str:
        return Value(str(value), origin)
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigError(f"{name} is {value!r}.", where=origin, mend="Give a positive integer.")
    return Value(number, origin)
