"""``swath wait``: follow a run to its end."""

from __future__ import annotations

import signal
from types import FrameType

import click

from swath.cli.options import (
    interruptible_by_signals,
    json_option,
    root_option,
    verbose_option,
)
from swath.cli.progress import following
from swath.cli.run import end_of
from swath.errors import InterruptedRunError
from swath.run.folder import RunFolder
from swath.run.life import Life, take_up
from swath.run.status import RunStatus


class _Left(BaseException):
    """The user waits no longer; no `except` on the way takes it for a wish to stop the run."""


@click.command("wait")
@click.argument("run", default="latest")
@root_option
@json_option
@verbose_option
def command(run: str, root: str | None, as_json: bool, verbose: bool) -> int:
    """Follow RUN, its folder, or its id or latest with --root, to its end.

    If the client that started it is gone, this one takes its place. Ctrl-C ends the waiting and not
    the run, unless that has no other client and needs one. The exit code is that of swath run.
    """
    folder = RunFolder.find(run, root)
    if Life.of(folder).runner.abilities.outlives_client:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _leave)
    else:
        interruptible_by_signals()
    status = RunStatus(folder)
    try:
        with following(status) as progress:
            outcome = take_up(folder, progress.emit, status.events)
    except _Left:
        click.echo(f"the run goes on; swath cancel {folder.uri} stops it.", err=True)
        return InterruptedRunError.exit_code
    return end_of(folder, outcome, as_json=as_json)


def _leave(number: int, frame: FrameType | None) -> None:
    raise _Left
