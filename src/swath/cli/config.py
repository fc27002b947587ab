"""``swath config``: settings and where they come from."""

from __future__ import annotations

import json

import click

from swath.cli.options import json_option, settings_options, verbose_option
from swath.cli.render import table
from swath.settings import load_settings


@click.command("config")
@settings_options
@json_option
@verbose_option
def command(overrides: tuple[str, ...], profile: str | None, as_json: bool, verbose: bool) -> None:
    """Show every setting, its value and where it was set.

    Files ($XDG_CONFIG_HOME/swath/settings.toml, then ./swath.toml) come before the environment
    (SWATH_LOCAL_JOBS ...), and the command line (--set local.jobs=4) comes last.
    """
    rows = [
        [key.name, "" if value.value is None else str(value.value), value.origin, key.help]
        for key, value in load_settings(overrides, profile=profile).rows()
    ]
    head = ["setting", "value", "set by", "meaning"]
    if as_json:
        click.echo(json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=1))
    else:
        click.echo(table([head, *rows]))
