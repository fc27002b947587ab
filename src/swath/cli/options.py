"""Options that several sub-commands share."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

import click

from swath.experiment.arguments import gather
from swath.experiment.config import Filter, Found, load_config
from swath.plan.select import ALL, Selection
from swath.plan.split import Splits, parse_splits
from swath.run.runner import runner_names
from swath.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def _together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show tracebacks of errors.")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

settings_options = _together(
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        help="A setting; see swath config.",
    ),
    click.option(
        "--profile", metavar="NAME", help="A [profiles.NAME] table of the settings files."
    ),
)


class SelectingCommand(click.Command):
    """A sub-command with ``--rerun [KIND]``: what cannot be a kind is not taken for one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the word for everything after each ``--rerun`` that no kind follows."""
        written: list[str] = []
        for arg in args:
            if written[-1:] == ["--rerun"] and (not arg.isidentifier() or arg in runner_names()):
                written.append(ALL)
            written.append(arg)
        return super().parse_args(ctx, written)


config_options = _together(
    click.option(
        "-a",
        "pairs",
        type=(str, str),
        multiple=True,
        metavar="KEY VALUE",
        help="An argument of the config; give it several times for a list.",
    ),
    click.option(
        "-m", "methods", multiple=True, metavar="PATTERN", help="Functions and methods, by name."
    ),
    click.option("-f", "ids", multiple=True, metavar="PATTERN", help="Experiments, by id."),
    click.option(
        "--prefix", default="exp_", show_default=True, help="Prefix of methods of experiment sets."
    ),
    verbose_option,
)

selection_options = _together(
    click.option(
        "--from", "first", multiple=True, metavar="KIND", help="Run KIND and what follows."
    ),
    click.option("--until", "last", multiple=True, metavar="KIND", help="Run up to KIND."),
    click.option(
        "--only-scene", "scenes", multiple=True, metavar="ID", help="Of scenes, only this one."
    ),
    click.option(
        "--rerun",
        "rerun",
        multiple=True,
        metavar="KIND",
        is_flag=False,
        flag_value=ALL,
        help="Run KIND, or all that is selected, though it is up to date.",
    ),
    click.option(
        "--splits",
        metavar="N",
        help="Splits of each command: a count, or auto. Default: the setting run.splits.",
    ),
    settings_options,
)


@dataclass(frozen=True)
class Request:
    """What config, selection and settings options ask for together."""

    found: list[Found]
    selection: Selection
    splits: Splits | None
    settings: Settings


def find(config: str, runner: str, options: dict[str, Any]) -> list[Found]:
    """Load the config with what `config_options` gave."""
    wanted = Filter(options["methods"], options["ids"], options["prefix"])
    return load_config(config, runner=runner, arguments=gather(options["pairs"]), wanted=wanted)


def request(
    config: str, runner: str, commands: tuple[str, ...], options: dict[str, Any]
) -> Request:
    """Gather what `config_options` and `selection_options` gave."""
    splits = options["splits"]
    return Request(
        found=find(config, runner, options),
        selection=Selection(
            commands=commands,
            first=options["first"],
            last=options["last"],
            rerun=options["rerun"],
            scenes=options["scenes"],
        ),
        splits=None if splits is None else parse_splits(splits),
        settings=load_settings(options["overrides"], profile=options["profile"]),
    )


detach_option = click.option(
    "--detach", is_flag=True, help="Return once it is started; see swath wait, status, cancel."
)


def interruptible_by_signals() -> None:
    """Let SIGTERM end us as Ctrl-C does, also where a shell started us in the background."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)


def root_option(function: F) -> F:
    """Add ``--root``, below which runs are looked for."""
    return click.option(
        "--root",
        help="The root_uri of the experiment, if RUN is an id or latest.",
    )(function)
