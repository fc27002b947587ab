"""Arguments of config functions: text from the command line, typed by annotations."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from swath.errors import ConfigError

Arguments = Mapping[str, Sequence[str]]
"""Name to the texts given for it, in order; several are a list."""


def gather(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Collect ``-a KEY VALUE`` pairs."""
    result: dict[str, list[str]] = {}
    for name, text in pairs:
        result.setdefault(name.replace("-", "_"), []).append(text)
    return result


def call(function: Callable[..., Any], arguments: Arguments, *, runner: str, where: str) -> Any:
    """Call a config function with the arguments that it takes.

    Parameters
    ----------
    function
        Its parameter `runner`, if it has one, is the name of the runner.
    arguments
        As gathered from the command line; those it does not take are left out.
    where
        File and name of the function, for messages.

    Returns
    -------
    object
        What the function returned.

    Raises
    ------
    ConfigError
        If an argument is missing or has a wrong type; the message shows the signature.
    """
    parameters = inspect.signature(function).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    hints = _hints(function)
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name in arguments:
            values[name] = _convert(name, arguments[name], hints.get(name, str), function, where)
        elif name == "runner":
            values[name] = runner
        elif parameter.default is parameter.empty:
            raise ConfigError(
                f"the argument {name!r} is missing.",
                where=where,
                mend=f"Give it with -a {name} VALUE. The signature is {_shown(function)}.",
            )
    if takes_all:
        values |= {n: t[-1] for n, t in arguments.items() if n not in values}
    return function(**values)


def refuse_unknown(arguments: Arguments, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Refuse arguments that no function takes.

    Raises
    ------
    ConfigError
        With the nearest known name, and the signatures.
    """
    signatures = {where: inspect.signature(function) for where, function in functions.items()}
    parameters = [p for signature in signatures.values() for p in signature.parameters.values()]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters]
    for name in arguments:
        if name in known:
            continue
        close = get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        shown = "; ".join(f"{where}{_shown(function)}" for where, function in functions.items())
        takes = f"The signature is {shown}." if functions else "This config takes no arguments."
        raise ConfigError(f"there is no argument {name!r}.", where="-a", mend=hint + takes)


def _shown(function: Callable[..., Any]) -> str:
    """Return the signature as text, without the quotes that postponed annotations bring."""
    signature = inspect.signature(function)
    return str(signature).replace("'", "")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations that can be evaluated; others are names for type checkers only."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    hints: dict[str, Any] = {}
    for name, annotation in getattr(plain, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints |= typing.get_type_hints(alone, globalns=getattr(plain, "__globals__", {}))
        except NameError:
            continue
    return hints


def _convert(
    name: str, texts: Sequence[str], annotation: Any, function: Callable[..., Any], where: str
) -> Any:
    try:
        return convert(texts, annotation)
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        given = ", ".join(map(repr, texts))
        raise ConfigError(
            f"the argument {name!r} cannot be {given}: {reason}.",
            where=where,
            mend=f"The signature is {_shown(function)}.",
        ) from None


def convert(texts: Sequence[str], annotation: Any) -> Any:
    """Turn texts into a value of the annotated type.

    Parameters
    ----------
    texts
        One for each time the argument was given. For a list, each may hold several, with commas.
    annotation
        ``int``, ``float``, ``bool``, ``str``, ``Path``, ``Literal[...]``, ``list[...]``,
        ``tuple[..., ...]``, unions of them with None, and whatever pydantic reads from text.

    Raises
    ------
    ValueError
        If the text is no such value, or a single value was given several times.

    Examples
    --------
    >>> convert(["1,2", "3"], list[int])
    [1, 2, 3]
    >>> convert(["none"], int | None) is None
    True
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in (list, tuple) or origin in (list, tuple, Sequence):
        items = [part for text in texts for part in text.split(",") if part]
        values = [
            convert([item], kind)
            for item, kind in zip(items, _kinds(origin, inner, len(items)), strict=True)
        ]
        return tuple(values) if tuple in (annotation, origin) else values
    if origin in (Union, types.UnionType):
        return _convert_union(texts, inner)
    if len(texts) > 1:
        raise ValueError("it was given more than once")
    text = texts[0]
    if annotation in (Any, inspect.Parameter.empty):
        return text
    if origin is Literal:
        for choice in inner:
            if str(choice) == text:
                return choice
        raise ValueError(f"use one of {', '.join(map(str, inner))}")
    try:
        return TypeAdapter(annotation).validate_strings(text)
    except PydanticUserError:
        raise ValueError(f"a text cannot become a {annotation}") from None


def _kinds(origin: Any, inner: Sequence[Any], n_items: int) -> list[Any]:
    """Return the type of each item of a list or tuple."""
    if not inner:
        return [str] * n_items
    if origin is not tuple or inner[-1] is Ellipsis:
        return [inner[0]] * n_items
    if len(inner) != n_items:
        raise ValueError(f"it takes {len(inner)} values, not {n_items}")
    return list(inner)


def _convert_union(texts: Sequence[str], choices: Sequence[Any]) -> Any:
    if type(None) in choices and [text.lower() for text in texts] == ["none"]:
        return None
    reasons = []
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return convert(texts, choice)
        except ValueError as error:
            reasons.append(error)
    raise reasons[-1]
