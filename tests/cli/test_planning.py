"""`ls`, `plan`, `why`, `check`, `diff` and the options that select."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swath.settings import KEYS


def states(answer: Any) -> dict[str, str]:
    """Return the state of every unit that `swath why --json` told."""
    assert answer.exit_code == 0, answer.err
    return {f"{row['command']} {row['unit']}": row["state"] for row in json.loads(answer.out)}


def running(answer: Any) -> list[str]:
    return [unit for unit, state in states(answer).items() if state == "run"]


def test_ls_lists_experiments_with_scenes_and_places(shop: Any, swath_cli: Any) -> None:
    answer = swath_cli("ls", shop.config, "-a", "root_uri", shop.root)
    assert answer.exit_code == 0
    head, copies, single = answer.out.splitlines()
    assert head.split() == ["experiment", "task", "scenes", "root", "declared", "in"]
    assert copies.startswith("copies")
    assert "shop.py:Shop.exp_single" in single
    rows = json.loads(swath_cli("ls", shop.config, "-a", "root_uri", shop.root, "--json").out)
    assert [row["experiment"] for row in rows] == ["copies", "single"]


def test_methods_and_experiments_are_filtered_by_patterns(shop: Any, swath_cli: Any) -> None:
    listed = ["ls", shop.config, "-a", "root_uri", shop.root, "--json"]

    def ids(*more: str) -> list[str]:
        return [row["experiment"] for row in json.loads(swath_cli(*listed, *more).out)]

    assert ids("-m", "*_sin*") == ["single"]
    assert ids("-f", "cop*") == ["copies"]
    assert ids("--prefix", "exp_c") == ["copies"]


def test_plan_shows_counts_reasons_and_estimate_and_writes_nothing(
    shop: Any, swath_cli: Any
) -> None:
    answer = swath_cli("plan", *shop.arguments("--splits", "2"))
    assert answer.exit_code == 0
    head, copy, together, estimate = answer.out.splitlines()
    assert head.split("  ")[0] == "command"
    assert copy.split() == ["copy", "2", "2", "2", "2", "never", "ran", "copies"]
    assert together.split() == ["together", "1", "1", "1", "never", "ran", "copies"]
    assert estimate.startswith("3 units to run")
    assert not shop.root.exists()


def test_plan_as_json_holds_nodes_and_splits(shop: Any, swath_cli: Any) -> None:
    plan = json.loads(swath_cli("plan", *shop.arguments("--splits", "2", "--json")).out)
    assert [node["kind"] for node in plan["nodes"]] == ["copy", "together"]
    assert plan["nodes"][0]["units"][0]["reason"] == {"cause": "never ran", "detail": ""}
    assert [len(split["upstream"]) for split in plan["splits"]] == [0, 0, 2]


def test_plan_is_drawn_for_graphviz_and_mermaid(shop: Any, swath_cli: Any) -> None:
    dot = swath_cli("plan", *shop.arguments("--dot")).out
    assert dot.startswith("digraph")
    assert "->" in dot
    assert dot.endswith("}\n")
    mermaid = swath_cli("plan", *shop.arguments("--mermaid")).out
    assert mermaid.startswith(("flowchart", "graph"))
    assert "-->" in mermaid


def test_dry_run_shows_the_plan_on_stdout_and_runs_nothing(shop: Any) -> None:
    answer = shop.run("--dry-run")
    assert answer.exit_code == 0
    assert "3 units to run" in answer.out
    assert not (shop.root / "runs").exists()


def test_commands_select_in_any_case_and_order(shop: Any, swath_cli: Any) -> None:
    assert running(swath_cli("why", *shop.arguments("TOGETHER", "Copy", "--json"))) == [
        "copy one",
        "copy two",
        "together all",
    ]
    told = states(swath_cli("why", *shop.arguments("copy", "--json")))
    assert told == {"copy one": "run", "copy two": "run"}


def test_from_and_until_bound_what_runs(shop: Any, swath_cli: Any) -> None:
    def runs(*more: str) -> list[str]:
        return running(swath_cli("why", *shop.arguments("--json", *more)))

    assert runs("--until", "copy") == ["copy one", "copy two"]
    assert shop.run().exit_code == 0
    assert runs("--rerun", "--from", "together") == ["together all"]
    answer = swath_cli("plan", *shop.arguments("--from", "together", "--until", "copy"))
    assert answer.exit_code == 2
    assert "--from and --until" in answer.err


def test_command_whose_upstream_was_not_selected_is_refused(shop: Any, swath_cli: Any) -> None:
    answer = swath_cli("plan", *shop.arguments("together"))
    assert answer.exit_code == 2
    assert "mend:  Select 'copy' too." in answer.err


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--rerun",), ["copy one", "copy two", "together all"]),
        (("--rerun", "together"), ["together all"]),
        (("--rerun", "copy"), ["copy one", "copy two", "together all"]),
        (("--rerun", "--splits", "2"), ["copy one", "copy two", "together all"]),
        (("--splits", "2"), []),
    ],
)
def test_rerun_takes_a_kind_or_everything(
    more: tuple[str, ...], expected: list[str], shop: Any, swath_cli: Any
) -> None:
    assert shop.run().exit_code == 0
    assert running(swath_cli("why", *shop.arguments("--json", *more))) == expected


def test_bare_rerun_swallows_neither_runner_nor_config(shop: Any, swath_cli: Any) -> None:
    assert shop.run().exit_code == 0
    for words in (["--rerun", "inprocess"], ["inprocess", "--rerun"]):
        answer = swath_cli("run", *words, *shop.arguments("--dry-run"))
        assert answer.exit_code == 0, answer.err
        assert "2 forced" in answer.out


def test_why_tells_of_every_unit(shop: Any, swath_cli: Any) -> None:
    assert shop.run().exit_code == 0
    shop.text("two", "another\n")
    answer = swath_cli("why", *shop.arguments())
    head, one, two, together = answer.out.splitlines()
    assert head.split() == ["command", "unit", "state", "reason"]
    assert one.endswith("  up to date")
    assert f"input changed: text {shop.folder / 'two.txt'}" in two
    assert "upstream will run: copy two" in together


def test_diff_tells_what_two_runs_planned_differently(shop: Any, swath_cli: Any) -> None:
    assert shop.run().exit_code == 0
    shop.text("three", "third\n")
    assert shop.run("-a", "number", "2").exit_code == 0
    first, second = sorted((shop.root / "runs").iterdir(), key=lambda run: run.stat().st_ctime)
    lines = json.loads(swath_cli("diff", first, second, "--json").out)
    assert "  copy (copies): number 1 -> 2" in lines
    assert "  copy (copies): unit three added" in lines
    assert swath_cli("diff", first, first).out == "The two runs planned the same.\n"
    by_id = swath_cli("diff", first.name, second.name, "--root", shop.root)
    assert by_id.out.splitlines() == lines


def test_check_of_a_pipeline_tries_its_root(shop: Any, swath_cli: Any) -> None:
    answer = swath_cli("check", *shop.arguments())
    assert (answer.exit_code, answer.err) == (0, "")
    assert answer.out == "experiment 'copies': 0 scenes checked, no problem found.\n"
    shop.root.rmdir()
    shop.root.write_text("in the way")
    assert swath_cli("check", *shop.arguments()).exit_code == 2


def test_config_shows_every_setting_with_its_origin(
    swath_cli: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "swath").mkdir(parents=True)
    (tmp_path / "home" / "swath" / "settings.toml").write_text("[local]\njobs = 3\n")
    (tmp_path / "swath.toml").write_text('[profiles.big.run]\nsplits = "8"\n')
    monkeypatch.setenv("SWATH_LOCAL_MAKE", "gmake")
    more = ("--profile", "big", "--set", "run.threads=2")
    rows = json.loads(swath_cli("config", "--json", *more).out)
    defaults = {key.name: (str(key.default or ""), "default") for key in KEYS.values()}
    assert {row["setting"]: (row["value"], row["set by"]) for row in rows} == defaults | {
        "run.splits": ("8", f"{tmp_path / 'swath.toml'} [profiles.big]"),
        "run.threads": ("2", "command line"),
        "local.jobs": ("3", str(tmp_path / "home" / "swath" / "settings.toml")),
        "local.make": ("gmake", "SWATH_LOCAL_MAKE"),
    }
    assert swath_cli("config", *more).out.splitlines()[0].split() == [
        "setting",
        "value",
        "set",
        "by",
        "meaning",
    ]
