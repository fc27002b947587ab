"""``swath diff``: what two runs planned differently."""

from __future__ import annotations

import json

import click

from swath.cli.options import json_option, root_option, verbose_option
from swath.plan.difference import difference
from swath.run.folder import RunFolder


@click.command("diff")
@click.argument("old")
@click.argument("new", default="latest")
@root_option
@json_option
@verbose_option
def command(old: str, new: str, root: str | None, as_json: bool, verbose: bool) -> None:
    """Compare what the runs OLD and NEW (folders, or ids with --root) planned."""
    first, second = RunFolder.find(old, root), RunFolder.find(new, root)
    lines = difference(first.read_plan(), second.read_plan())
    if as_json:
        click.echo(json.dumps(lines, indent=1))
    else:
        click.echo("\n".join(lines) or "The two runs planned the same.")
