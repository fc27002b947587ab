"""``swath status``: the state of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import click

from swath.cli.options import json_option, root_option, verbose_option
from swath.cli.render import amount, duration, table
from swath.errors import SwathError
from swath.run.folder import RunFolder
from swath.run.life import look, why_stopped
from swath.run.runner import Seen
from swath.run.status import RunStatus, SplitState


@click.command("status")
@click.argument("run", default="latest")
@root_option
@json_option
@verbose_option
def command(run: str, root: str | None, as_json: bool, verbose: bool) -> None:
    """Show the state of RUN: its folder, or its id or latest with --root."""
    folder = RunFolder.find(run, root)
    status = RunStatus(folder)
    status.update(_seen(folder))
    if as_json:
        click.echo(
            json.dumps(
                {
                    "run": status.folder.id,
                    "state": status.summary,
                    "reason": why_stopped(folder),
                    "experiments": status.experiments,
                    "splits": [asdict(split) for split in status.splits.values()],
                },
                indent=1,
            )
        )
        return
    click.echo(f"run {status.folder.id} ({', '.join(status.experiments)}): {status.summary}")
    if why := why_stopped(folder):
        click.echo(why)
    rows = [["command", "units", *SplitState, "time", "memory"]]
    for kind, counts in status.counts().items():
        splits = [split for split in status.splits.values() if split.kind == kind]
        seconds = sum(
            split.ended - split.started
            for split in splits
            if split.started is not None and split.ended is not None
        )
        units = f"{sum(s.n_done for s in splits)}/{sum(s.n_units for s in splits)}"
        memory = amount(max(split.memory for split in splits), "B")
        told = [str(counts[state]) if counts[state] else "" for state in SplitState]
        rows.append([kind, units, *told, duration(seconds), memory])
    click.echo(table(rows, right=range(1, len(rows[0]))))
    for split in status.splits.values():
        for unit, error, trace in split.failures:
            click.echo(f"failed: {split.kind} {unit}: {error}")
            if verbose:
                click.echo(trace)
    for line in _of_backend(status):
        click.echo(line)


def _seen(folder: RunFolder) -> Mapping[str, Seen] | None:
    """Ask the backend; None if it cannot be asked, from here or now: the folder tells the most."""
    try:
        return look(folder)
    except SwathError as error:
        click.echo(
            f"warning: the backend cannot be asked; this is what the folder of the run tells: "
            f"{error}",
            err=True,
        )
        return None


def _of_backend(status: RunStatus) -> Iterator[str]:
    """Yield, in lines, what only the backend knows; what it says of many splits is told once."""
    alike: dict[tuple[SplitState, str, str], list[str]] = {}
    for split in status.splits.values():
        if split.error and not split.failures:
            alike.setdefault((split.state, split.kind, split.error), []).append(split.key)
    for (state, kind, error), keys in alike.items():
        which = keys[0] if len(keys) == 1 else f"{len(keys)} splits"
        yield f"{state}: {kind} ({which}): {error}"
