"""``swath logs``: the logs of a run."""

from __future__ import annotations

import json
import time
from fnmatch import fnmatchcase

import click

from swath.cli.options import json_option, root_option, verbose_option
from swath.errors import ConfigError, SwathError
from swath.run.folder import RunFolder
from swath.run.lease import is_in_hand
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
    if follow and (as_json or backend):
        raise click.UsageError("--follow prints lines, of the logs in the folder of the run.")
    reader = LogReader(folder, split)
    if follow:
        _follow(folder, reader)
        return
    texts = _of_backend(folder, split) if backend else _of_folder(folder, reader, split)
    if as_json:
        click.echo(json.dumps(texts, indent=1))
        return
    if backend and not texts:
        click.echo(
            "the runner's own service kept nothing; see swath logs without --backend.", err=True
        )
    for key, text in texts.items():
        click.echo(f"==> {key} <==\n{text}", nl=not text.endswith("\n"))


def _of_folder(folder: RunFolder, reader: LogReader, pattern: str) -> dict[str, str]:
    texts: dict[str, bytes] = {}
    for key, data in reader.new():
        texts[key] = texts.get(key, b"") + data
    if not texts and not reader.matches():
        raise _none_matches(pattern, reader.names(), folder)
    return {key: data.decode("utf-8", "replace") for key, data in texts.items()}


def _of_backend(folder: RunFolder, pattern: str) -> dict[str, str]:
    life = Life.of(folder)
    known = [split.key for split in life.context.splits]
    keys = [key for key in known if fnmatchcase(key, pattern)]
    if not keys:
        raise _none_matches(pattern, known, folder)
    return {key: text for key in keys if (text := life.runner.logs(life.context, key))}


def _none_matches(pattern: str, known: list[str], folder: RunFolder) -> ConfigError:
    names = ", ".join(known[:10]) or "none"
    return ConfigError(f"no log matches {pattern!r}; there are: {names}.", where=folder.uri)


def _follow(folder: RunFolder, reader: LogReader) -> None:
    """Print what is written, line by line with the split it is from."""
    begun: dict[str, bytes] = {}
    backend = _Backend(folder) if goes_on(folder) else None
    going_on = True
    while going_on:
        # Before reading: what is written meanwhile is still shown.
        going_on = backend is not None and backend.goes_on()
        for key, data in reader.new():
            *lines, begun[key] = (begun.get(key, b"") + data).split(b"\n")
            _print_lines(key, lines)
        if going_on and backend is not None:
            time.sleep(backend.pause_s)
    for key, line in begun.items():
        _print_lines(key, [line] if line else [])


class _Backend:
    """What the backend of a run knows: whether it goes on though nobody follows it."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._life = Life.of(folder)
        self._is_answered = True
        self.pause_s = max(0.2 if folder.is_local else 2.0, self._life.runner.abilities.poll_s)

    def goes_on(self) -> bool:
        """Tell whether the run goes on; where the backend cannot be asked, until all is done."""
        if not goes_on(self._folder):
            return False
        if is_in_hand(self._folder):
            return True
        try:
            seen = self._life.runner.look(self._life.context)
        except SwathError as error:
            if self._is_answered:
                click.echo(f"warning: the backend cannot be asked: {error}", err=True)
            self._is_answered = False
            every = {split.key for split in self._life.context.splits}
            return not every <= self._folder.done()
        self._is_answered = True
        return goes_on(self._folder, seen)


def _print_lines(key: str, lines: list[bytes]) -> None:
    for line in lines:
        click.echo(f"{key} | {line.decode('utf-8', 'replace')}")
