"""``swath cancel``: stop a run."""

from __future__ import annotations

from pathlib import Path

import click

from swath.cli.options import root_option
from swath.run.folder import RunFolder
from swath.run.processes import cancel


@click.command("cancel")
@click.argument("run", default="latest")
@root_option
def command(run: str, root: Path | None) -> None:
    """Stop RUN: its folder, or its id or latest with --root. What is finished stays finished."""
    folder = RunFolder.find(run, root)
    if cancel(folder):
        click.echo(f"run {folder.id} was stopped; run the experiment again to go on.")
    else:
        click.echo(f"run {folder.id} is not running.")
