"""Records: parts of lines, read whatever wrote them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import StoreError
from swath.plan.record import Record, part_uri, read_all, read_parts, write_part
from swath.store import LocalStore

records = st.builds(
    Record,
    fingerprint=st.text("0123456789abcdef", min_size=20, max_size=20),
    unit=st.text(),
    outputs=st.dictionaries(st.text(), st.tuples(st.text(), st.integers(0)), max_size=2),
    started=st.floats(0, 2e9),
    seconds=st.floats(0, 1e6),
    note=st.text(),
    redone=st.booleans(),
)


@given(records)
def test_record_survives_its_line(record):
    assert "\n" not in record.to_line()
    assert Record.from_json(json.loads(record.to_line())) == record


def test_fields_of_later_versions_are_passed_over():
    line = json.loads(Record("f", "u").to_line()) | {"colour": "red"}
    assert Record.from_json(line) == Record("f", "u")


def test_parts_of_two_runs_lie_beside_each_other(tmp_path):
    store, folder = LocalStore(), str(tmp_path)
    write_part(store, folder, "run-1.chip-0", 0, [Record("a", "a"), Record("b", "b")])
    write_part(store, folder, "run-1.chip-0", 1, [Record("c", "c")])
    write_part(store, folder, "run-2.chip-0", 0, [Record("d", "d")])
    assert sorted(read_all(store, folder)) == ["a", "b", "c", "d"]


def test_latest_record_of_a_fingerprint_wins_in_any_order_of_parts(tmp_path):
    store, folder = LocalStore(), str(tmp_path)
    write_part(store, folder, "old", 0, [Record("a", "u", started=1, note="old")])
    write_part(store, folder, "new", 0, [Record("a", "u", started=2, note="new")])
    uris = [part_uri(folder, "old", 0), part_uri(folder, "new", 0)]
    for order in (uris, uris[::-1]):
        assert read_parts(store, order)["a"].note == "new"


def test_hazard_part_that_is_being_written_is_not_read(tmp_path):
    store, folder = LocalStore(), str(tmp_path)
    write_part(store, folder, "run", 0, [Record("a", "a")])
    (tmp_path / "records" / ".partial-run.00001.jsonl-1-1").write_text('{"finger')
    assert list(read_all(store, folder)) == ["a"]


def test_folder_without_records_has_none(tmp_path):
    assert read_all(LocalStore(), str(tmp_path / "nowhere")) == {}


@pytest.mark.parametrize("text", ["{", "[]", '"text"', "{}", '{"outputs":{"a":1}}'])
def test_part_that_is_not_ours_is_named_with_the_mend(tmp_path, text):
    store, uri = LocalStore(), part_uri(str(tmp_path), "run", 0)
    store.write(uri, text.encode())
    with pytest.raises(StoreError, match="no part of records") as caught:
        read_all(store, str(tmp_path))
    assert uri in str(caught.value)
    assert "Delete it" in str(caught.value)
