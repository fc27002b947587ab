"""``swath run-command``: the worker, one split of a run."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from swath.errors import ConfigError
from swath.run.assignment import Assignment
from swath.run.events import EventWriter
from swath.run.worker import limit_threads, run_assignment


@click.command("run-command")
@click.argument("assignment_file", type=click.Path(path_type=Path))
@click.option("--done", type=click.Path(path_type=Path), help="A file to make once all is done.")
@click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors.")
def command(assignment_file: Path, done: Path | None, verbose: bool) -> int:
    """Do what is left of the split that ASSIGNMENT_FILE describes."""
    try:
        text = assignment_file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"there is no assignment {assignment_file}: {error.strerror}.",
            mend="Give a file of commands/ in the folder of a run.",
        ) from None
    assignment = Assignment.from_json(text, str(assignment_file))
    limit_threads(assignment.threads)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    signal.signal(signal.SIGTERM, _stop)
    folder = assignment_file.absolute().parents[1]
    events = EventWriter(folder / "events" / f"{assignment.key}.jsonl", assignment.key)
    try:
        succeeded = run_assignment(assignment, events)
    finally:
        events.close()
    if succeeded and done is not None:
        done.touch()
    return 0 if succeeded else 1


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # no `except Exception` on the way takes it for a failure
