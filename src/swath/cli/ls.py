"""``swath ls``: the experiments of a config."""

from __future__ import annotations

import json
from typing import Any

import click

from swath.cli.options import config_options, find, json_option
from swath.cli.render import table
from swath.experiment.declaration import Declaration
from swath.experiment.experiment import Experiment


@click.command("ls")
@click.argument("config")
@click.option("--runner", default="local", show_default=True, help="Passed to the config.")
@json_option
@config_options
def command(config: str, runner: str, as_json: bool, **options: Any) -> None:
    """List the experiments that CONFIG declares."""
    found = find(config, runner, options)
    rows = []
    for item in found:
        declared = item.declared
        if isinstance(declared, Experiment):
            counts = [declared.train_scenes, declared.validation_scenes, declared.test_scenes]
            scenes = "+".join(str(len(role)) for role in counts)
            rows.append([item.id, declared.task.kind, scenes, declared.root_uri, item.where])
        elif isinstance(declared, Declaration):
            kind = type(declared).__name__.lower()
            rows.append([item.id, kind, "", declared.root_uri, item.where])
        else:
            kinds = ", ".join(command.kind for command in declared.commands)
            rows.append([item.id, kinds, "", declared.root, item.where])
    head = ["experiment", "task", "scenes", "root", "declared in"]
    if as_json:
        click.echo(json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=1))
    else:
        click.echo(table([head, *rows]))
