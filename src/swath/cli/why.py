"""``swath why``: of every unit, why it runs or does not."""

from __future__ import annotations

import json
from typing import Any

import click

from swath.cli.options import (
    SelectingCommand,
    config_options,
    json_option,
    request,
    selection_options,
)
from swath.cli.render import table
from swath.experiment.session import plan_experiments


@click.command("why", cls=SelectingCommand)
@click.argument("config")
@click.argument("commands", nargs=-1)
@json_option
@config_options
@selection_options
def command(config: str, commands: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Tell of every unit of COMMANDS (default: all) why it runs, or that it is up to date."""
    asked = request(config, "local", commands, options)
    made = plan_experiments(
        [item.declared for item in asked.found],
        selection=asked.selection,
        splits=asked.splits,
        settings=asked.settings,
    )
    wanted = {word.lower() for word in commands}
    rows = []
    for unit, item in zip(made.graph.units, made.scanned, strict=True):
        kind = made.graph.nodes[unit.node].command
        if wanted and not wanted & {kind.kind, kind.phase}:
            continue
        reason = "" if item.reason is None else str(item.reason)
        rows.append([kind.kind, unit.unit.name, item.state.value, reason, item.fingerprint])
    if as_json:
        names = ("command", "unit", "state", "reason", "fingerprint")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1))
        return
    click.echo(table([["command", "unit", "state", "reason"], *(row[:4] for row in rows)]))
