"""``swath check``: look into imagery, labels and settings before anything is spent."""

from __future__ import annotations

import json
from typing import Any

import click

from swath.cli.options import config_options, find, json_option
from swath.experiment.check import check_experiments


@click.command("check")
@click.argument("config")
@click.option("--runner", default="local", show_default=True, help="Check for this runner.")
@json_option
@config_options
def command(config: str, runner: str, as_json: bool, **options: Any) -> int:
    """Open every header of CONFIG; compare grids, bands, labels and areas; try the root."""
    found = find(config, runner, options)
    report = check_experiments([item.declared for item in found])
    if as_json:
        problems = [
            {"what": item.what, "where": item.where, "mend": item.mend} for item in report.problems
        ]
        told = {"scenes": report.n_scenes, "problems": problems, "warnings": report.warnings}
        click.echo(json.dumps(told, indent=1))
        return 2 if problems else 0
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    report.refuse()
    who = f"{len(found)} experiments" if len(found) > 1 else f"experiment {found[0].id!r}"
    click.echo(f"{who}: {report.n_scenes} scenes checked, no problem found.")
    return 0
