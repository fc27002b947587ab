"""Up to date or not, and why: every reason of the closed set, and the hazards around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.plan.command import Pipeline, Unit
from swath.plan.identity import SMALL_BYTES, source_identity
from swath.plan.reason import Cause
from swath.plan.record import SIDECAR
from swath.plan.scan import State


@pytest.fixture
def images(world) -> list[str]:
    return [world.source(f"{name}.tif", name) for name in "ab"]


def learning(world, images, *, size: int = 256, rate: float = 0.1, version: int = 1) -> Pipeline:
    """Chips of each image, and a model that is trained on all of them."""
    chip = world.command(
        "chip",
        [Unit(Path(uri).stem, {"image": uri}, {"chips": "c.npy"}) for uri in images],
        params={"size": size},
        version=version,
    )
    train = world.command(
        "train",
        [Unit("model", {"chips": chip.refs("chips")}, {"model": "m.bin"})],
        params={"train": {"rate": rate}},
    )
    return world.pipeline(chip, train)


def output(plan, title: str) -> Path:
    (index,) = [i for i in range(len(plan.scanned)) if plan.title(i) == title]
    (uri,) = plan.scanned[index].outputs.values()
    return Path(uri)


def test_reason_never_ran(world, images):
    plan = world.plan(learning(world, images))
    assert world.reasons(plan) == {
        "chip a": "never ran",
        "chip b": "never ran",
        "train model": "never ran",
    }


def test_everything_is_up_to_date_after_it_was_done(world, images):
    world.do(world.plan(learning(world, images)))
    plan = world.plan(learning(world, images))
    assert plan.is_empty
    assert {item.state for item in plan.scanned} == {State.DONE}
    assert plan.estimate().n_units == 0


def test_reason_forced_and_what_reads_it_follows(world, images):
    world.do(world.plan(learning(world, images)))
    plan = world.plan(learning(world, images), select={"rerun": ("chip",)})
    assert world.reasons(plan) == {
        "chip a": "forced",
        "chip b": "forced",
        "train model": "upstream will run: chip a",
    }


def test_reason_output_missing_leaves_what_read_it_alone(world, images):
    plan = world.plan(learning(world, images))
    world.do(plan)
    output(plan, "chip a").unlink()
    found = world.reasons(world.plan(learning(world, images)))
    assert found == {"chip a": f"output missing: {output(plan, 'chip a')}"}


def test_reason_output_changed(world, images):
    plan = world.plan(learning(world, images))
    world.do(plan)
    output(plan, "train model").write_text("shorter")
    found = world.reasons(world.plan(learning(world, images)))
    assert found == {"train model": f"output changed: {output(plan, 'train model')}"}


def test_reason_input_changed_names_the_file_and_spares_the_other_scenes(world, images):
    world.do(world.plan(learning(world, images)))
    world.source("a.tif", "other pixels")
    assert world.reasons(world.plan(learning(world, images))) == {
        "chip a": f"input changed: image {images[0]}",
        "train model": "upstream will run: chip a",
    }


def test_reason_parameter_changed_names_it_with_both_values(world, images):
    world.do(world.plan(learning(world, images)))
    found = world.reasons(world.plan(learning(world, images, rate=0.2)))
    assert found == {"train model": "parameter changed: train.rate 0.1 -> 0.2"}


def test_reason_version_of_kind_changed(world, images):
    world.do(world.plan(learning(world, images)))
    found = world.reasons(world.plan(learning(world, images, version=2)))
    assert found["chip a"] == "version of kind changed: 1 -> 2"


def test_reason_upstream_will_run(world, images):
    world.do(world.plan(learning(world, images)))
    found = world.reasons(world.plan(learning(world, images, size=128)))
    assert found["chip a"] == "parameter changed: size 256 -> 128"
    assert found["train model"] == "upstream will run: chip a"


def test_reasons_are_a_closed_set():
    assert {cause.value for cause in Cause} == {
        "never ran",
        "forced",
        "output missing",
        "output changed",
        "input changed",
        "parameter changed",
        "version of kind changed",
        "upstream will run",
    }


def test_new_scene_costs_one_scene_and_what_reads_them_all(world, images):
    world.do(world.plan(learning(world, images[:1])))
    found = world.reasons(world.plan(learning(world, images)))
    assert found == {"chip b": "never ran", "train model": "upstream will run: chip b"}


def test_removed_scene_is_told_as_a_changed_input(world, images):
    world.do(world.plan(learning(world, images)))
    found = world.reasons(world.plan(learning(world, images[:1])))
    assert found == {
        "train model": "input changed: 0 other upstream results in place of 1",
    }


def test_what_was_lost_of_the_last_plan_costs_the_explanation_only(world, images):
    world.do(world.plan(learning(world, images)))
    world.last.clear()
    assert world.plan(learning(world, images)).is_empty
    found = world.reasons(world.plan(learning(world, images, rate=0.2)))
    assert found == {"train model": "never ran"}


def test_plan_of_another_schema_explains_nothing_and_breaks_nothing(world, images):
    world.do(world.plan(learning(world, images)))
    world.last["one"] = {"schema": 0, "other": "layout"}
    assert world.plan(learning(world, images)).is_empty
    assert world.reasons(world.plan(learning(world, images, rate=0.2)))


def test_options_resources_and_splits_do_not_make_anything_run(world, images):
    chip = world.command("chip", [Unit("a", {"image": images[0]}, {"o": "o"})], options={"n": 1})
    world.do(world.plan(world.pipeline(chip)))
    other = world.command(
        "chip", [Unit("a", {"image": images[0]}, {"o": "o"}, work=9)], options={"n": 8}
    )
    assert world.plan(world.pipeline(other), splits=4).is_empty


def test_hazard_partial_output_is_not_taken_as_finished(world, images):
    """A file in the right place is nothing without a record: its writer may have been killed."""
    plan = world.plan(learning(world, images))
    for item in plan.scanned:
        for uri in item.outputs.values():
            Path(uri).parent.mkdir(parents=True)
            Path(uri).write_text("half of i")
    assert len(world.reasons(world.plan(learning(world, images)))) == 3


def test_hazard_truncated_output_is_not_taken_as_finished(world, images):
    plan = world.plan(learning(world, images))
    world.do(plan)
    path = output(plan, "chip b")
    path.write_bytes(path.read_bytes()[:-1])
    assert "chip b" in world.reasons(world.plan(learning(world, images)))


def test_hazard_changed_config_in_an_old_root_is_never_skipped(world, images):
    for size in (256, 128, 256, 64, 128):
        plan = world.plan(learning(world, images, size=size))
        folder = output(plan, "chip a").parents[1]
        assert all(str(folder) in uri for uri in plan.scanned[0].outputs.values())
        world.do(plan)
    # Each of the three sizes kept its own results.
    for size in (256, 128, 64):
        assert world.plan(learning(world, images, size=size)).is_empty


def test_hazard_existence_is_never_told_by_a_prefix(world, images):
    """`model` was found because `model-2` was there."""
    units = [Unit(name, {"image": images[0]}, {"o": "model"}) for name in ("model", "model-2")]
    world.do(world.plan(world.pipeline(world.command("train", units[1:]))))
    found = world.reasons(world.plan(world.pipeline(world.command("train", units))))
    assert found == {"train model": "never ran"}


def test_hazard_output_is_not_found_under_a_longer_name(world, images):
    plan = world.plan(learning(world, images))
    world.do(plan)
    path = output(plan, "chip a")
    path.rename(path.with_name(path.name + "-2"))
    assert "chip a" in world.reasons(world.plan(learning(world, images)))


def test_folder_in_the_place_of_an_output_is_not_the_output(world, images):
    plan = world.plan(learning(world, images))
    world.do(plan)
    path = output(plan, "chip a")
    path.unlink()
    path.mkdir()
    assert "chip a" in world.reasons(world.plan(learning(world, images)))


def test_root_that_was_moved_stays_up_to_date(world, images):
    world.do(world.plan(learning(world, images)))
    Path(world.root).rename(world.folder / "elsewhere")
    world.root = str(world.folder / "elsewhere")
    assert world.plan(learning(world, images)).is_empty


def test_unit_named_like_the_folder_of_records_is_no_trouble(world, images):
    units = [Unit(f"records/{n}", {"image": images[0]}, {"o": "x.jsonl"}) for n in "ab"]
    pipeline = world.pipeline(world.command("chip", units))
    world.do(world.plan(pipeline))
    assert world.plan(pipeline).is_empty


# ------------------------------------------------------------------ outputs that a user pinned


def pinned(world, image: str, rate: float, *, id: str = "one") -> Pipeline:
    place = str(world.folder / "out" / "map.tif")
    predict = world.command(
        "predict", [Unit("s", {"image": image}, {"map": place})], params={"rate": rate}
    )
    score = world.command("score", [Unit("s", {"map": predict.ref("s", "map")}, {"o": "o"})])
    return world.pipeline(predict, score, id=id)


def test_pinned_output_is_up_to_date_for_what_it_was_made_for(world, images):
    world.do(world.plan(pinned(world, images[0], 0.1)))
    assert world.plan(pinned(world, images[0], 0.1)).is_empty


@given(rates=st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=2, max_size=6))
def test_hazard_switching_parameters_never_takes_the_wrong_pinned_file(
    tmp_path_factory, world_of, rates
):
    world = world_of(tmp_path_factory.mktemp("w"))
    image = world.source("a.tif")
    before = None
    for rate in rates:
        plan = world.plan(pinned(world, image, rate))
        assert ("predict s" in world.reasons(plan)) == (rate != before)
        world.do(plan)
        text = Path(world.folder / "out" / "map.tif").read_text()
        assert text == f"map of {plan.scanned[0].fingerprint}"
        before = rate


def test_switching_back_tells_that_the_pinned_output_changed(world, images):
    world.do(world.plan(pinned(world, images[0], 0.1)))
    world.do(world.plan(pinned(world, images[0], 0.2)))
    found = world.reasons(world.plan(pinned(world, images[0], 0.1)))
    assert found == {"predict s": f"output changed: {world.folder}/out/map.tif"}


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"no json"])
def test_pinned_output_without_a_sidecar_of_ours_is_made_again(world, images, content):
    world.do(world.plan(pinned(world, images[0], 0.1)))
    beside = world.folder / "out" / f"map.tif{SIDECAR}"
    beside.unlink()
    if content is not None:
        beside.write_bytes(content)
    assert "predict s" in world.reasons(world.plan(pinned(world, images[0], 0.1)))


# ------------------------------------------------------------------ runs that ended half way


def test_units_that_a_killed_run_finished_are_kept(world, images):
    world.do(world.plan(learning(world, images), splits=2), units={"chip b"})
    found = world.reasons(world.plan(learning(world, images)))
    assert found == {"chip a": "never ran", "train model": "never ran"}


def test_what_was_made_from_a_result_that_was_forced_anew_is_made_anew(world, images):
    """The forced run is killed between the two: the later plan knows that it is not finished."""
    world.do(world.plan(learning(world, images)))
    forced = world.plan(learning(world, images), select={"rerun": ("chip",)})
    world.do(forced, units={"chip a", "chip b"})
    found = world.reasons(world.plan(learning(world, images)))
    assert found == {"train model": "input changed: chip a was run again"}
    world.do(world.plan(learning(world, images)))
    assert world.plan(learning(world, images)).is_empty


def test_result_that_was_made_again_because_it_was_lost_makes_nothing_else_run(world, images):
    plan = world.plan(learning(world, images))
    world.do(plan)
    output(plan, "chip a").unlink()
    world.do(world.plan(learning(world, images)))
    assert world.plan(learning(world, images)).is_empty


# ------------------------------------------------------------------ identities of source files


def test_small_source_is_known_by_its_content(world):
    path = world.source("aoi.geojson", "{}")
    before = source_identity(path)
    os.utime(path, (1, 1))
    assert source_identity(path) == before
    world.source("aoi.geojson", "[]")
    assert source_identity(path) != before


def test_large_source_is_known_by_size_and_time(world):
    path = world.source("image.tif", "x" * (SMALL_BYTES + 1))
    before = source_identity(path)
    os.utime(path, (1, 1))
    assert source_identity(path) != before


def test_missing_source_has_no_identity(world):
    assert source_identity(str(world.folder / "missing")) is None


def test_hazard_source_is_revalidated_at_every_plan(world, images):
    """The old cache of downloads was keyed by path and never looked at again."""
    world.do(world.plan(learning(world, images)))
    world.source("b.tif", "new pixels under the old name")
    assert "chip b" in world.reasons(world.plan(learning(world, images)))


def test_many_units_are_planned_and_found_done(world):
    image = world.source("i.tif")
    chip = world.command("chip", [Unit(f"s{i:04d}", {"i": image}, {"o": "o"}) for i in range(5000)])
    train = world.command("train", [Unit("m", {"c": chip.refs("o")}, {"m": "m"})])
    plan = world.plan(world.pipeline(chip, train), splits=8)
    assert [len(split.units) for split in plan.splits] == [625] * 8 + [1]
    world.do(plan)
    assert world.plan(world.pipeline(chip, train)).is_empty


@pytest.mark.parametrize(
    ("name", "part"), [("roads.shp", "roads.dbf"), ("scene.tif", "scene.tif.aux.xml")]
)
def test_a_changed_part_beside_a_source_is_a_changed_source(
    tmp_path: Path, name: str, part: str
) -> None:
    source = tmp_path / name
    source.write_bytes(bytes(100_000))
    alone = source_identity(str(source))
    (tmp_path / part).write_text("class 1")
    with_part = source_identity(str(source))
    (tmp_path / part).write_text("class 2")
    assert len({alone, with_part, source_identity(str(source))}) == 3


def test_a_changed_source_of_a_vrt_is_a_changed_vrt(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").write_bytes(b"one")
    vrt = tmp_path / "mosaic.vrt"
    vrt.write_text(
        '<VRTDataset><SourceFilename relativeToVRT="1">scene.tif</SourceFilename></VRTDataset>'
    )
    before = source_identity(str(vrt))
    (tmp_path / "scene.tif").write_bytes(b"two")
    assert source_identity(str(vrt)) != before
