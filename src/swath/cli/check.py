"""``swath check``: look into imagery, labels and settings before anything is spent."""

from __future__ import annotations

from typing import Any

import click

from swath.cli.options import config_options, find
from swath.experiment.check import check_experiments


@click.command("check")
@click.argument("config")
@click.option("--runner", default="local", show_default=True, help="Check for this runner.")
@config_options
def command(config: str, runner: str, **options: Any) -> None:
    """Open every header of CONFIG; compare grids, bands, labels and areas; try the root."""
    found = find(config, runner, options)
    report = check_experiments([item.declared for item in found])
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    report.refuse()
    told = f"{len(found)} experiments" if len(found) > 1 else f"experiment {found[0].id!r}"
    click.echo(f"{told}: {report.n_scenes} scenes checked, no problem found.")
