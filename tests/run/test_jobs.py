"""Jobs: every split once, every edge of the graph and no other, names that any service takes."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from swath.plan.command import Resources
from swath.run.jobs import Edge, Job, jobs_of
from swath.run.splits import RunSplit

RESOURCES = Resources(memory_gib=8.0, cpus=2)


def split(node: str, number: int, *upstream: int, kind: str | None = None) -> RunSplit:
    key = f"{node}-{number:05d}"
    return RunSplit(key, kind or node, node, 1, f"{abs(hash(key)):016x}", RESOURCES, upstream)


@st.composite
def graphs(draw: st.DrawFn) -> list[RunSplit]:
    """Draw layers of commands: cut in up to six splits, that read all, some, or each its own."""
    splits: list[RunSplit] = []
    layers: list[list[int]] = []
    for layer in range(draw(st.integers(1, 5))):
        size = draw(st.integers(1, 6))
        upstream: list[set[int]] = [set() for _ in range(size)]
        for other in layers:
            how = draw(st.sampled_from(["not", "all", "own", "some"]))
            mixed = draw(st.permutations(other))
            for number, read in enumerate(upstream):
                if how == "all":
                    read.update(other)
                elif how == "own" and number < len(other):
                    read.add(mixed[number])
                elif how == "some":
                    read.update(draw(st.sets(st.sampled_from(other))))
        layers.append(list(range(len(splits), len(splits) + size)))
        splits += [split(f"n{layer}", n, *sorted(read)) for n, read in enumerate(upstream)]
    return splits


class Abilities(NamedTuple):
    array_size: int
    has_array_edges: bool
    max_after: int


abilities = st.builds(
    Abilities, st.sampled_from([0, 2, 3, 100]), st.booleans(), st.sampled_from([0, 2, 3, 20])
)


def order_of(jobs: list[Job]) -> set[tuple[str, str]]:
    """Return which split waits for which, by the edges between jobs; relays pass on theirs."""
    by_name = {job.name: job for job in jobs}

    def behind(edge: Edge) -> list[str]:
        job = by_name[edge.job]
        if job.is_relay:
            return [key for inner in job.after for key in behind(inner)]
        return list(job.splits)

    found: set[tuple[str, str]] = set()
    for job in jobs:
        for edge in job.after:
            other = by_name[edge.job].splits
            if edge.is_each:
                found |= set(zip(other, job.splits, strict=True))
            else:
                found |= {(p, key) for p in behind(edge) for key in job.splits}
    return found


def edges_of(splits: list[RunSplit], wanted: set[str]) -> set[tuple[str, str]]:
    return {
        (splits[p].key, item.key)
        for item in splits
        for p in item.upstream
        if {splits[p].key, item.key} <= wanted
    }


@given(graphs(), abilities, st.randoms(use_true_random=False))
def test_every_split_is_in_one_job_after_all_that_it_reads_from(graph, can, random):
    wanted = {item.key for item in graph if random.random() < 0.7}
    jobs = jobs_of(graph, prefix="run-r0", wanted=wanted, **can._asdict())
    assert Counter(key for job in jobs for key in job.splits) == Counter(wanted)
    assert edges_of(graph, wanted) <= order_of(jobs)
    seen: set[str] = set()
    for job in jobs:
        assert {edge.job for edge in job.after} <= seen, "in topological order"
        seen.add(job.name)


@given(graphs(), abilities)
def test_jobs_keep_to_what_a_backend_can(graph, can):
    jobs = jobs_of(graph, prefix="run-r0", **can._asdict())
    for job in jobs:
        assert len(job.splits) <= max(can.array_size, 1)
        assert not can.max_after or len(job.after) <= can.max_after
        assert can.has_array_edges or not any(edge.is_each for edge in job.after)
        assert not (job.is_relay and any(edge.is_each for edge in job.after))
        assert len({edge.job for edge in job.after}) == len(job.after)
        assert len({key.rpartition("-")[0] for key in job.splits}) <= 1, "of one command"


@given(graphs(), st.sampled_from([2, 3, 100]), st.booleans())
def test_edges_between_jobs_are_those_of_the_graph_and_no_barriers(graph, size, has_array_edges):
    jobs = jobs_of(graph, prefix="r", array_size=size, has_array_edges=has_array_edges)
    assert order_of(jobs) == edges_of(graph, {item.key for item in graph})


@given(graphs(), abilities)
def test_names_are_unique_and_of_letters_that_every_service_takes(graph, can):
    graph = [
        split(f"Ü_nï_{'x' * 150}-{item.node}", i, *item.upstream) for i, item in enumerate(graph)
    ]
    jobs = jobs_of(graph, prefix="20261121-003529-ab12 (copy)-r3", **can._asdict())
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}", name)
    others = {job.name for job in jobs_of(graph, prefix="20261121-003529-ab12 (copy)-r4")}
    assert others.isdisjoint(names)


@given(graphs(), abilities)
def test_jobs_survive_json(graph, can):
    for job in jobs_of(graph, prefix="r", **can._asdict()):
        assert Job.from_json(job.to_json()) == job


def shapes(jobs: list[Job]) -> list[tuple[str, int, list[tuple[int, bool]]]]:
    """Return kind, length, and which earlier job each waits for and how."""
    number = {job.name: n for n, job in enumerate(jobs)}
    return [
        (job.kind, len(job.splits), [(number[edge.job], edge.is_each) for edge in job.after])
        for job in jobs
    ]


CHIP = [split("chip", n) for n in range(5)]
TRAIN = [split("train", 0, *range(5))]
PREDICT = [split("predict", n, 5) for n in range(5)]
MIXED = [3, 0, 4, 2, 1]
SMOOTH = [split("smooth", n, 6 + MIXED[n]) for n in range(5)]


def test_example_of_the_older_documentation_is_two_arrays_around_one_job():
    jobs = jobs_of(CHIP + TRAIN + PREDICT, prefix="r", array_size=10_000, has_array_edges=True)
    assert shapes(jobs) == [
        ("chip", 5, []),
        ("train", 1, [(0, False)]),
        ("predict", 5, [(1, False)]),
    ]


def test_arrays_that_read_each_other_split_by_split_are_lined_up_whatever_their_order():
    graph = CHIP + TRAIN + PREDICT + SMOOTH
    jobs = jobs_of(graph, prefix="r", array_size=100, has_array_edges=True)
    assert shapes(jobs)[3] == ("smooth", 5, [(2, True)])
    producer = {item.key: graph[item.upstream[0]].key for item in SMOOTH}
    assert [producer[key] for key in jobs[3].splits] == list(jobs[2].splits)
    chunked = jobs_of(graph, prefix="r", array_size=3, has_array_edges=True)
    assert shapes(chunked)[3:] == [
        ("predict", 3, [(2, False)]),
        ("predict", 2, [(2, False)]),
        ("smooth", 3, [(3, True)]),
        ("smooth", 2, [(4, True)]),
    ]


def test_without_edges_between_elements_each_split_waits_for_its_own_alone():
    jobs = jobs_of(CHIP + TRAIN + PREDICT + SMOOTH, prefix="r", array_size=100)
    assert [shape[:2] for shape in shapes(jobs)[2:]] == [("predict", 1)] * 5 + [("smooth", 1)] * 5
    assert all(len(shape[2]) == 1 for shape in shapes(jobs)[2:])


def test_producers_of_one_consumer_form_an_array_of_their_own():
    mosaics = [split("mosaic", 0, 6, 7), split("mosaic", 1, 8, 9, 10)]
    jobs = jobs_of(CHIP + TRAIN + PREDICT + mosaics, prefix="r", array_size=100)
    assert shapes(jobs)[2:] == [
        ("predict", 2, [(1, False)]),
        ("predict", 3, [(1, False)]),
        ("mosaic", 1, [(2, False)]),
        ("mosaic", 1, [(3, False)]),
    ]


def test_more_arrays_than_are_worth_their_jobs_become_one_with_a_barrier():
    blocks = [split("block", n) for n in range(80)]
    scenes = [split("scene", n, 2 * n, 2 * n + 1) for n in range(40)]
    jobs = jobs_of(blocks + scenes, prefix="r", array_size=100, has_array_edges=True)
    assert shapes(jobs) == [("block", 80, []), ("scene", 40, [(0, False)])]


def test_what_gets_more_memory_is_a_job_of_its_own_size():
    graph = CHIP + TRAIN
    more = {CHIP[1].key: 16.0, CHIP[3].key: 32.0}
    jobs = jobs_of(graph, prefix="r", memory=more, array_size=100, has_array_edges=True)
    assert {job.splits: job.resources.memory_gib for job in jobs} == {
        (CHIP[0].key, CHIP[2].key, CHIP[4].key): 8.0,
        (CHIP[1].key,): 16.0,
        (CHIP[3].key,): 32.0,
        (TRAIN[0].key,): 8.0,
    }
    assert {edge.job for edge in jobs[-1].after} == {job.name for job in jobs[:-1]}
    assert {job.resources.cpus for job in jobs} == {2}


def test_fan_in_over_the_limit_goes_through_as_few_relays_as_it_needs():
    wide = [split("chip", n) for n in range(400)]
    jobs = jobs_of([*wide, split("train", 0, *range(400))], prefix="r", max_after=20)
    relays = [job for job in jobs if job.is_relay]
    assert len(relays) == 20  # each takes 20 edges and gives one: 400 - 20 * 19 = 20
    assert all(len(job.after) <= 20 for job in jobs)
    assert {job.name for job in relays} == {f"{jobs[-1].name}-after-{n}" for n in range(20)}


def test_edges_of_elements_are_kept_from_relays_as_long_as_there_is_room():
    nodes = [[split(f"n{layer}", n) for n in range(2)] for layer in range(4)]
    flat = [item for layer in nodes for item in layer]
    last = [split("last", n, n, 2 + n, 4 + n, 6 + n) for n in range(2)]
    jobs = jobs_of([*flat, *last], prefix="r", array_size=9, has_array_edges=True, max_after=3)
    relay, end = jobs[-2:]
    assert relay.is_relay
    assert [edge.is_each for edge in end.after] == [True, True, False]
    assert edges_of(flat + last, {item.key for item in flat + last}) <= order_of(jobs)
