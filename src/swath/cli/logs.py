"""``swath logs``: the logs of a run."""

from __future__ import annotations

import json
import time

import click

from swath.cli.options import json_option, root_option, verbose_option
from swath.errors import ConfigError
from swath.run.folder import RunFolder
from swath.run.life import Life, goes_on
from swath.run.logs import LogReader


@click.command("logs")
@click.argument("run", default="latest")
@click.argument("split", default="*")
@root_option
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--backend", is_flag=True, help="What the runner's own service kept of SPLIT.")
@json_option
@verbose_option
def command(
    run: str,
    split: str,
    root: str | None,
    follow: bool,
    backend: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Print the logs of the splits of RUN whose key matches SPLIT, for example 'train*'."""
    folder = RunFolder.find(run, root)
    if backend:
        life = Life.of(folder)
        click.echo(life.runner.logs(life.context, split), nl=False)
        return
    reader = LogReader(folder, split)
    if follow:
        _follow(folder, reader)
        return
    texts: dict[str, str] = {}
    for key, data in reader.new():
        texts[key] = texts.get(key, "") + data.decode("utf-8", "replace")
    if not texts and not reader.matches():
        known = ", ".join(reader.names()[:10]) or "none"
        raise ConfigError(f"no log matches {split!r}; there are: {known}.", where=folder.uri)
    if as_json:
        click.echo(json.dumps(texts, indent=1))
        return
    for key, text in texts.items():
        click.echo(f"==> {key} <==\n{text}", nl=not text.endswith("\n"))


def _follow(folder: RunFolder, reader: LogReader) -> None:
    """Print what is written, line by line with the split it is from."""
    going_on = True
    while going_on:
        going_on = goes_on(folder)  # before reading: what is written then is still shown
        for key, data in reader.new():
            for line in data.decode("utf-8", "replace").splitlines():
                click.echo(f"{key} | {line}")
        if going_on:
            time.sleep(0.2 if folder.is_local else 2.0)
