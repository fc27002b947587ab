"""The base of every declaration: typed, frozen, closed.

A spec is the value itself, valid once constructed; there is no separate builder and no later
update or validate phase. Families of specs are told apart by their `kind` field.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Spec(BaseModel):
    """A frozen, closed declaration; unknown fields are errors.

    The string literal below a field is its description: it says what the field means and in which
    unit, and ends up in the JSON schema and the reference.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    def to_json(self) -> dict[str, Any]:
        """Return the spec as JSON values, which `from_json` reads back unchanged."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Build the spec from what `to_json` returned."""
        return cls.model_validate(data)

    def replace(self, **changes: object) -> Self:
        """Return a copy with some fields changed, validated again.

        Examples
        --------
        >>> class Window(Spec):
        ...     size: int
        >>> Window(size=3).replace(size=4).size
        4
        """
        return type(self)(
            **({name: getattr(self, name) for name in type(self).model_fields} | changes)
        )
