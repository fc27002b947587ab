"""Configs: files, modules, folders, JSON; what is found, filtered and refused."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from swath.errors import ConfigError, Problems
from swath.experiment.arguments import gather
from swath.experiment.config import Filter, load_config

HEAD = """
from swath import Pipeline, command

@command(outputs={"text": "t.txt"})
def write(work):
    work.output("text").write_text(work.params["text"])

def one(id, text="x"):
    return Pipeline(id, "/root", (write.once("/root", {}, text=text),))

"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a config file of this name and code."""
    monkeypatch.chdir(tmp_path)

    def config(code: str, name: str = "config.py", head: str = HEAD) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + textwrap.dedent(code))
        return str(path)

    return config


def ids(config: str, *pairs: tuple[str, str], **wanted) -> list[str]:
    found = load_config(config, runner="local", arguments=gather(pairs), wanted=Filter(**wanted))
    return [item.id for item in found]


SETS = """
from swath import ExperimentSet

class Base(ExperimentSet):
    def exp_b(self):
        return one("base")

class Sets(Base):
    def exp_a(self, n: int = 1):
        return [one(f"a{i}") for i in range(n)]
    def trial_c(self):
        return one("trial")
    def other(self):
        raise AssertionError("it is no experiment")
"""


def test_get_config_gives_one_or_several(config):
    assert ids(config("def get_config(runner): return one(runner)")) == ["local"]
    assert ids(config("def get_configs(runner): return [one('a'), one('b')]", "b.py")) == ["a", "b"]
    assert ids(config("def get_config(): return (one(x) for x in 'ab')", "c.py")) == ["a", "b"]


def test_methods_of_experiment_sets_are_found_once_each(config):
    path = config(SETS)
    assert ids(path, ("n", "2")) == ["base", "a0", "a1"]
    assert ids(path, prefix="trial_") == ["trial"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"methods": ("exp_a",)}, ["a0", "a1", "a2"]),
        ({"methods": ("exp_*",)}, ["base", "a0", "a1", "a2"]),
        ({"ids": ("a?",)}, ["a0", "a1", "a2"]),
        ({"ids": ("a0", "b*")}, ["base", "a0"]),
        ({"methods": ("exp_a",), "ids": ("*1",)}, ["a1"]),
    ],
)
def test_filters_are_patterns_of_methods_and_ids(config, wanted, expected):
    assert ids(config(SETS), ("n", "3"), **{"methods": ("*",)} | wanted) == expected


@pytest.mark.parametrize("wanted", [{"methods": ("exp_x",)}, {"ids": ("x*",)}])
def test_filter_that_matches_nothing_is_refused_with_what_there_is(config, wanted):
    with pytest.raises(ConfigError, match=r"no experiment matches .*x") as caught:
        ids(config(SETS), ("n", "2"), **wanted)
    assert "-m and -f" in str(caught.value)


def test_module_of_the_working_folder(config):
    config("def get_config(): return one('module')", "swath_config_a.py")
    assert ids("swath_config_a") == ["module"]


def test_module_in_a_package(config):
    config("", "swath_pack/__init__.py", head="")
    config("def get_config(): return one('deep')", "swath_pack/deep.py")
    assert ids("swath_pack.deep") == ["deep"]


def test_folder_gives_every_config_in_it_and_passes_over_other_code(config):
    config("def get_config(): return one('a')", "all/a.py")
    config("def get_config(): return one('b')", "all/b.py")
    path = config("def tool(): pass", "all/tools.py")
    assert ids(str(Path(path).parent)) == ["a", "b"]


def test_config_may_import_what_lies_beside_it(config):
    config("def name(): return 'beside'", "swath_beside.py", head="")
    path = config("import swath_beside\ndef get_config(): return one(swath_beside.name())")
    assert ids(path) == ["beside"]


def test_stored_declaration_can_be_loaded_again(config, tmp_path):
    (found,) = load_config(
        config("def get_config(): return one('stored', 'text')"), runner="local", arguments={}
    )
    stored = {"schema": 1, "pipeline": found.declared.to_json(), "swath": "0.1.0"}
    one, several = tmp_path / "one.json", tmp_path / "several.json"
    one.write_text(json.dumps(stored))
    other = json.loads(json.dumps(stored))
    other["pipeline"]["id"] = "other"
    several.write_text(json.dumps([stored, other]))
    assert ids(str(one)) == ["stored"]
    assert ids(str(several)) == ["stored", "other"]
    (again,) = load_config(str(one), runner="local", arguments={})
    assert [c.unit_keys for c in again.declared.commands] == [
        c.unit_keys for c in found.declared.commands
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is no JSON"),
        ("[1]", "no stored declaration: it has no `schema`"),
        ('"text"', "no stored declaration"),
        ("{}", "no stored declaration"),
        ('{"schema": 99}', "schema is 99; this Swath"),
        ('{"schema": 0}', "schema 0 can no longer be read"),
        ('{"schema": 1}', "no complete declaration"),
        ('{"schema": 1, "pipeline": {"id": "a"}}', "no complete declaration"),
        ('{"schema": 1, "pipeline": [1]}', "no complete declaration"),
        ('{"schema": 1, "experiment": {"id": "a"}}', "the field 'root_uri' is missing"),
    ],
)
def test_json_that_is_no_declaration_is_refused_with_its_name(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises((ConfigError, Problems), match=message) as caught:
        ids(str(path))
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["missing.py", "missing.json", "no_such_module", "a b", "a/b"])
def test_config_that_is_not_there_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="there is no config"):
        ids(name)


def test_module_that_a_config_misses_is_not_taken_for_the_config(config):
    config("import swath_conf_of_nobody", "swath_conf_of.py")
    with pytest.raises(ModuleNotFoundError, match="swath_conf_of_nobody"):
        ids("swath_conf_of")
    config("import swath_c", "swath_config_c.py")
    with pytest.raises(ModuleNotFoundError, match="swath_c"):
        ids("swath_config_c")


def test_config_without_experiments_is_refused_with_what_to_define(config):
    with pytest.raises(ConfigError, match=r"declares no experiment.*Define get_config"):
        ids(config("x = 1"))


def test_syntax_error_is_told_by_line(config):
    with pytest.raises(ConfigError, match=r"config\.py: line 2: "):
        ids(config("def (:", head="\n"))


def test_function_that_returns_something_else_is_refused(config):
    for code, kind in (("return 3", "int"), ("pass", "NoneType"), ("return ['a']", "str")):
        path = config(f"def get_config(): {code}", f"{kind}.py")
        with pytest.raises(ConfigError, match=f"get_config: it returned a {kind}"):
            ids(path)


def test_two_experiments_of_one_id_are_refused_with_both_places(config):
    config("def get_config(): return one('same')", "all/a.py")
    path = config("def get_config(): return one('same')", "all/b.py")
    with pytest.raises(ConfigError, match="2 experiments have the id 'same'") as caught:
        ids(str(Path(path).parent))
    assert "a.py:get_config and" in str(caught.value)
    assert "b.py:get_config" in str(caught.value)


def test_unknown_field_is_refused_with_the_nearest(config):
    path = config(
        """
        from swath import Raster
        def get_config():
            return Raster(uris=("a.tif",), nodataa=0)
        """
    )
    with pytest.raises(ConfigError, match=r"no field 'nodataa'.*Did you mean 'nodata'") as caught:
        ids(path)
    assert "config.py:get_config" in str(caught.value)


def test_several_wrong_fields_are_told_at_once(config):
    path = config(
        """
        from swath import Raster
        def get_config():
            return Raster(uris=("a.tif",), one=0, two=0)
        """
    )
    with pytest.raises(Problems, match="'one'") as caught:
        ids(path)
    assert len(caught.value.errors) == 2


@pytest.mark.parametrize("code", ["return 1 / 0", "raise SystemExit(3)", "import no_such_module"])
def test_errors_of_the_users_own_code_name_its_line(config, code):
    with pytest.raises(ConfigError, match=r"config\.py, line \d+\)") as raised:
        ids(config(f"def get_config():\n    {code}"))
    assert raised.value.__cause__ is not None  # for -v


def test_sets_inherit_methods_of_classes_that_are_no_sets_here(config):
    text = SETS.replace("class Base(ExperimentSet)", "class Base").replace(
        "class Sets(Base)", "class Sets(Base, ExperimentSet)"
    )
    assert ids(config(text)) == ["base", "a0"]


def test_arguments_for_a_json_are_refused(config, tmp_path):
    (found,) = load_config(config("def get_config(): return one('a')"), runner="x", arguments={})
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"schema": 1, "pipeline": found.declared.to_json()}))
    with pytest.raises(ConfigError, match=r"no argument 'n'.*takes no arguments"):
        ids(str(path), ("n", "1"))
