"""Settings: what fits work to a machine and never changes a result.

They come from files, the environment and the command line, later ones winning, and `swath config`
prints each with its origin. Parameters that change a result belong to an experiment instead.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from swath.errors import ConfigError

RUNNERS = "swath.runners"
"""Group of entry points of installed runners."""


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
    choices
        Allowed texts; empty: any.
    least
        Smallest allowed count.
    """

    name: str
    kind: type[int] | type[str]
    default: int | str | None
    help: str
    choices: tuple[str, ...] = ()
    least: int = 1

    @property
    def variable(self) -> str:
        """Name of its environment variable."""
        return "SWATH_" + self.name.upper().replace(".", "_")


YES_NO = ("yes", "no")
OF_STORES = ("store.", "aws.region", "aws.profile")
"""Begins of the names of settings by which object stores are reached."""


KEYS = {
    key.name: key
    for key in (
        Key("run.splits", str, "auto", "splits of each command: a count, or auto"),
        Key("run.threads", int, None, "threads of one process; default: cores shared by the jobs"),
        Key("run.device", str, "auto", "where models compute: auto (a GPU if any), cpu or cuda"),
        Key(
            "run.scratch",
            str,
            None,
            "folder for unfinished outputs of remote runs; default: TMPDIR",
        ),
        Key(
            "run.memory_retries",
            int,
            2,
            "times a split that ran out of memory gets twice as much",
            least=0,
        ),
        Key(
            "run.reclaim_retries",
            int,
            5,
            "times a split is started again whose machine was lost",
            least=0,
        ),
        Key("local.jobs", int, None, "processes at once of the local runner; default: cores"),
        Key("local.make", str, "make", "GNU make, a name or a path"),
        Key("store.anonymous", str, "no", "whether stores are asked without credentials", YES_NO),
        Key("store.requester_pays", str, "no", "whether you pay for what others store", YES_NO),
        Key("store.patience_s", int, 60, "s to wait in all for a store that fails or throttles"),
        Key("store.cache_gib", int, 20, "limit of the cache of downloads in GiB"),
        Key("store.cache_folder", str, None, "that cache; default: swath/objects below ~/.cache"),
        Key(
            "dask.address", str, None, "scheduler, tcp:// or tls://; default: a cluster for the run"
        ),
        Key("dask.cluster", str, "distributed:LocalCluster", "cluster class made for a run"),
        Key("dask.cluster_options", str, None, "keyword arguments of that class, as JSON"),
        Key("dask.workers", int, None, "workers to make for a run, or to plan for; default: cores"),
        Key("dask.patience_s", int, 300, "s to wait for a worker that can take what is ready"),
        Key(
            "dask.shared_files", str, "yes", "whether workers see the files of this machine", YES_NO
        ),
        Key("dask.ca_file", str, None, "certificate authority of a scheduler with TLS"),
        Key("dask.certificate", str, None, "certificate of this client, for TLS"),
        Key("dask.key", str, None, "private key of this client, for TLS"),
        Key("slurm.partition", str, None, "partition; default: that of the cluster"),
        Key(
            "slurm.gpu_partition", str, None, "partition of what needs a GPU; default: as the rest"
        ),
        Key("slurm.account", str, None, "account to charge"),
        Key("slurm.qos", str, None, "quality of service"),
        Key("slurm.python", str, None, "Python on the nodes; default: the path of this one"),
        Key(
            "slurm.tasks", int, None, "elements of an array at once; default: as many as find room"
        ),
        Key("slurm.poll_s", int, 10, "s between two looks at the jobs of a run, at most"),
        Key("slurm.cpus", int, 1, "cores of a split that does not say"),
        Key(
            "slurm.memory_gib",
            int,
            None,
            "GiB of a split that does not say; default: the cluster's",
        ),
        Key("slurm.time_limit_s", int, None, "limit of a split in s; default: the partition's"),
        Key(
            "slurm.shared_files", str, "yes", "whether nodes see the files of this machine", YES_NO
        ),
        Key("aws.region", str, None, "region; default: that of the AWS configuration"),
        Key("aws.profile", str, None, "profile of the AWS configuration"),
        Key("aws.tags", str, None, "tags of what is started: name=value,name=value"),
        Key("aws.poll_s", int, 10, "s between two looks at the jobs of a run, at most"),
        Key("batch.cpu_queue", str, None, "job queue"),
        Key("batch.gpu_queue", str, None, "job queue of what needs a GPU"),
        Key("batch.cpu_definition", str, None, "job definition"),
        Key("batch.gpu_definition", str, None, "job definition of what needs a GPU"),
        Key("batch.attempts", int, 3, "attempts where a spot instance is reclaimed, 1 to 10"),
        Key("batch.cpus", int, 2, "vCPUs of a split that does not say"),
        Key("batch.memory_gib", int, 7, "GiB of a split that does not say"),
        Key("batch.time_limit_s", int, 86400, "limit of each attempt in s, at least 60"),
        Key("sagemaker.role", str, None, "ARN of the role of pipelines and jobs"),
        Key("sagemaker.cpu_image", str, None, "image"),
        Key("sagemaker.gpu_image", str, None, "image of what needs a GPU"),
        Key("sagemaker.cpu_instance", str, "ml.m5.xlarge", "instance type"),
        Key("sagemaker.gpu_instance", str, "ml.g4dn.xlarge", "instance type of what needs a GPU"),
        Key(
            "sagemaker.instances",
            int,
            8,
            "instances of one step, at most 100; more splits are more steps",
        ),
        Key("sagemaker.spot", str, "yes", "whether jobs with a GPU use spot instances", YES_NO),
        Key("sagemaker.attempts", int, 3, "further attempts where the service fails, at most 20"),
        Key("sagemaker.volume_gib", int, 100, "GiB of disk of each instance"),
        Key("sagemaker.time_limit_s", int, 86400, "limit of a step in s"),
        Key("fargate.cluster", str, None, "ECS cluster"),
        Key(
            "fargate.task_definition",
            str,
            None,
            "task definition; default: one of fargate.image, made",
        ),
        Key("fargate.container", str, "swath", "container of the task definition"),
        Key("fargate.image", str, None, "image, where Swath makes the task definition"),
        Key("fargate.task_role", str, None, "ARN of the role of the worker"),
        Key("fargate.execution_role", str, None, "ARN of the role that starts the container"),
        Key("fargate.subnets", str, None, "subnets, with commas"),
        Key("fargate.security_groups", str, None, "security groups, with commas"),
        Key("fargate.public_ip", str, "no", "whether tasks get a public address", YES_NO),
        Key(
            "fargate.capacity",
            str,
            "FARGATE",
            "where tasks run: FARGATE, FARGATE_SPOT, EC2, or a capacity provider of the cluster",
        ),
        Key("fargate.cpus", int, 2, "vCPUs of a split that does not say"),
        Key("fargate.memory_gib", int, 8, "GiB of a split that does not say"),
        Key("fargate.disk_gib", int, 20, "GiB of disk, where Swath makes the task definition"),
        Key(
            "fargate.log_group",
            str,
            None,
            "log group of CloudWatch, where Swath makes the task definition; default: none",
        ),
        Key("fargate.architecture", str, "X86_64", "of the image", ("X86_64", "ARM64")),
        Key("fargate.tasks", int, 100, "tasks at once"),
    )
}

COMMAND_KEYS: dict[str, tuple[type[int] | type[str], str]] = {
    "cpus": (int, "cores"),
    "memory_gib": (int, "memory in GiB"),
    "gpus": (int, "GPUs, or 0"),
    "time_limit_s": (int, "limit in s"),
    "queue": (str, "job queue of AWS Batch"),
    "definition": (str, "job definition of AWS Batch"),
    "instance": (str, "instance type of SageMaker"),
    "partition": (str, "partition of Slurm"),
}
"""Settings of one kind of command, ``commands.<kind>.<name>``, that override those of a runner."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it was set."""

    value: int | str | None
    origin: str


class Settings:
    """Values of all settings, each with its origin."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        defaults = {name: Value(key.default, "default") for name, key in KEYS.items()}
        self._values = {**defaults, **values}

    def __getitem__(self, name: str) -> int | str | None:
        return self._values[name].value

    def of_command(self, kind: str) -> dict[str, int | str]:
        """Return what the user set for one kind of command, by the names of `COMMAND_KEYS`."""
        prefix = f"commands.{kind}."
        found = {n: v.value for n, v in self._values.items() if n.startswith(prefix)}
        return {n.removeprefix(prefix): v for n, v in found.items() if v is not None}

    def of_commands(self) -> dict[str, tuple[str, str]]:
        """Return kind and origin of every setting of one kind of command that somebody set."""
        return {
            name: (name.split(".")[1], value.origin)
            for name, value in self._values.items()
            if name.startswith("commands.")
        }

    def required(self, name: str, purpose: str) -> str:
        """Return a setting without which something cannot be done.

        Raises
        ------
        ConfigError
            If nobody set it, with its name.
        """
        value = self[name]
        if value is None:
            raise ConfigError(
                f"the setting {name} is missing; it is needed {purpose}.",
                mend=f"Set it in swath.toml, as {key_of(name).variable}, or with --set {name}=...",
            )
        return str(value)

    def make_known(self) -> None:
        """Tell the stores of this process, and its children, what they take from settings.

        They look into the environment, as they do on other machines.
        """
        os.environ.update(self.variables(*OF_STORES))

    def is_on(self, name: str) -> bool:
        """Tell whether a setting that is yes or no is yes."""
        return self[name] == "yes"

    def saved(self) -> dict[str, int | str]:
        """Return what somebody set, by name, for a later client of a run; see `saved_settings`."""
        return {
            name: value.value
            for name, value in self._values.items()
            if value.origin != "default" and value.value is not None
        }

    def variables(self, *prefixes: str) -> dict[str, str]:
        """Return variable and value of what somebody set below these names, for other processes."""
        return {
            key_of(name).variable: str(value)
            for name, value in self.saved().items()
            if name.startswith(prefixes)
        }

    def text(self, name: str) -> str:
        """Return a setting that is text."""
        return str(self[name])

    def count(self, name: str, default: int) -> int:
        """Return a setting that is a count, or `default` if nobody set it."""
        value = self[name]
        return default if value is None else int(value)

    def rows(self) -> list[tuple[Key, Value]]:
        """Return every key with its value, in the documented order."""
        return [(key_of(name), value) for name, value in self._values.items()]


def saved_settings(saved: Mapping[str, object]) -> Settings:
    """Return the settings that a run was started with, for its later clients."""
    return Settings({name: _value(name, value, "the run") for name, value in saved.items()})


def key_of(name: str) -> Key:
    """Return the key of this name: of the table, of a command, or of an installed runner.

    Raises
    ------
    KeyError
        If there is no such setting.
    """
    if name in KEYS:
        return KEYS[name]
    room, _, rest = name.partition(".")
    kind, _, what = rest.partition(".")
    if room == "commands" and kind.isidentifier() and what in COMMAND_KEYS:
        type_, meaning = COMMAND_KEYS[what]
        least = 0 if what == "gpus" else 1
        return Key(name, type_, None, f"{meaning} of each split of {kind}", least=least)
    if rest and room in {point.name for point in entry_points(group=RUNNERS)}:
        return Key(name, str, None, f"setting of the installed runner {room}")
    raise KeyError(name)


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield name of the setting and name of the variable, of those that are set."""
    for key in KEYS.values():
        if key.variable in environment:
            yield key.name, key.variable
    for variable in environment:
        rest = variable.removeprefix("SWATH_COMMANDS_")
        for what in COMMAND_KEYS if rest != variable else ():
            kind = rest.removesuffix("_" + what.upper())
            if kind != rest:
                yield f"commands.{kind.lower()}.{what}", variable


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
    for name, variable in _variables(environment):
        values[name] = _value(name, environment[variable], variable)
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
    try:
        key = key_of(name)
    except KeyError:
        close = get_close_matches(name, KEYS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(KEYS)}."
        raise ConfigError(f"there is no setting {name!r}.", where=origin, mend=hint) from None
    if key.kind is str:
        text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        if key.choices and text not in key.choices:
            raise ConfigError(
                f"{name} is {text!r}.", where=origin, mend=f"Give {' or '.join(key.choices)}."
            )
        return Value(text, origin)
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if number < key.least:
        allowed = "a positive integer" if key.least else "an integer of 0 or more"
        raise ConfigError(f"{name} is {value!r}.", where=origin, mend=f"Give {allowed}.")
    return Value(number, origin)
