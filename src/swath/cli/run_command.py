"""``swath run-command``: the worker, one split of a run."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType

import click

from swath.errors import ConfigError, NotFoundError
from swath.run.assignment import Assignment
from swath.run.events import EventWriter
from swath.run.folder import RunFolder
from swath.run.hosts import forget_failures, host_index, note_failure, wait_for_others
from swath.run.logs import copied_output
from swath.run.tether import stop_with_starter
from swath.run.worker import limit_threads, run_assignment, threads_of
from swath.store import normalise, open_store


@click.command("run-command")
@click.argument("assignment", nargs=-1, required=True)
@click.option(
    "--array-index",
    "variable",
    metavar="VARIABLE",
    help="ASSIGNMENT is the list of an array; this variable says which of it to do, from 0.",
)
@click.option(
    "--array-hosts",
    "has_hosts",
    is_flag=True,
    help="ASSIGNMENT is the list of an array; the place of this instance among those of its "
    "SageMaker job says which of it to do.",
)
@click.option("--copy-output", is_flag=True, help="Copy all output to the log of the run, too.")
@click.option("--tethered", is_flag=True, help="Stop when standard input ends.")
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors.")
def command(
    assignment: tuple[str, ...],
    variable: str | None,
    has_hosts: bool,
    copy_output: bool,
    tethered: bool,
    verbose: bool,
) -> int:
    """Do what is left of the split that ASSIGNMENT, a path or URI, describes.

    Several words are its parts: some services take short ones only.
    """
    signal.signal(signal.SIGTERM, _stop)
    if tethered:
        stop_with_starter()
    uri = normalise("".join(assignment))
    folder = RunFolder(uri.rpartition("/")[0].rpartition("/")[0])
    array: list[str] = []
    if variable is not None or has_hosts:
        array = json.loads(_read(uri))
        uri = folder.assignment_uri(_element(uri, array, variable))
    key = uri.rpartition("/")[2].removesuffix(".json")
    with ExitStack() as stack:
        if copy_output:
            stack.enter_context(copied_output(folder, key))
        if has_hosts:
            forget_failures(folder, {key})
        text = _read(uri)
        events = EventWriter(folder, key)
        stack.callback(events.close)
        try:
            work = Assignment.from_json(text, uri)
        except ConfigError as error:  # who follows the run sees no exit codes of workers
            events.write("failed", error=str(error), traceback="")
            raise
        os.environ.update(work.environment)
        limit_threads(threads_of(work))
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
        )
        succeeded = run_assignment(work, events)
        if succeeded:  # before the last events and words are written, which may be lost
            folder.mark_done(key)
    if not succeeded and has_hosts:
        note_failure(folder, key)
        if work.keep_going:
            wait_for_others(folder, array)
    return 0 if succeeded else 1


def _element(uri: str, array: Sequence[str], variable: str | None) -> str:
    """Return the key of the split that this element of an array is to do.

    Without a variable, the place of this host tells which.
    """
    told = str(host_index()) if variable is None else os.environ.get(variable, "")
    try:
        return array[int(told)]
    except (ValueError, IndexError):
        raise ConfigError(
            f"{variable or 'the host'} is {told!r}, and the array has {len(array)} elements.",
            where=uri,
            mend="Start it as an array job, or name one assignment of commands/.",
        ) from None


def _read(uri: str) -> bytes:
    try:
        return open_store(uri).read(uri)
    except NotFoundError:
        raise ConfigError(
            f"there is no assignment {uri}.",
            mend="Give a file of commands/ in the folder of a run.",
        ) from None


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # no `except Exception` on the way takes it for a failure
