"""Every error that Swath raises on purpose, as one tree.

::

    SwathError                      exit code 1
    ├── DeclarationError            exit code 2: nothing has run yet, and nothing will
    │   ├── ConfigError             a config file, an argument, a field, a setting
    │   ├── GraphError              a cycle, a missing input, two commands with one output
    │   ├── DataError               imagery, labels or areas that do not fit together
    │   ├── MissingExtraError       an optional library that is not installed
    │   └── Problems                several of the above, found by one check
    ├── StoreError                  bytes under a URI
    │   ├── NotFoundError
    │   ├── ForbiddenError
    │   └── ThrottledError          the service asks to come slower
    └── RunError                    something that was running
        ├── UnitError               one unit of a command failed
        ├── UnansweredError         a service may have done what it was asked, or not
        ├── RefusedError            a service does not take what a run asks of it
        ├── TakenOverError          another client follows the run by now
        └── InterruptedRunError     exit code 130

A message says what is wrong with the offending value, where, and how to mend it. The three parts
are kept apart so that a terminal, a JSON answer and a report can each lay them out.
"""

from __future__ import annotations

from typing import ClassVar


class SwathError(Exception):
    """Base of the tree.

    Parameters
    ----------
    what
        What is wrong, with the offending value.
    where
        Experiment, scene, field or file.
    mend
        What to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} {self.mend}" if self.mend else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.mend)


def _rebuild(kind: type[SwathError], what: str, where: str | None, mend: str | None) -> SwathError:
    return kind(what, where=where, mend=mend)


class DeclarationError(SwathError):
    """What the user declared cannot be run; met before any work starts."""

    exit_code = 2


class ConfigError(DeclarationError):
    """A config file, an argument, a field of a spec or a setting is wrong."""


class GraphError(DeclarationError):
    """The commands do not form a graph that can be run."""


class DataError(DeclarationError):
    """Imagery, labels or areas are unreadable or do not fit together."""


class MissingExtraError(DeclarationError):
    """An optional library is needed and not installed."""


class StoreError(SwathError):
    """Bytes under a URI could not be read or written."""


class NotFoundError(StoreError):
    """There is nothing under this URI."""


class ForbiddenError(StoreError):
    """The URI may exist, but this user may not use it."""


class ThrottledError(StoreError):
    """The service asked to come slower, and went on to after several tries."""


class RunError(SwathError):
    """Something failed while it ran."""


class UnitError(RunError):
    """One unit of a command failed; its traceback is in the record of the failure."""


class UnansweredError(RunError):
    """A service did not answer; whether it did what it was asked is not known."""


class RefusedError(RunError):
    """A service does not take what a run asks of it, and would say the same again."""


class TakenOverError(RunError):
    """Another client has taken the run over; this one must not start anything more."""


class InterruptedRunError(RunError):
    """The run was interrupted; what was finished stays finished."""

    exit_code = 130


class Problems(DeclarationError):
    """Several declaration errors found in one check, each reported in full."""

    def __init__(self, errors: list[SwathError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors
