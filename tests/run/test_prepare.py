"""What is refused before a run, and what the folder of a run and of an experiment hold."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from swath.errors import ConfigError, Problems
from swath.experiment.session import refuse_plan
from swath.plan.command import Command, Pipeline, Unit
from swath.plan.plan import make_plan
from swath.run.assignment import Assignment
from swath.run.prepare import threads_of_splits, write_run
from swath.run.refuse import out_of_reach, refuse_full_disk, refuse_run, refuse_unwritable
from swath.run.runner import Abilities, Finding, Severity, make_runner, runner_names
from swath.settings import load_settings
from swath.store import open_store


def test_root_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    pipeline = Pipeline("one", str(tmp_path / "file" / "root"), ())
    with pytest.raises(ConfigError, match="cannot be written to") as caught:
        refuse_unwritable([pipeline])
    assert caught.value.exit_code == 2
    assert "may write to" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_root_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        refuse_unwritable([Pipeline("one", str(tmp_path / "root"), ())])


def test_root_on_a_store_without_credentials_is_refused_with_what_to_do(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigError, match="s3://bucket: no AWS credentials") as caught:
        refuse_unwritable([Pipeline("one", "s3://bucket/root", ())])
    assert "Log in" in str(caught.value)


def test_root_on_a_store_is_tried_and_left_as_it_was(s3_bucket):
    refuse_unwritable([Pipeline("one", f"s3://{s3_bucket}/root", ())])
    assert list(open_store(f"s3://{s3_bucket}").list(f"s3://{s3_bucket}/root")) == []
    with pytest.raises(ConfigError, match="'s3://no-such-bucket/root' cannot be written to"):
        refuse_unwritable([Pipeline("one", "s3://no-such-bucket/root", ())])


def test_disk_too_small_for_the_estimate_is_refused(lab):
    huge = lab.command("copy", [Unit("a", {}, {"text": "t"}, output_bytes=2**62)])
    Path(lab.root).mkdir()
    with pytest.raises(ConfigError, match=r"outputs take about 4398046511104 MiB.*free") as caught:
        refuse_full_disk(lab.plan(lab.pipeline(huge)))
    assert "Free some space" in str(caught.value)


class Elsewhere:
    """A runner of which only what it can do and what it finds is asked."""

    def __init__(self, findings=(), **abilities):
        self.abilities = Abilities(**abilities)
        self._findings = findings

    def findings(self, splits):
        for finding in self._findings:
            if isinstance(finding, Exception):
                raise finding
            yield finding


def test_local_files_and_all_that_the_runner_finds_are_refused_at_once(lab):
    made = lab.plan(lab.pipeline(lab.copies("ab")))
    missing = ConfigError("the setting cloud.queue is missing.", mend="Set it.")
    old = Finding(Severity.WARNING, "that is old.")
    found = [Finding(Severity.ERROR, "no credentials.", "Log in."), old, missing]
    runner = Elsewhere(found, sees_local_files=False)
    with pytest.raises(Problems) as caught:
        refuse_run(made, "cloud", runner, ())
    local, *others = caught.value.errors
    assert local.what.splitlines() == [
        "the runner 'cloud' works on other machines, which cannot reach:",
        f"  {lab.root}: root_uri",
        f"  {lab.kinds}: code of the kind copy",
        f"  {lab.folder}/a.txt: copy a, input text",
        f"  {lab.folder}/b.txt: copy b, input text",
    ]
    assert [str(error) for error in others] == ["no credentials. Log in.", str(missing)]
    assert refuse_run(made, "here", Elsewhere([old]), ()) == [old]
    with pytest.raises(ConfigError, match=r"cloud\.queue is missing"):
        refuse_run(made, "here", Elsewhere([old, missing]), ())


def test_place_that_many_name_is_listed_once_and_long_lists_are_cut(tmp_path):
    shared = tmp_path / "labels.tif"
    units = tuple(
        Unit(f"u{n:02}", {"labels": str(shared), "image": str(tmp_path / f"{n:02}.tif")})
        for n in range(25)
    )
    for place in {uri for unit in units for uri in unit.inputs.values()}:
        Path(place).touch()
    command = Command("k", "swath.testing.diamond:source", "memory://b/root", units)
    plan = make_plan([Pipeline("p", "memory://b/root", (command,))])
    abilities = Abilities(sees_local_files=False, is_in_client=True)
    (error,) = out_of_reach(plan, abilities, "cloud")
    _, first, *lines = error.what.splitlines()
    names = "; ".join(f"k u0{n}, input labels" for n in range(3))
    assert first == f"  {shared}: {names}; ... and 22 more"
    assert lines[0] == f"  {tmp_path}/00.tif: k u00, input image"
    assert len(lines) == 20
    assert lines[-1] == "  ... and 6 more"


def test_memory_of_this_process_is_refused_to_runners_of_other_processes():
    command = Command("k", "swath.testing.diamond:source", "memory://b/root", (Unit("a"),))
    plan = make_plan([Pipeline("p", "memory://b/root", (command,))])
    with pytest.raises(ConfigError, match=r"'local' works in other processes") as caught:
        refuse_run(plan, "local", Elsewhere(), ())
    assert "\n  memory://b/root: root_uri" in str(caught.value)
    assert "run it with inprocess" in str(caught.value)
    assert refuse_run(plan, "inprocess", Elsewhere(is_in_client=True), ()) == []


def test_runner_that_is_misspelt_is_an_error():
    assert runner_names()[:2] == ["inprocess", "local"]
    with pytest.raises(ConfigError, match=r"no runner 'locla'.*Did you mean 'local'"):
        make_runner("locla", load_settings(environment={}))


def test_run_keeps_plan_declaration_and_pointer(lab):
    pipeline = lab.pipeline(lab.copies("a"))
    result = lab.run(pipeline)
    plan = result.folder.read_plan()
    assert plan["run"] == result.folder.id
    assert plan["nodes"][0]["units"][0]["reason"] == {"cause": "never ran", "detail": ""}
    place = Path(lab.root, "experiments", "one")
    assert json.loads((place / "latest.json").read_text())["run"] == result.folder.id
    stored = json.loads((place / "experiment.json").read_text())
    assert Pipeline.from_json(stored["pipeline"]).to_json() == pipeline.to_json()
    assert {"swath", "schema", "versions"} <= stored.keys()
    outputs = json.loads((place / "outputs.json").read_text())
    assert Path(outputs["copy.txt"]).read_text() == "a"
    assert (place / "copy.txt").is_symlink()
    assert (place / "copy.txt").read_text() == "a"


def test_links_to_results_follow_the_parameters(lab):
    for suffix in ("1", "2", "1"):
        lab.run(lab.pipeline(lab.copies("a", params={"suffix": suffix})))
        assert Path(lab.root, "experiments", "one", "copy.txt").read_text() == f"a{suffix}"


def test_links_still_hold_in_a_root_that_was_moved(lab):
    lab.run(lab.pipeline(lab.copies("a")))
    moved = Path(lab.root).rename(lab.folder / "moved")
    assert (moved / "experiments" / "one" / "copy.txt").read_text() == "a"


def test_reasons_are_told_from_the_last_run_on_disk(lab):
    lab.run(lab.pipeline(lab.copies("a", params={"suffix": "1"})))
    plan = lab.plan(lab.pipeline(lab.copies("a", params={"suffix": "2"})))
    assert lab.reasons(plan) == {"copy a": "parameter changed: suffix '1' -> '2'"}


def test_hazard_pinned_result_is_made_again_when_parameters_change_and_change_back(lab):
    place = str(lab.folder / "out" / "map.txt")
    source = lab.source("a.txt", "a")

    def pipeline(suffix: str) -> Pipeline:
        units = [Unit("a", {"text": source}, {"text": place})]
        return lab.pipeline(lab.command("copy", units, params={"suffix": suffix}))

    for suffix in ("1", "2", "1", "1", "2"):
        lab.run(pipeline(suffix))
        assert Path(place).read_text() == f"a{suffix}"
    assert lab.ran == {"a": 4}


def test_pinned_output_never_takes_the_place_of_a_folder(lab):
    precious = lab.folder / "data"
    precious.mkdir()
    (precious / "image.tif").write_text("pixels")
    units = [Unit("a", {"text": lab.source("a.txt", "a")}, {"text": str(precious)})]
    assert not lab.run(lab.pipeline(lab.command("copy", units))).succeeded
    assert (precious / "image.tif").read_text() == "pixels"


@pytest.mark.parametrize(
    ("jobs", "limit", "expected"),
    [(8, None, [4, 4, 8]), (1, None, [8, 8, 8]), (8, 3, [3, 3, 3]), (99, 1, [1, 1, 1])],
)
def test_splits_that_run_side_by_side_share_the_cores(jobs, limit, expected):
    units = (Unit("a", {}, {"o": "o"}), Unit("b", {}, {"o": "o"}))
    first = Command("first", "m:f", "/nowhere", units)
    last = Command("last", "m:g", "/nowhere", (Unit("c", {"i": first.refs("o")}, {"o": "o"}),))
    plan = make_plan([Pipeline("one", "/nowhere", (first, last))], splits=2)
    assert threads_of_splits(plan, jobs=jobs, n_cores=8, limit=limit) == expected


def test_worker_gets_the_resources_that_the_user_gave_to_its_kind(lab):
    settings = load_settings(["commands.copy.gpus=2", "commands.copy.cpus=3"])
    pipeline = lab.pipeline(lab.copies("a"))
    plan = make_plan([pipeline])
    folder = write_run(
        plan, runner="inprocess", settings=settings, keep_going=False, abilities=Abilities()
    )
    (split,) = plan.splits
    text = folder.store.read(folder.assignment_uri(split.key))
    given = Assignment.from_json(text, "here").resources
    assert (given.gpus, given.cpus) == (2, 3)


def test_worker_gets_what_the_stores_take_from_settings_and_a_profile_only_at_home(lab):
    overrides = ["store.patience_s=300", "aws.region=eu-west-1", "aws.profile=me"]
    settings = load_settings(overrides)
    plan = make_plan([lab.pipeline(lab.copies("a"))])
    found = []
    for sees_local_files in (True, False):
        abilities = Abilities(sees_local_files=sees_local_files)
        folder = write_run(
            plan, runner="inprocess", settings=settings, keep_going=False, abilities=abilities
        )
        text = folder.store.read(folder.assignment_uri(plan.splits[0].key))
        found.append(dict(Assignment.from_json(text, "here").environment))
    away = {"SWATH_STORE_PATIENCE_S": "300", "SWATH_AWS_REGION": "eu-west-1"}
    assert found == [away | {"SWATH_AWS_PROFILE": "me"}, away]


def test_output_pinned_to_a_local_path_is_refused_for_workers_elsewhere(lab, tmp_path):
    unit = Unit("a", outputs={"map": str(tmp_path / "map.tif")})
    command = Command("k", "swath.testing.diamond:source", "memory://bucket/root", (unit,))
    plan = make_plan([Pipeline("p", "memory://bucket/root", (command,))])
    (error,) = out_of_reach(plan, Abilities(sees_local_files=False, is_in_client=True), "batch")
    assert f"\n  {tmp_path}/map.tif: k a, output map" in error.what


def test_settings_of_a_kind_that_nobody_has_are_warned_of(lab):
    made = lab.plan(lab.pipeline(lab.copies("a")))
    words = ["commands.cpoy.cpus=2", "commands.zzz.gpus=1", "commands.copy.cpus=2"]
    settings = load_settings([*words, "commands.train.gpus=1"], environment={})
    found = refuse_plan(made, "inprocess", settings)
    none = "is set (command line), and this plan has no command of the kind"
    assert [(item.what, item.mend) for item in found] == [
        (f"commands.cpoy.cpus {none} 'cpoy'.", "Did you mean 'copy'?"),
        (f"commands.zzz.gpus {none} 'zzz'.", "It has: copy."),
    ]
    assert {item.severity for item in found} == {Severity.WARNING}
