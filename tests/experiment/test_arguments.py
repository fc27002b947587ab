"""Arguments of config functions: text, typed by annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from swath.errors import ConfigError
from swath.experiment.arguments import call, convert, gather, refuse_unknown

if TYPE_CHECKING:
    from nowhere import Nothing


@pytest.mark.parametrize(
    ("texts", "annotation", "expected"),
    [
        (["3"], int, 3),
        (["1e-3"], float, 0.001),
        (["true"], bool, True),
        (["0"], bool, False),
        (["a,b"], str, "a,b"),
        (["/a b"], Path, Path("/a b")),
        (["x"], Any, "x"),
        (["1,2", "3"], list[int], [1, 2, 3]),
        (["a"], list, ["a"]),
        ([""], list[int], []),
        (["1,2"], tuple[int, ...], (1, 2)),
        (["1,2.5,x"], tuple[int, float, str], (1, 2.5, "x")),
        (["none"], int | None, None),
        (["4"], int | None, 4),
        (["4"], int | str, 4),
        (["x"], int | str, "x"),
        (["1,2"], list[int] | None, [1, 2]),
        (["fast"], Literal["fast", "slow"], "fast"),
        (["2"], Literal[1, 2], 2),
    ],
)
def test_text_becomes_a_value_of_the_annotated_type(texts, annotation, expected):
    value = convert(texts, annotation)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("texts", "annotation", "message"),
    [
        (["x"], int, "integer"),
        (["1.5"], int, "integer"),
        (["perhaps"], bool, "boolean"),
        (["1,x"], list[int], "integer"),
        (["1", "2"], int, "more than once"),
        (["1,2,3"], tuple[int, int], "it takes 2 values, not 3"),
        (["medium"], Literal["fast", "slow"], "use one of fast, slow"),
        (["x"], int | None, "integer"),
    ],
)
def test_text_of_another_type_is_refused(texts, annotation, message):
    with pytest.raises(ValueError, match=message):
        convert(texts, annotation)


def get_config(runner, root: Path, n: int = 3, names: list[str] | None = None):
    return runner, root, n, names


def test_function_gets_typed_arguments_and_the_runner():
    given = gather([("root", "/out"), ("names", "a"), ("names", "b")])
    assert call(get_config, given, runner="local", where="f") == (
        "local",
        Path("/out"),
        3,
        ["a", "b"],
    )


def test_dashes_stand_for_underscores():
    assert gather([("root-uri", "x"), ("root_uri", "y")]) == {"root_uri": ["x", "y"]}


def test_missing_argument_is_told_with_the_signature():
    with pytest.raises(ConfigError, match=r"f\.py:get_config: the argument 'root' is missing") as e:
        call(get_config, {}, runner="local", where="f.py:get_config")
    assert "-a root VALUE" in str(e.value)
    assert "root: Path, n: int = 3" in str(e.value)


def test_ill_typed_argument_is_told_with_value_and_signature():
    with pytest.raises(ConfigError, match=r"'n' cannot be 'many'.*integer.*n: int = 3"):
        call(get_config, gather([("root", "x"), ("n", "many")]), runner="local", where="f")


def test_unknown_argument_is_told_with_the_nearest_and_the_signature():
    with pytest.raises(ConfigError, match=r"no argument 'rooot'.*Did you mean 'root'.*f\(runner"):
        refuse_unknown(gather([("rooot", "x")]), {"f": get_config})
    with pytest.raises(ConfigError, match="takes no arguments"):
        refuse_unknown({"x": ["1"]}, {})


def test_argument_that_one_of_several_functions_takes_is_known():
    def other(depth: int) -> None: ...

    refuse_unknown({"depth": ["1"], "n": ["2"]}, {"f": get_config, "g": other})


def test_function_of_any_arguments_gets_them_as_text():
    def get_config(runner, n: int, **others):
        return n, others

    given = gather([("n", "1"), ("colour", "red")])
    refuse_unknown(given, {"f": get_config})
    assert call(get_config, given, runner="x", where="f") == (1, {"colour": "red"})


def test_name_for_type_checkers_only_does_not_untype_the_others():
    def get_config(runner: str, n: int, other: Nothing | None = None) -> Nothing:
        return n, other

    assert call(get_config, {"n": ["5"]}, runner="x", where="f") == (5, None)


def test_methods_are_typed_like_functions():
    class Sets:
        def exp_one(self, n: int) -> int:
            return n

    assert call(Sets().exp_one, {"n": ["5"]}, runner="x", where="f") == 5
