"""Find the experiments that a config declares: a Python file, a module, a folder, or JSON.

A config file has ``get_config(runner, **arguments)``, ``get_configs`` or classes derived from
`ExperimentSet`. Errors of the user's own code pass through; errors of declarations name the field.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pydantic import BaseModel, ValidationError

from swath.errors import ConfigError, DeclarationError, Problems, SwathError
from swath.experiment.arguments import Arguments, call, refuse_unknown
from swath.experiment.declaration import Declaration
from swath.experiment.experiment import Experiment
from swath.experiment.segmentation import Segmentation
from swath.experiment.upgrades import upgrade
from swath.plan.command import Pipeline
from swath.run.load import load_file

Declared = Declaration | Pipeline
DECLARATIONS: Mapping[str, type[Declaration]] = {
    "experiment": Experiment,
    "segmentation": Segmentation,
}
"""Declarations by their name in a stored one."""

FUNCTIONS = ("get_config", "get_configs")


class ExperimentSet:
    """Base of classes whose methods ``exp_*`` each return one experiment, or a list of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """An experiment and where it was declared."""

    declared: Declared
    where: str

    @property
    def id(self) -> str:
        """Id of the experiment."""
        return self.declared.id


@dataclass(frozen=True, slots=True)
class Filter:
    """Which experiments of a config are wanted.

    Attributes
    ----------
    methods
        Patterns (``*``, ``?``) of method names; empty: all.
    ids
        Patterns of experiment ids; empty: all.
    prefix
        Prefix of the methods of experiment sets.
    """

    methods: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    prefix: str = "exp_"


def load_config(
    config: str, *, runner: str, arguments: Arguments, wanted: Filter | None = None
) -> list[Found]:
    """Return the experiments of a config, in the order of declaration.

    Parameters
    ----------
    config
        Path of a Python file, a JSON file or a folder of them, or a dotted module.
    runner
        Name of the runner, passed to functions that take it.
    arguments
        From the command line.
    wanted
        Which of them; default: all.

    Raises
    ------
    ConfigError
        If there is no such config, it declares nothing, an argument is wrong, a field of a
        declaration is wrong, nothing matches `wanted`, or two experiments have one id.
    """
    wanted = wanted or Filter()
    path = Path(config)
    if path.is_dir():
        sources: list[Path | ModuleType] = [
            file for file in sorted(path.iterdir()) if file.suffix in {".py", ".json"}
        ]
    else:
        sources = [path if path.suffix in {".py", ".json"} else _import(config)]
    functions: dict[str, Callable[..., Any]] = {}
    found: list[Found] = []
    for source in sources:
        if isinstance(source, Path) and source.suffix == ".json":
            found += _from_json(source)
        else:
            functions |= _functions(source, wanted, optional=path.is_dir())
    if functions or not wanted.methods:  # else nothing matches, which is told below
        refuse_unknown(arguments, functions)
    for where, function in functions.items():
        with _Fields(where):
            result = call(function, arguments, runner=runner, where=where)
        found += _results(result, where)
    return _filtered(found, config, wanted)


def _import(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(
            f"there is no config {name!r}.",
            mend="Give a Python file, a folder, a JSON file or a dotted module.",
        )
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # something that the config itself imports
        raise ConfigError(
            f"there is no config {name!r}: no such file, and no such module.",
            mend="Check the path.",
        ) from None
    finally:
        sys.path.remove(folder)


def _functions(
    source: Path | ModuleType, wanted: Filter, *, optional: bool
) -> dict[str, Callable[..., Any]]:
    """Return the functions and methods of a config that declare experiments, by title."""
    title = str(source) if isinstance(source, Path) else source.__name__
    if isinstance(source, Path):
        if not source.is_file():
            raise ConfigError(f"there is no config {title!r}.", mend="Check the path.")
        with _Fields(title):
            module = load_file(source.absolute())
    else:
        module = source
    functions: dict[str, Callable[..., Any]] = {}
    for name in FUNCTIONS:
        function = getattr(module, name, None)
        if callable(function):
            functions[f"{title}:{name}"] = function
    sets = [
        item
        for item in vars(module).values()
        if inspect.isclass(item) and issubclass(item, ExperimentSet) and item is not ExperimentSet
    ]
    for item in sets:
        name = item.__name__
        with _Fields(f"{title}:{name}"):
            instance = item()
        # What a set inherits from another one of this module is declared there, once.
        own = [base for base in reversed(item.__mro__) if base is item or base not in sets]
        for method in dict.fromkeys(method for base in own for method in vars(base)):
            if method.startswith(wanted.prefix):
                functions[f"{title}:{name}.{method}"] = getattr(instance, method)
    if not functions and not optional:
        raise ConfigError(
            "it declares no experiment.",
            where=title,
            mend="Define get_config(runner, ...), get_configs(runner, ...) or a class derived "
            f"from swath.ExperimentSet with methods {wanted.prefix}*.",
        )
    if wanted.methods:
        functions = {
            where: function
            for where, function in functions.items()
            if any(fnmatch.fnmatchcase(function.__name__, p) for p in wanted.methods)
        }
    return functions


def _results(result: Any, where: str) -> list[Found]:
    items = (
        list(result)
        if isinstance(result, Iterable) and not isinstance(result, BaseModel)
        else [result]
    )
    for item in items:
        if not isinstance(item, Declaration | Pipeline):
            raise ConfigError(
                f"it returned a {type(item).__name__}.",
                where=where,
                mend="Return a swath.Experiment, a swath.Segmentation or a swath.Pipeline, or a "
                "list of them.",
            )
    return [Found(item, where) for item in items]


def _from_json(path: Path) -> list[Found]:
    if not path.is_file():
        raise ConfigError(f"there is no config {str(path)!r}.", mend="Check the path.")
    try:
        data = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"it is no JSON: {error}.", where=str(path)) from None
    items = data if isinstance(data, list) else [data]
    with _Fields(str(path)):
        return [Found(_declared(item, str(path)), str(path)) for item in items]


def _declared(item: Any, where: str) -> Declared:
    declaration = upgrade(item if isinstance(item, dict) else {}, where=where)
    try:
        if "pipeline" in declaration:
            return Pipeline.from_json(declaration["pipeline"])
        kind = next((name for name in DECLARATIONS if name in declaration), "experiment")
        return DECLARATIONS[kind].from_json(declaration[kind])
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"it is no complete declaration: {error!r}.",
            where=where,
            mend="Give an experiment.json as Swath wrote it, or a Python config file.",
        ) from error


def _filtered(found: Sequence[Found], config: str, wanted: Filter) -> list[Found]:
    ids = [item.id for item in found]
    for item in found:
        if ids.count(item.id) > 1:
            places = sorted({other.where for other in found if other.id == item.id})
            raise ConfigError(
                f"{ids.count(item.id)} experiments have the id {item.id!r}.",
                where=" and ".join(places),
                mend="Give each experiment its own id.",
            )
    kept = [
        item
        for item in found
        if not wanted.ids or any(fnmatch.fnmatchcase(item.id, p) for p in wanted.ids)
    ]
    if not found and not wanted.methods:
        raise ConfigError("it returned no experiment.", where=config, mend="Return at least one.")
    if not kept:
        asked = " and ".join([*wanted.methods, *wanted.ids])
        known = ", ".join(ids) or "none"
        raise ConfigError(
            f"no experiment matches {asked or 'the config'}; there are: {known}.",
            where=config,
            mend="Check the patterns of -m and -f.",
        )
    return kept


class _Fields:
    """Turns whatever a config raises into our errors.

    Those of pydantic name the field, and the nearest known one; any other names its line.
    """

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ValidationError):
            problems = [_field_error(item, self._where) for item in error.errors()]
            raise (problems[0] if len(problems) == 1 else Problems(problems)) from None
        if isinstance(error, SyntaxError):
            raise ConfigError(
                f"line {error.lineno}: {error.msg}.", where=str(error.filename), mend="Correct it."
            ) from None
        if isinstance(error, Exception | SystemExit) and not isinstance(error, SwathError):
            last = traceback.extract_tb(trace)[-1]
            raise ConfigError(
                f"{type(error).__name__}: {error}.",
                where=f"{self._where} (raised in {last.filename}, line {last.lineno})",
                mend="Correct it; -v shows the whole traceback.",
            ) from error


def _field_error(item: Mapping[str, Any], where: str) -> SwathError:
    cause = item.get("ctx", {}).get("error")
    field = ".".join(str(part) for part in item["loc"]) or "declaration"
    if isinstance(cause, DeclarationError):
        return cause
    if item["type"] == "extra_forbidden":
        close = get_close_matches(str(item["loc"][-1]), _known_fields(), n=1)
        hint = f"Did you mean {close[0]!r}?" if close else "Remove it."
        return ConfigError(f"there is no field {field!r}.", where=where, mend=hint)
    if item["type"] == "missing":
        return ConfigError(f"the field {field!r} is missing.", where=where, mend="Set it.")
    text = str(cause) if cause is not None else f"{item['msg']} (it is {item['input']!r})."
    return ConfigError(f"{field}: {text}", where=where)


def _known_fields() -> list[str]:
    """Return the names of all fields of all specs, to find what a misspelt one may mean."""
    from swath.spec import Spec

    names: dict[str, None] = {}
    pending: list[type[Spec]] = [Spec]
    while pending:
        kind = pending.pop()
        names |= dict.fromkeys(kind.model_fields)
        pending += kind.__subclasses__()
    return list(names)
