"""Variables in the definition of a pipeline: ``Get``, ``Std:Join``, and parameters.

From "Pipeline parameters", "Pipeline variables" and "Join" of the SageMaker developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swath.testing.model import Json
from swath.testing.protocol import ServiceError

INVALID = "ValidationException"
_KINDS: Mapping[str, tuple[type, ...]] = {
    "String": (str,),
    "Integer": (int,),
    "Float": (int, float),
    "Boolean": (bool,),
}


def resolve(value: Any, variables: Mapping[str, object], where: str) -> Any:
    """Return a part of a definition with its variables replaced.

    Parameters
    ----------
    variables
        By full name: ``"Parameters.X"``, ``"Execution.PipelineExecutionId"``.
    where
        For messages.

    Raises
    ------
    ServiceError
        If there is no such variable.
    """
    if isinstance(value, list):
        return [resolve(item, variables, where) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Get"}:
        if value["Get"] not in variables:
            raise ServiceError(INVALID, f"{where} gets {value['Get']}, which is not there")
        return variables[value["Get"]]
    if value.keys() == {"Std:Join"}:
        join = value["Std:Join"]
        values = resolve(join["Values"], variables, where)
        return str(join.get("On", "")).join(str(item) for item in values)
    return {key: resolve(item, variables, where) for key, item in value.items()}


def defaults_of(declared: list[Json]) -> dict[str, object]:
    """Return the parameters of a definition that have a default, by name.

    Raises
    ------
    ServiceError
        If a declaration is not one.
    """
    found: dict[str, object] = {}
    for item in declared:
        name, kind = item.get("Name"), item.get("Type", "String")
        if not isinstance(name, str) or kind not in _KINDS:
            raise ServiceError(INVALID, f"no declaration of a parameter: {item}")
        if "DefaultValue" in item:
            default = item["DefaultValue"]
            if not isinstance(default, _KINDS[kind]):
                raise ServiceError(INVALID, f"default of {name} is no {kind}: {default!r}")
            found[name] = default
    return found


def parameter_values(declared: list[Json], given: list[Json]) -> dict[str, object]:
    """Return the value of each parameter of an execution, by name.

    Parameters
    ----------
    declared
        ``Parameters`` of the definition.
    given
        ``PipelineParameters`` of the request; all values are text.

    Raises
    ------
    ServiceError
        If one is unknown, missing, or of another type.
    """
    kinds = {item["Name"]: item.get("Type", "String") for item in declared}
    values = defaults_of(declared)
    for item in given:
        if item["Name"] not in kinds:
            raise ServiceError(INVALID, f"the pipeline has no parameter {item['Name']}")
        values[item["Name"]] = _parsed(item["Name"], kinds[item["Name"]], item["Value"])
    missing = sorted(kinds.keys() - values.keys())
    if missing:
        raise ServiceError(INVALID, f"parameters have no value: {', '.join(missing)}")
    for item in declared:
        allowed = item.get("EnumValues")
        if allowed is not None and values[item["Name"]] not in allowed:
            raise ServiceError(INVALID, f"{item['Name']} must be one of {allowed}")
    return values


def _parsed(name: str, kind: str, text: str) -> object:
    try:
        if kind == "Integer":
            return int(text)
        if kind == "Float":
            return float(text)
        if kind == "Boolean":
            return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise ServiceError(INVALID, f"{name} is no {kind}: {text!r}") from None
    return text
