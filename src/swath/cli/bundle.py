"""``swath bundle``: test or show a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import click

from swath.cli.options import json_option, verbose_option


@click.group("bundle")
def command() -> None:
    """Test or show a bundle: a trained model with everything that is needed to use it."""


@command.command("test")
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
@verbose_option
def test(bundle: Path, as_json: bool, verbose: bool) -> int:
    """Compute the output of BUNDLE's golden chip here, and compare it with the expected one."""
    from dataclasses import asdict

    from swath.learn.bundle.read import TOLERANCE, check_bundle

    report = check_bundle(bundle)
    if as_json:
        click.echo(json.dumps({**asdict(report), "is_proven": report.is_proven}, indent=1))
        return 0 if report.is_proven else 1
    click.echo(f"model {report.name}")
    click.echo(f"torch: probabilities within {report.torch_difference:.2g} of the expected ones")
    if report.onnx_difference is None:
        click.echo("ONNX:  not tried; install onnxruntime to do so")
    else:
        click.echo(f"ONNX:  probabilities within {report.onnx_difference:.2g}")
    click.echo(f"labels: {report.label_agreement:.2%} of the pixels agree")
    verdict = "proven" if report.is_proven else f"NOT proven: differs by more than {TOLERANCE}"
    click.echo(f"The bundle is {verdict} on this machine.")
    return 0 if report.is_proven else 1


@command.command("show")
@click.argument("bundle", type=click.Path(path_type=Path))
@verbose_option
def show(bundle: Path, verbose: bool) -> None:
    """Print the description of BUNDLE as JSON."""
    from swath.learn.bundle.read import open_bundle

    with open_bundle(bundle) as opened:
        click.echo(json.dumps(opened.about, indent=1))
