"""``swath logs``: the logs of a run."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

import click

from swath.cli.options import json_option, root_option, verbose_option
from swath.errors import ConfigError
from swath.run.folder import RunFolder


@click.command("logs")
@click.argument("run", default="latest")
@click.argument("split", default="*")
@root_option
@json_option
@verbose_option
def command(run: str, split: str, root: Path | None, as_json: bool, verbose: bool) -> None:
    """Print the logs of the splits of RUN whose key matches SPLIT, for example 'train*'."""
    folder = RunFolder.find(run, root)
    logs = sorted(folder.logs.glob("*.txt"))
    wanted = [path for path in logs if fnmatch.fnmatchcase(path.stem, split)]
    if not wanted:
        known = ", ".join(path.stem for path in logs[:10]) or "none"
        raise ConfigError(f"no log matches {split!r}; there are: {known}.", where=str(folder.logs))
    texts = {path.stem: path.read_text("utf-8", "replace") for path in wanted}
    if as_json:
        click.echo(json.dumps(texts, indent=1))
        return
    for key, text in texts.items():
        if text:
            click.echo(f"==> {key} <==\n{text}", nl=not text.endswith("\n"))
