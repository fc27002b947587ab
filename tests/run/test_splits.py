"""Splits as the plan of a run tells them to every client."""

from __future__ import annotations

import json

from swath.plan.command import Resources
from swath.run.splits import splits_of
from swath.settings import load_settings


def test_splits_are_those_of_the_plan_in_its_order(lab):
    copy = lab.copies("abcde", resources=Resources(cpus=2, memory_gib=3.0))
    made = lab.plan(lab.pipeline(copy, lab.joined(copy)), splits=2)
    settings = load_settings(["commands.copy.cpus=4", "commands.join.gpus=1"], environment={})
    splits = splits_of(json.loads(json.dumps(made.to_json())), settings)
    assert [split.key for split in splits] == [split.key for split in made.splits]
    assert [split.kind for split in splits] == ["copy", "copy", "join"]
    assert [split.n_units for split in splits] == [3, 2, 1]
    assert [split.upstream for split in splits] == [(), (), (0, 1)]
    assert splits[0].node == splits[1].node != splits[2].node
    assert splits[0].resources == Resources(cpus=4, memory_gib=3.0)
    assert splits[2].resources == Resources(gpus=1)


def test_fingerprint_of_a_split_is_that_of_its_units_and_of_nothing_else(lab):
    def prints(names: str, *, splits: int, **fields: object) -> list[str]:
        made = lab.plan(lab.pipeline(lab.copies(names, **fields)), splits=splits)
        settings = load_settings(environment={})
        return [split.fingerprint for split in splits_of(made.to_json(), settings)]

    whole = prints("abcd", splits=1)
    assert prints("abcd", splits=1, resources=Resources(memory_gib=9.0)) == whole
    assert prints("abcd", splits=1, params={"suffix": "!"}) != whole
    assert len({*whole, *prints("abcd", splits=2), *prints("abc", splits=1)}) == 4
