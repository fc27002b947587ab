"""Splits: every unit once, none empty, balanced by work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.errors import ConfigError
from swath.plan.command import Unit
from swath.plan.split import AUTO_WORK, count_for, cut, parse_splits

works = st.lists(st.integers(0, 10**9), min_size=1, max_size=60)


@given(works, st.integers(1, 80))
def test_splits_hold_every_unit_once_and_none_is_empty(work, n_splits):
    shares = cut(work, n_splits)
    assert len(shares) == min(n_splits, len(work))
    assert all(shares)
    assert sorted(i for share in shares for i in share) == list(range(len(work)))


@given(works, st.integers(1, 12))
def test_no_split_has_more_than_four_thirds_of_a_fair_share(work, n_splits):
    # Graham 1969: at most 4/3 of the optimum; the optimum is at least the mean and the largest,
    # and the two smallest of the n + 1 largest have to lie together.
    weights = sorted((max(item, 1) for item in work), reverse=True)
    n = min(n_splits, len(work))
    best = max(sum(weights) / n, weights[0])
    if len(weights) > n:
        best = max(best, weights[n - 1] + weights[n])
    loads = [sum(max(work[i], 1) for i in share) for share in cut(work, n_splits)]
    assert max(loads) <= best * 4 / 3 + 1


def test_nine_units_in_eight_splits_leave_none_empty():
    shares = cut([7] * 9, 8)
    assert sorted(map(len, shares)) == [1, 1, 1, 1, 1, 1, 1, 2]


def test_splits_are_balanced_by_work_and_not_by_count():
    assert cut([100, 1, 1, 1, 1, 100], 3) == [[0], [1, 2, 3, 4], [5]]


def test_units_without_an_estimate_spread_evenly():
    assert [len(share) for share in cut([0] * 12, 4)] == [3, 3, 3, 3]


def test_fifty_and_twenty_five_scenes_in_five_splits_are_chipped_by_fifteens(world):
    """The example of the older documentation."""
    scenes = [world.source(f"{i:02d}.tif") for i in range(75)]
    chip = world.command(
        "chip",
        [Unit(f"s{i:02d}", {"image": uri}, {"chips": "c"}) for i, uri in enumerate(scenes)],
    )
    train = world.command(
        "train", [Unit("model", {"chips": chip.refs("chips")}, {"model": "m"})], splittable=False
    )
    plan = world.plan(world.pipeline(chip, train), splits=5)
    assert [len(split.units) for split in plan.splits] == [15, 15, 15, 15, 15, 1]
    assert plan.splits[-1].upstream == (0, 1, 2, 3, 4)


def test_split_waits_only_for_the_splits_that_it_reads_from(world):
    image = world.source("image.tif")
    first = world.command("first", [Unit(n, {"i": image}, {"o": "o"}) for n in "abcd"])
    second = world.command(
        "second", [Unit(n, {"i": first.ref(n, "o")}, {"o": "o"}) for n in "abcd"]
    )
    plan = world.plan(world.pipeline(first, second), splits=2)
    assert [split.upstream for split in plan.splits] == [(), (), (0,), (1,)]


def test_one_big_scene_is_cut_where_it_has_several_units(world):
    image = world.source("big.tif")
    blocks = [Unit(f"big/r{i}", {"i": image}, {"o": "o"}, {"b": i}, work=100) for i in range(4)]
    plan = world.plan(world.pipeline(world.command("predict", blocks)), splits=2)
    assert [split.work for split in plan.splits] == [200, 200]


def test_only_units_that_must_run_are_cut_into_splits(world):
    image = world.source("i.tif")
    units = [Unit(f"s{i}", {"i": image}, {"o": "o"}) for i in range(8)]
    few = world.pipeline(world.command("chip", units[:6]))
    world.do(world.plan(few, splits=2))
    plan = world.plan(world.pipeline(world.command("chip", units)), splits=2)
    assert [len(split.units) for split in plan.splits] == [1, 1]


def test_auto_gives_each_split_work_that_pays_for_its_start():
    assert count_for("auto", [1] * 100, 8) == 1
    assert count_for("auto", [AUTO_WORK] * 3, 8) == 3
    assert count_for("auto", [AUTO_WORK] * 1000, 8) == 32
    assert count_for(7, [1], 1) == 7


def test_splits_are_a_positive_count_or_auto():
    assert (parse_splits("3"), parse_splits("auto")) == (3, "auto")
    for text in ("0", "-1", "2.5", "many", "", "²"):
        with pytest.raises(ConfigError, match="no count"):
            parse_splits(text)
