"""The group of sub-commands: help, errors as messages, exit codes."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from swath.cli.app import COMMANDS, message_of
from swath.errors import ConfigError, Problems


def test_help_lists_every_sub_command_in_one_line_each(swath_cli: Any) -> None:
    answer = swath_cli("--help")
    assert answer.exit_code == 0
    for name, told in COMMANDS.items():
        assert f"  {name} " in answer.out
        assert told.split()[0] in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_sub_command_has_help_that_describes_each_option(name: str, swath_cli: Any) -> None:
    answer = swath_cli(name, "--help")
    assert answer.exit_code == 0
    module = importlib.import_module(f"swath.cli.{name.replace('-', '_')}")
    for option in module.command.params:
        if option.param_type_name == "option":
            assert option.help, option.name


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"bundle"}))
def test_every_sub_command_shows_tracebacks_if_asked(name: str, swath_cli: Any) -> None:
    assert "--verbose" in swath_cli(name, "--help").out


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"bundle", "run-command"}))
def test_every_sub_command_that_answers_has_json(name: str, swath_cli: Any) -> None:
    assert "--json" in swath_cli(name, "--help").out


def test_version_is_told(swath_cli: Any) -> None:
    assert "swath" in swath_cli("--version").out


def test_message_has_what_where_and_mend_on_lines_of_their_own() -> None:
    error = ConfigError("it is wrong.", where="here", mend="Do that.")
    assert message_of(error) == "error: it is wrong.\n  where: here\n  mend:  Do that."
    both = message_of(Problems([error, ConfigError("so is this.")]))
    assert both.endswith("error: so is this.\n2 problems found; nothing was run.")


def test_traceback_of_our_errors_only_if_verbose(swath_cli: Any) -> None:
    assert "Traceback" not in swath_cli("ls", "no-such.py").err
    told = swath_cli("ls", "no-such.py", "-v").err
    assert "Traceback" in told
    assert told.rstrip().endswith("mend:  Check the path.")


def test_error_in_the_user_s_own_code_keeps_its_traceback(swath_cli: Any, tmp_path: Any) -> None:
    config = tmp_path / "own.py"
    config.write_text("def get_config(runner):\n    return 1 / 0\n")
    answer = swath_cli("ls", config)
    assert answer.exit_code == 2
    assert "ZeroDivisionError: division by zero" in answer.err
    assert "own.py, line 2" in answer.err
    assert "Traceback" not in answer.err
    assert "return 1 / 0" in swath_cli("ls", config, "-v").err


def test_misspelt_sub_command_names_the_nearest(swath_cli: Any) -> None:
    answer = swath_cli("plna")
    assert answer.exit_code == 2
    assert "Did you mean 'plan'?" in answer.err
