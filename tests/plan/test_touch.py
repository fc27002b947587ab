"""`--touch`: earlier outputs are taken over, with a record that says so."""

from __future__ import annotations

from pathlib import Path

from swath.plan.command import Unit
from swath.plan.plan import memory_of
from swath.plan.touch import touch


def experiment(world, image: str, *, version: int = 1, place: str = "o"):
    chip = world.command("chip", [Unit("s", {"i": image}, {"o": place})], version=version)
    train = world.command("train", [Unit("m", {"c": chip.refs("o")}, {"m": "m"})])
    return world.pipeline(chip, train)


def test_touched_outputs_are_up_to_date_and_the_same_bytes(world):
    image = world.source("i.tif")
    before = world.plan(experiment(world, image))
    world.do(before)
    plan = world.plan(experiment(world, image, version=2))
    assert len(world.reasons(plan)) == 2
    touched, left = touch(plan, memory_of(world.last.get))
    assert (touched, left) == ([0, 1], [])
    after = world.plan(experiment(world, image, version=2))
    assert after.is_empty
    assert [Path(i.outputs[n]).read_bytes() for i, n in zip(after.scanned, "om", strict=True)] == [
        Path(i.outputs[n]).read_bytes() for i, n in zip(before.scanned, "om", strict=True)
    ]
    assert after.scanned[0].record.note == "outputs taken over by --touch"


def test_what_never_ran_cannot_be_touched(world):
    plan = world.plan(experiment(world, world.source("i.tif")))
    assert touch(plan, memory_of(world.last.get)) == ([], [0, 1])
    assert len(world.reasons(world.plan(experiment(world, str(world.folder / "i.tif"))))) == 2


def test_what_reads_from_a_unit_that_cannot_be_touched_is_left_too(world):
    image = world.source("i.tif")
    before = world.plan(experiment(world, image))
    world.do(before)
    Path(before.scanned[0].outputs["o"]).unlink()
    plan = world.plan(experiment(world, image, version=2))
    assert touch(plan, memory_of(world.last.get)) == ([], [0, 1])


def test_pinned_output_is_touched_with_its_sidecar(world):
    image, place = world.source("i.tif"), str(world.folder / "map.tif")
    world.do(world.plan(experiment(world, image, place=place)))
    plan = world.plan(experiment(world, image, place=place, version=2))
    touch(plan, memory_of(world.last.get))
    assert world.plan(experiment(world, image, place=place, version=2)).is_empty
    assert "chip s" in world.reasons(world.plan(experiment(world, image, place=place)))
