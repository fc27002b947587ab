"""Settings: files < profiles < environment < command line, each with its origin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swath.errors import ConfigError
from swath.plan.command import Resources
from swath.run.splits import resources_of
from swath.settings import (
    COMMAND_KEYS,
    KEYS,
    Settings,
    key_of,
    load_settings,
    saved_settings,
)


@pytest.fixture
def load(tmp_path: Path):
    """Load settings with a user file and a project file of these texts."""

    def load(user: str = "", project: str = "", *overrides: str, profile=None, **env) -> Settings:
        (tmp_path / "user" / "swath").mkdir(parents=True, exist_ok=True)
        (tmp_path / "user" / "swath" / "settings.toml").write_text(user)
        (tmp_path / "swath.toml").write_text(project)
        environment = {"XDG_CONFIG_HOME": str(tmp_path / "user")} | env
        return load_settings(overrides, profile=profile, environment=environment, folder=tmp_path)

    return load


def origin(settings: Settings, name: str) -> str:
    (found,) = [value.origin for key, value in settings.rows() if key.name == name]
    return found


def test_defaults_are_told_as_such(load):
    settings = load()
    assert settings["run.splits"] == "auto"
    assert settings.count("local.jobs", 7) == 7
    assert {value.origin for _, value in settings.rows()} == {"default"}


def test_later_places_win_and_are_named(load, tmp_path):
    user = "[local]\njobs = 1\n[profiles.big.local]\njobs = 3\n"
    project = "local.jobs = 2\n"
    steps = [
        (load(user), 1, "settings.toml"),
        (load(user, project), 2, "swath.toml"),
        (load(user, project, profile="big"), 3, "settings.toml [profiles.big]"),
        (load(user, project, SWATH_PROFILE="big"), 3, "[profiles.big]"),
        (load(user, project, profile="big", SWATH_LOCAL_JOBS="4"), 4, "SWATH_LOCAL_JOBS"),
        (load(user, project, "local.jobs=5", SWATH_LOCAL_JOBS="4"), 5, "command line"),
    ]
    for settings, value, place in steps:
        assert settings["local.jobs"] == value
        assert origin(settings, "local.jobs").endswith(place)


def test_profile_of_the_project_wins_over_that_of_the_user(load):
    profile = "[profiles.big.local]\njobs = {}\n"
    assert load(profile.format(3), profile.format(4), profile="big")["local.jobs"] == 4


@pytest.mark.parametrize("value", ['"many"', "0", "-1", "2.5", "true", "[]"])
def test_count_that_is_none_is_refused_with_its_place(load, value):
    with pytest.raises(ConfigError, match=r"swath\.toml: local\.jobs is .*positive integer"):
        load("", f"[local]\njobs = {value}")


def test_unknown_setting_is_refused_with_the_nearest(load):
    with pytest.raises(ConfigError, match=r"no setting 'local\.job'.*Did you mean 'local\.jobs'"):
        load("", "[local]\njob = 1")
    with pytest.raises(ConfigError, match=r"command line.*no setting 'xyz'.*Known are"):
        load("", "", "xyz=1")


def test_override_without_a_value_is_refused(load):
    with pytest.raises(ConfigError, match="Write --set name=value"):
        load("", "", "local.jobs")


def test_unknown_profile_is_refused_with_the_files(load):
    with pytest.raises(ConfigError, match=r"no profile 'huge'.*\[profiles\.huge\]"):
        load(profile="huge")


@pytest.mark.parametrize("text", ["profiles = 1", "[profiles]\nbig = 1"])
def test_profile_that_is_no_table_is_refused(load, text):
    with pytest.raises(ConfigError, match="profile"):
        load(text, profile="big")


def test_file_that_is_no_toml_is_refused_with_its_name(load):
    with pytest.raises(ConfigError, match=r"swath\.toml: it is no valid TOML"):
        load("", "[local")


def test_every_setting_has_a_variable_and_a_help():
    for key in KEYS.values():
        assert key.variable == "SWATH_" + key.name.upper().replace(".", "_")
        assert key.help


# ------------------------------------------------------------------ kinds of commands, choices


def test_kind_of_command_has_settings_of_its_own_from_every_place(load):
    project = "[commands.train]\nmemory_gib = 32\ngpus = 1\n[commands.chip]\ncpus = 2\n"
    settings = load(
        "commands.train.cpus = 1",
        project,
        "commands.train.gpus=2",
        SWATH_COMMANDS_TRAIN_TIME_LIMIT_S="600",
        SWATH_COMMANDS_MY_KIND_QUEUE="slow",
    )
    assert settings.of_command("train") == {
        "cpus": 1,
        "memory_gib": 32,
        "gpus": 2,
        "time_limit_s": 600,
    }
    assert settings.of_command("chip") == {"cpus": 2}
    assert settings.of_command("my_kind") == {"queue": "slow"}
    assert settings.of_command("trai") == {}
    assert origin(settings, "commands.train.gpus") == "command line"
    assert origin(settings, "commands.train.time_limit_s") == "SWATH_COMMANDS_TRAIN_TIME_LIMIT_S"


def test_every_setting_of_a_kind_has_a_key_with_a_meaning():
    for what, (kind, _) in COMMAND_KEYS.items():
        key = key_of(f"commands.train.{what}")
        assert key.kind is kind
        assert key.help.endswith("of each split of train")
        assert key.variable == f"SWATH_COMMANDS_TRAIN_{what.upper()}"


@pytest.mark.parametrize("name", ["commands.train.speed", "commands.cpus", "commands.no-kind.cpus"])
def test_unknown_setting_of_a_kind_is_refused(load, name):
    with pytest.raises(ConfigError, match=f"there is no setting '{name}'"):
        load("", "", f"{name}=1")


def test_setting_of_a_kind_overrides_what_the_command_declares(load):
    declared = Resources(memory_gib=4.0, cpus=2, gpus=1, time_limit_s=60)
    settings = load("", "[commands.train]\nmemory_gib = 32\n")
    assert resources_of("train", declared, settings) == replace(declared, memory_gib=32.0)
    assert resources_of("chip", declared, settings) == declared
    none = load("", "", "commands.train.gpus=0", "commands.train.cpus=8")
    assert resources_of("train", declared, none) == replace(declared, gpus=0, cpus=8)
    limit = load("", "", "commands.train.time_limit_s=9")
    assert resources_of("train", declared, limit) == replace(declared, time_limit_s=9)
    assert resources_of("train", declared, load("", "", "run.device=cpu")).gpus == 0


def test_some_counts_may_be_zero(load):
    settings = load("", "[run]\nmemory_retries = 0\nreclaim_retries = 0\n")
    assert (settings["run.memory_retries"], settings["run.reclaim_retries"]) == (0, 0)
    with pytest.raises(ConfigError, match=r"run\.memory_retries is '-1'.*0 or more"):
        load("", "", "run.memory_retries=-1")


def test_choice_that_is_none_is_refused_with_the_allowed_ones(load):
    assert load("", "[store]\nanonymous = true\n").is_on("store.anonymous")
    assert not load("", "", "store.anonymous=no").is_on("store.anonymous")
    with pytest.raises(ConfigError, match=r"store\.anonymous is 'maybe'.*Give yes or no"):
        load("", "", "store.anonymous=maybe")


def test_required_setting_that_is_missing_is_told_with_every_way_to_set_it(load):
    assert load("", "", "slurm.account=me").required("slurm.account", "to charge it") == "me"
    with pytest.raises(ConfigError, match=r"slurm\.account is missing; it is needed") as caught:
        load().required("slurm.account", "to charge it")
    assert "SWATH_SLURM_ACCOUNT, or with --set slurm.account=" in str(caught.value)


def test_what_somebody_set_is_saved_for_later_clients_and_for_workers(load):
    settings = load("", "", "local.jobs=3", "commands.train.gpus=0", "store.patience_s=5")
    saved = settings.saved()
    assert saved == {"local.jobs": 3, "commands.train.gpus": 0, "store.patience_s": 5}
    again = saved_settings(saved)
    assert again.saved() == saved
    assert origin(again, "local.jobs") == "the run"
    assert again["run.splits"] == "auto"
    assert settings.variables("store.", "run.scratch") == {"SWATH_STORE_PATIENCE_S": "5"}
