"""``swath plan``: what would run, in which order, and why."""

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
from swath.cli.render import plan_text
from swath.experiment.session import plan_experiments
from swath.plan.picture import to_dot, to_mermaid


@click.command("plan", cls=SelectingCommand)
@click.argument("config")
@click.argument("commands", nargs=-1)
@click.option("--runner", default="local", show_default=True, help="Plan for this runner.")
@json_option
@click.option("--dot", "as_dot", is_flag=True, help="Print a graph for Graphviz.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a graph for Mermaid.")
@config_options
@selection_options
def command(
    config: str,
    commands: tuple[str, ...],
    runner: str,
    as_json: bool,
    as_dot: bool,
    as_mermaid: bool,
    **options: Any,
) -> None:
    """Show what COMMANDS (default: all) of CONFIG would run, in which order, and why."""
    asked = request(config, runner, commands, options)
    made = plan_experiments(
        [item.declared for item in asked.found],
        runner=runner,
        selection=asked.selection,
        splits=asked.splits,
        settings=asked.settings,
    )
    if as_json:
        click.echo(json.dumps(made.to_json(), indent=1))
    elif as_dot:
        click.echo(to_dot(made), nl=False)
    elif as_mermaid:
        click.echo(to_mermaid(made), nl=False)
    else:
        click.echo(plan_text(made))
