"""The group of all sub-commands: each is loaded when it is used, and errors become messages.

Exit codes: 0 done, 1 a command failed, 2 wrong usage or declaration, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from difflib import get_close_matches

import click

import swath
from swath.errors import InterruptedRunError, Problems, SwathError

COMMANDS = {
    "run": "run experiments with a runner",
    "plan": "show what would run, in which order, and why",
    "why": "tell of every unit why it runs or does not",
    "check": "check imagery, labels and settings before anything is spent",
    "ls": "list the experiments of a config",
    "status": "show the state of a run",
    "logs": "show the logs of a run",
    "wait": "follow a run to its end",
    "cancel": "stop a run",
    "retry": "run again what of a run failed",
    "diff": "compare what two runs planned",
    "predict": "apply a bundle to images",
    "segment": "segment imagery of any size",
    "segment-stats": "take statistics of imagery over segments",
    "segment-subset": "cut segments of a window or of polygons out, numbered anew",
    "bundle": "test or show a bundle",
    "doctor": "check what a runner needs, and say what to mend",
    "config": "show settings and where they come from",
    "run-command": "do one split of a run (used by runners)",
}
"""Name to one line of help; the module has the same name."""


class LazyGroup(click.Group):
    """A group that imports the module of a sub-command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all sub-commands, in the documented order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a sub-command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"swath.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the sub-command, or name the nearest one."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"there is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of sub-commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(swath.__version__, prog_name="swath")
def app() -> None:
    """Turn imagery into maps: experiments as graphs of commands, here or on a cluster."""


def run_app(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments
        Default: those of this process.

    Returns
    -------
    int
        The exit code.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    verbose = "-v" in arguments or "--verbose" in arguments
    try:
        result = app.main(args=arguments, prog_name="swath", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return InterruptedRunError.exit_code
    except SwathError as error:
        if verbose:
            traceback.print_exc()
        click.echo(message_of(error), err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    return result if isinstance(result, int) else 0


def message_of(error: SwathError) -> str:
    """Lay an error out for a terminal: what, where, and how to mend it."""
    if isinstance(error, Problems):
        parts = [message_of(item) for item in error.errors]
        return "\n".join([*parts, f"{len(parts)} problems found; nothing was run."])
    lines = [f"error: {error.what}"]
    if error.where:
        lines.append(f"  where: {error.where}")
    if error.mend:
        lines.append(f"  mend:  {error.mend}")
    return "\n".join(lines)
