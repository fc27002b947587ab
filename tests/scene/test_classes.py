"""Classes: ids are positions, colours are checked, and nothing ambiguous can be declared."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from swath.scene.classes import IGNORE, OKABE_ITO, ClassConfig, default_colours


def test_id_of_a_class_is_its_position() -> None:
    classes = ClassConfig(names=("water", "forest"))
    assert [classes.id_of("water"), classes.id_of("forest"), classes.id_of(1)] == [0, 1, 1]


def test_null_class_has_an_id_only_if_there_is_one() -> None:
    assert ClassConfig(names=("water", "other"), null="other").null_id == 1
    assert ClassConfig(names=("water", "other")).null_id is None


def test_default_palette_is_okabe_ito_up_to_eight_classes() -> None:
    names = tuple(f"class {index}" for index in range(8))
    assert ClassConfig(names=names).colours == OKABE_ITO


def test_default_colours_are_distinct_for_the_most_classes() -> None:
    assert len(set(default_colours(255))) == 255


def test_given_colours_are_kept_in_lower_case() -> None:
    classes = ClassConfig(names=("water",), colours=("#0000FF",))
    assert classes.colours == ("#0000ff",)
    assert classes.colour_table() == {0: (0, 0, 255)}


def test_classes_survive_json() -> None:
    classes = ClassConfig(names=("water", "other"), null="other")
    assert ClassConfig.from_json(classes.to_json()) == classes


def test_ignore_is_never_a_class_id() -> None:
    classes = ClassConfig(names=tuple(f"c{index}" for index in range(255)))
    assert classes.id_of("c254") == 254 < IGNORE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": ()}, "at least 1 item"),
        ({"names": ("a", "b", "a")}, "names[0] and names[2] are both 'a'"),
        ({"names": ("a", " b")}, "names[1] is ' b'"),
        ({"names": ("a", "")}, "names[1] is ''"),
        ({"names": ("a",), "null": "b"}, "null class 'b' is not one of the classes a"),
        ({"names": ("a",), "colours": ("red",)}, "colours[0]: 'red' is not a colour"),
        ({"names": ("a", "b"), "colours": ("#000000", "#12345")}, "colours[1]: '#12345'"),
        ({"names": ("a", "b"), "colours": ("#000000",)}, "2 names and 1 colours"),
        ({"names": [f"c{i}" for i in range(256)]}, "256 classes; label files hold one byte"),
        ({"names": ("a",), "colour": ()}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_classes_are_refused_with_the_offending_value(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        ClassConfig.from_json(fields)


@pytest.mark.parametrize("ref", ["ice", 2, -1])
def test_unknown_class_is_an_error_that_lists_the_classes(ref: str | int) -> None:
    with pytest.raises(ValueError, match="water"):
        ClassConfig(names=("water", "forest")).id_of(ref)


def test_ignore_is_one_value_for_labels_and_counts() -> None:
    from swath.stats import confusion

    assert confusion.IGNORE == IGNORE  # stats is the floor below and may not import it from here
