"""``swath doctor``: check what a runner needs before anything is spent."""

from __future__ import annotations

import json

import click

from swath.cli.options import json_option, settings_options, verbose_option
from swath.run.runner import Severity, make_runner
from swath.settings import load_settings

_MARKS = {Severity.FINE: "ok", Severity.WARNING: "warning", Severity.ERROR: "ERROR"}


@click.command("doctor")
@click.argument("runner")
@settings_options
@json_option
@verbose_option
def command(
    runner: str, overrides: tuple[str, ...], profile: str | None, as_json: bool, verbose: bool
) -> int:
    """Check what RUNNER needs: settings, credentials, queues, roles, images, versions.

    The exit code is 1 if anything has to be mended.
    """
    settings = load_settings(overrides, profile=profile)
    settings.make_known()
    findings = list(make_runner(runner, settings).findings(()))
    if as_json:
        told = [{"severity": f.severity, "what": f.what, "mend": f.mend} for f in findings]
        click.echo(json.dumps(told, indent=1))
    else:
        if not findings:
            click.echo(f"the runner {runner} has nothing to check.")
        for finding in findings:
            click.echo(f"{_MARKS[finding.severity]:>7}  {finding.what}")
            if finding.mend:
                click.echo(f"         mend: {finding.mend}")
    return int(any(finding.severity is Severity.ERROR for finding in findings))
