"""What the function of a command sees of the unit that it is to do.

The function reads `input` and `inputs`, writes to the local paths that `output` gives, and returns.
The worker publishes what was written, all at once, and only then records the unit as done; so a
function needs no care for being killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

from swath.errors import ConfigError, UnitError
from swath.run.state import State

T = TypeVar("T")

Fetch = Callable[[Sequence[str]], list[str]]
"""From URIs to local paths, in the same order."""

WORK_LOG = logging.getLogger("swath.work")
"""Log of the functions of commands; warnings are shown to the user."""


class ProgressCall(Protocol):
    """Report how far a unit is."""

    def __call__(self, done: float, total: float, **numbers: float) -> None:
        """Tell `done` of `total`, in whatever the command counts, and numbers worth showing."""
        ...


class SplitValues:
    """Values that the units of one split share: an opened model, a table that is read once."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._values: dict[str, Any] = {}

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Return the value of `key`, made at the first call."""
        if key not in self._values:
            value = make()
            close = getattr(value, "close", None)
            if callable(close):
                self._stack.callback(close)
            self._values[key] = value
        result: T = self._values[key]
        return result

    def close(self) -> None:
        """Close every value that has a `close`, the last one first."""
        self._values.clear()
        self._stack.close()


class Work:
    """One unit of a command, as its function sees it.

    Attributes
    ----------
    unit
        Name of the unit.
    params
        Parameters of the command; they change its result.
    unit_params
        Parameters of this unit alone.
    options
        What does not change the result: ``threads`` (int) and ``device`` (``auto``, ``cpu``,
        ``cuda``) are always there.
    log
        Goes to the log of the split; warnings are shown to the user, too.
    """

    def __init__(
        self,
        *,
        unit: str,
        params: Mapping[str, Any],
        unit_params: Mapping[str, Any],
        options: Mapping[str, Any],
        inputs: Mapping[str, str | list[str]],
        outputs: Mapping[str, Path],
        state: State,
        fetch: Fetch,
        progress: ProgressCall,
        values: SplitValues,
    ) -> None:
        self.unit = unit
        self.params = params
        self.unit_params = unit_params
        self.options = options
        self.log = WORK_LOG
        self.progress = progress
        self._inputs = inputs
        self._outputs = outputs
        self._state = state
        self._fetch = fetch
        self._fetched: dict[str, list[str]] = {}
        self._values = values

    def input(self, name: str) -> str:
        """Return the local path of the one input of this name; see `inputs`."""
        found = self.inputs(name)
        if len(found) != 1:
            raise UnitError(
                f"input {name!r} is {len(found)} files.", where=self.unit, mend="Use inputs()."
            )
        return found[0]

    def inputs(self, name: str) -> list[str]:
        """Return the local paths of an input, in the declared order; none if it was not given.

        What lies on an object store is copied to this machine, several files at once, when it is
        first asked for. Paths of GDAL's virtual file systems are returned as they are.
        """
        if name not in self._fetched:
            found = self._inputs.get(name, [])
            self._fetched[name] = self._fetch([found] if isinstance(found, str) else found)
        return list(self._fetched[name])

    def output(self, name: str) -> Path:
        """Return the local path to write this output to; its folder exists.

        Raises
        ------
        ConfigError
            If the unit declares no such output.
        """
        try:
            return self._outputs[name]
        except KeyError:
            known = ", ".join(self._outputs) or "none"
            raise ConfigError(
                f"there is no output {name!r}; declared: {known}.", where=self.unit
            ) from None

    @property
    def state_dir(self) -> Path:
        """A local folder that outlives a kill of this unit; removed once the unit is done."""
        return self._state.path

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Return a value that the units of this split share, made at the first call."""
        return self._values.once(key, make)
