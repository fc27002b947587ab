"""docs/deploy.md says what the template has: parameters, settings, permissions, files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def guide() -> str:
    return (PROJECT / "docs" / "deploy.md").read_text(encoding="utf-8")


def keys_of(text: str) -> set[str]:
    return {f"{room}.{name}" for room, values in tomllib.loads(text).items() for name in values}


def rows_below(heading: str, guide: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    part = guide.partition(f"{heading}\n")[2]
    table = re.search(r"(?:^\|.*\|\n)+", part, re.MULTILINE)
    assert table, f"no table below {heading}"
    rows = [line.strip("|").split("|") for line in table[0].splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_parameter_is_explained(guide, template):
    explained = [
        name
        for row in rows_below("## 1. Create the stack", guide)
        for name in re.findall(r"`(\w+)`", row[0])
    ]
    assert sorted(explained) == sorted(template["Parameters"])


def test_defaults_are_those_of_the_template(guide, template):
    for names, default, _ in rows_below("## 1. Create the stack", guide):
        for name, told in zip(re.findall(r"`(\w+)`", names), default.split(", "), strict=False):
            if name not in {"VpcId", "SubnetIds", "ImageTag", "ReadableArns", "CpuInstances"}:
                assert told.strip("`") == str(template["Parameters"][name]["Default"])


def test_settings_shown_are_those_that_the_stack_tells(guide, create_stack):
    (shown,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert keys_of(shown) == keys_of(create_stack().outputs["SwathToml"])


def test_every_action_on_everything_is_listed_with_a_reason(guide, statements):
    rows = rows_below("### Allowed on everything", guide)
    assert all(reason for _, _, reason in rows)
    allowed = {a for s in statements if "*" in s["Resource"] for a in s["Action"]}
    assert sorted(action.strip("`") for action, _, _ in rows) == sorted(allowed)


def test_names_of_the_template_are_spelt_as_there(guide, template, statements):
    known = {statement["Sid"] for statement in statements}
    known |= set(template["Parameters"]) | set(template["Resources"]) | set(template["Outputs"])
    named = set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`|output ([A-Z]\w+)", guide))
    named = {first or second for first, second in named}
    assert named - known == set()
    assert {"StopAndTagJobs", "PassRolesToTasks", "RootUri", "UserPolicy"} <= named


def test_files_that_commands_name_are_there(guide):
    files = set(re.findall(r"\b(?:deploy|examples)/[\w./-]*\w", guide))
    assert {"deploy/aws/template.yaml", "deploy/docker/cpu.Dockerfile"} <= files
    assert [name for name in files if not (PROJECT / name).exists()] == []
