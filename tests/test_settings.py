"""Settings: files < profiles < environment < command line, each with its origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from swath.errors import ConfigError
from swath.settings import KEYS, Settings, load_settings


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
