"""The Dockerfiles: linted, pinned, not run as root, and built from nothing but what they need."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOCKERFILES = sorted((PROJECT / "deploy" / "docker").glob("*.Dockerfile"))

pytestmark = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return instructions and what follows them, lines joined and comments gone."""
    lines = [s for s in path.read_text(encoding="utf-8").splitlines() if not s.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, rest) for name, rest in pairs]


def test_hadolint_has_nothing_to_say(path):
    told = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_base_image_is_pinned_to_a_supported_python(path):
    bases = {rest.split()[0] for name, rest in instructions(path) if name == "FROM"} - {"build"}
    assert bases == {"python:3.11-slim-bookworm"}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"


def test_uv_is_the_one_of_the_makefile(path):
    pinned = re.search(r"uv==([\d.]+)", (PROJECT / "Makefile").read_text())
    assert pinned
    assert f"uv=={pinned[1]}" in path.read_text()


def test_extras_for_every_runner_are_installed(path):
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = set(re.findall(r"--extra (\w+)", path.read_text()))
    assert extras == {"learn", "aws", "dask"}
    assert extras <= set(project["optional-dependencies"])


def test_workers_are_not_root(path):
    assert [rest for name, rest in instructions(path) if name == "USER"] == ["10001"]


def test_image_starts_nothing_of_its_own(path):
    names = [name for name, _ in instructions(path)]
    assert "ENTRYPOINT" not in names
    assert instructions(path)[-1] == ("CMD", '["swath", "--help"]')


def test_version_inside_is_the_version_told(path):
    """The build fails where the installed Swath says another version than the label will."""
    text = path.read_text()
    assert '"$inside" != "swath, version ${SWATH_VERSION:?' in text
    assert ("ENV", "SWATH_VERSION=$SWATH_VERSION") in instructions(path)
    assert 'org.opencontainers.image.version="$SWATH_VERSION"' in text


def test_build_context_holds_what_is_copied_and_nothing_else(path):
    rules = (PROJECT / ".dockerignore").read_text().splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for name, rest in instructions(path)
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == let_in
    assert all((PROJECT / source).exists() for source in copied)
