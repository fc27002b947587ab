"""The `dask` runner, with schedulers and workers that are processes; see also `conformance`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

import swath
from swath.errors import ConfigError, RunError
from swath.experiment.config import load_config
from swath.experiment.session import RunResult, plan_experiments, requests_of, run_experiments
from swath.plan.command import Resources
from swath.run.life import Life, cancel, try_again
from swath.run.runner import Cause, Finding, JobState, Severity, make_runner
from swath.run.runners.dask_cluster import DaskWorker, make_cluster
from swath.run.runners.dask_tasks import Lacks
from swath.run.splits import RunSplit
from swath.settings import Settings, load_settings
from swath.testing.conformance import Diamond, Place, diamond_in, until
from swath.testing.dask import DaskServers
from swath.testing.diamond import total

SPLIT = RunSplit("chip-0a-1", "chip", "n", 3, "f" * 20, Resources(gpus=1), ())


def settings_of(*words: str) -> Settings:
    return load_settings(words, environment={}, folder=Path("/nowhere"))


def words_of(servers: DaskServers) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in servers.settings.items())


@pytest.fixture
def diamond(tmp_path: Path, dask_servers: DaskServers) -> Iterator[Diamond]:
    """A diamond on the servers with TLS that all tests share."""
    with diamond_in(Place("dask", str(tmp_path / "root"), words_of(dask_servers)), tmp_path) as it:
        yield it


@pytest.fixture(scope="module")
def plain_servers() -> Iterator[DaskServers]:
    """Servers without TLS, on which a task is not tried again by Dask itself."""
    once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with DaskServers(environment=once) as servers:
        yield servers


@pytest.fixture
def servers(plain_servers: DaskServers) -> Iterator[DaskServers]:
    """The same, for tests that end workers: afterwards there are two again."""
    names = {"worker-0", "worker-1"}
    yield plain_servers
    for name in plain_servers.workers() - names:
        plain_servers.end_worker(name, kill=True)
    for name in names - plain_servers.workers():
        plain_servers.start_worker(name)


@pytest.fixture
def plain(tmp_path: Path, servers: DaskServers) -> Iterator[Diamond]:
    """A diamond on the servers without TLS."""
    with diamond_in(Place("dask", str(tmp_path / "root"), words_of(servers)), tmp_path) as it:
        yield it


def declared(diamond: Diamond, n_gpus: int = 0) -> list[Any]:
    arguments = {"root_uri": [diamond.place.root_uri], "faults": [str(diamond.faults)]}
    arguments |= {"n": [str(diamond.n)], "n_gpus": [str(n_gpus)]}
    found = load_config("swath.testing.diamond", runner="dask", arguments=arguments)
    return [item.declared for item in found]


def run_here(diamond: Diamond, *words: str, n_gpus: int = 0, **options: Any) -> RunResult:
    """Run the diamond from this process."""
    settings = settings_of(*diamond.place.settings, *words)
    return run_experiments(
        declared(diamond, n_gpus), "dask", splits=3, settings=settings, **options
    )


def pids(diamond: Diamond) -> list[int]:
    return [event.data["pid"] for event in diamond.events() if event.what == "started"]


def starts(diamond: Diamond) -> Counter[str]:
    """Count how often each split was started."""
    return Counter(event.split for event in diamond.events() if event.what == "started")


def split_of(diamond: Diamond, unit: str) -> str:
    """Return the key of the split that doubles this unit."""
    splits = diamond.folder.read_plan()["splits"]
    return next(s["key"] for s in splits if "double" in s["key"] and unit in s["units"])


def process_of(diamond: Diamond, unit: str) -> int:
    """Return the process that was last started for this unit."""
    events = [e for e in diamond.events() if e.split == split_of(diamond, unit)]
    return [e.data["pid"] for e in events if e.what == "started"][-1]


def worker_of(servers: DaskServers, diamond: Diamond, unit: str) -> str:
    """Return the name of the worker that does this unit now."""
    parent = psutil.Process(process_of(diamond, unit)).ppid()
    return next(name for name in servers.workers() if servers.process_of(name).pid == parent)


def has_client(servers: DaskServers, diamond: Diamond) -> bool:
    """Tell whether the scheduler has a client of the run of this diamond."""
    name = f"swath-{diamond.folder.id}"
    clients = servers.client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.clients))
    return any(name in client for client in clients)


@contextmanager
def running(diamond: Diamond, *words: str, **options: Any) -> Iterator[Callable[[], RunResult]]:
    """Run the diamond in a thread; what is yielded waits for its result."""
    with ThreadPoolExecutor() as pool:
        try:
            yield pool.submit(run_here, diamond, *words, **options).result
        finally:  # nothing hangs on, whatever has failed inside
            for told in diamond.faults.iterdir():
                told.unlink()


def said_by(client: subprocess.Popen[str]) -> str:
    """Wait for the end of a client, and return what it said."""
    assert client.stdout is not None
    said = client.stdout.read()
    client.wait()
    return said


def findings(*words: str, splits: tuple[RunSplit, ...] = ()) -> dict[Severity, list[Finding]]:
    found: dict[Severity, list[Finding]] = {severity: [] for severity in Severity}
    for finding in make_runner("dask", settings_of(*words)).findings(splits):
        found[finding.severity].append(finding)
    return found


# ------------------------------------------------------------------ what is checked before


def test_findings_tell_of_scheduler_workers_and_versions(dask_servers):
    found = findings(*words_of(dask_servers))
    said = [finding.what for finding in found[Severity.FINE]]
    assert said == [
        f"a Dask scheduler answers at {dask_servers.address}",
        "2 workers with 2 threads offer 0 GPUs",
        f"all of them have Swath {swath.__version__}",
    ]
    assert not found[Severity.ERROR]
    assert make_runner("dask", settings_of("dask.workers=7")).abilities.parallelism == 7


@pytest.mark.parametrize(
    ("words", "what", "mend"),
    [
        (["dask.address=tcp://127.0.0.1:1"], "Connection refused", "dask scheduler"),
        (["dask.address=localhost:8786"], "no address of a scheduler", "tcp://HOST:PORT"),
        (["dask.address=tcp://localhost:x"], "no address of a scheduler", "tcp://HOST:PORT"),
        (["dask.cluster=nowhere:At"], "No module named 'nowhere'", "module:Class"),
        (["dask.cluster=distributed:At"], "has no attribute 'At'", "module:Class"),
        (["dask.cluster_options=cores"], "'cores', which is no object of JSON", "cores"),
        (["dask.cluster_options=[1]"], "'[1]', which is no object of JSON", "queue"),
    ],
)
def test_hazard_error_found_only_when_it_starts(words, what, mend):
    (error,) = findings(*words)[Severity.ERROR]
    assert what in error.what
    assert mend in error.mend


def test_certificates_that_are_missing_are_told_by_setting(dask_servers, tmp_path):
    address = f"dask.address={dask_servers.address}"
    (error,) = findings(address)[Severity.ERROR]
    assert "dask.ca_file is missing" in error.what
    gone = tmp_path / "gone.pem"
    words = [*words_of(dask_servers), f"dask.ca_file={gone}", f"dask.key={gone}"]
    errors = findings(*words)[Severity.ERROR]
    assert [e.what.partition(" ")[0] for e in errors] == ["dask.ca_file", "dask.key"]
    assert all(str(gone) in e.what for e in errors)
    (error,) = findings(address.replace("tls:", "tcp:"))[Severity.ERROR]
    assert "no Dask scheduler answers" in error.what
    (error,) = findings(*words_of(dask_servers), address.replace("tls:", "tcp:"))[Severity.ERROR]
    assert "encryption required" in error.what
    assert "tls://" in error.mend


def test_workers_with_another_swath_or_none_are_refused(servers, tmp_path):
    other, none = tmp_path / "other.py", tmp_path / "none.py"
    other.write_text("import swath; swath.__version__ = '0.0.1'")
    none.write_text("import sys; sys.modules['swath'] = None")
    servers.start_worker("other", "--preload", str(other))
    servers.start_worker("none", "--preload", str(none))
    errors = findings(*words_of(servers))[Severity.ERROR]
    said = "\n".join(error.what for error in errors)
    assert "has Swath 0.0.1" in said
    assert "has no Swath that can be loaded (ModuleNotFoundError" in said
    assert {error.mend for error in errors} == {
        f"Install it in the environment of the workers: pip install swath=={swath.__version__}"
    }


def test_local_files_are_refused_where_workers_do_not_see_them(diamond):
    with pytest.raises(ConfigError, match="root_uri") as caught:
        run_here(diamond, "dask.shared_files=no")
    assert "object store" in str(caught.value)
    assert not list(Path(diamond.place.root_uri).glob("runs/*"))


def test_requests_are_the_tasks(diamond):
    made = plan_experiments(declared(diamond, n_gpus=1), runner="dask", splits=3)
    settings = settings_of(*diamond.place.settings)
    requests = requests_of(made, "dask", settings)
    assert len(requests) == 10
    assert {item["key"].rpartition("-")[2] for item in requests} == {"0"}
    assert requests[0]["command"][:3] == ["swath", "run-command", "--copy-output"]
    wishes = Counter(item["resources"].get("GPU", 0) for item in requests)
    assert wishes == {0: 7, 1: 3}
    assert not Path(diamond.place.root_uri, "runs").exists()


# ------------------------------------------------------------------ what runs


def test_split_has_the_settings_of_the_store_before_it_reads_anything(diamond):
    diamond.tell("u1", "hang")
    with running(diamond, "store.patience_s=7") as result:
        diamond.wait_until_hanging("u1")
        environment = psutil.Process(process_of(diamond, "u1")).environ()
    assert result().succeeded
    assert environment["SWATH_STORE_PATIENCE_S"] == "7"


def test_split_over_its_time_limit_is_stopped_and_not_tried_again(diamond):
    diamond.tell("u1", "hang")
    outcome = run_here(diamond, "commands.double.time_limit_s=3", keep_going=True).outcome
    key = split_of(diamond, "u1")
    assert key in outcome.failed
    assert "stopped at its time limit of 3 s" in outcome.reasons[key]
    assert outcome.causes[key] is Cause.WORK
    assert starts(diamond)[key] == 1
    assert not psutil.pid_exists(process_of(diamond, "u1"))


def test_child_that_cannot_begin_says_why(diamond):
    """As where workers do not see the files after all."""
    diamond.tell("u0", "hang")
    with running(diamond) as result:
        diamond.wait_until_hanging("u0")
        join = diamond.folder.read_plan()["splits"][-1]["key"]
        diamond.folder.remove(f"commands/{join}.json")
    outcome = result().outcome
    assert outcome.failed == (join,)
    assert "exit code 2" in outcome.reasons[join]
    assert "there is no assignment" in outcome.reasons[join]


def test_gpu_units_run_on_a_worker_that_offers_gpus(plain, servers):
    servers.start_worker("gpu", GPU=1)
    plain.tell("u4", "hang")
    with running(plain, n_gpus=1) as result:
        plain.wait_until_hanging("u4")
        assert worker_of(servers, plain, "u4") == "gpu"
    assert result().succeeded
    asking = RunSplit("chip-0a-1", "chip", "n", 3, "f" * 20, Resources(gpus=2), ())
    (error,) = findings(*words_of(servers), splits=(asking,))[Severity.ERROR]
    assert "wants 2 GPU, and of the workers the largest has 1" in error.what
    assert "run.device=cpu" in error.mend


def test_hazard_impossible_resource_is_told_instead_of_waiting_for_ever(plain, servers):
    """Dask itself leaves such a task pending, without a word."""
    servers.start_worker("gpu", GPU=1)
    plain.tell("u4", "hang")
    with running(plain, "dask.patience_s=1", n_gpus=1, keep_going=True) as result:
        plain.wait_until_hanging("u4")
        servers.end_worker("gpu", kill=True)
    outcome = result().outcome
    assert {key.partition("-")[0] for key in outcome.failed} == {"double"}
    for key in outcome.failed:
        assert "no Dask worker has offered 1 GPU for 1 s" in outcome.reasons[key]
        assert "--resources" in outcome.reasons[key]
    assert "square" in {key.partition("-")[0] for key in outcome.done}


def test_run_without_workers_ends_with_the_reason(plain, servers):
    for name in servers.workers():
        servers.end_worker(name, kill=True)
    found = findings(*words_of(servers))
    (warning,) = found[Severity.WARNING]
    assert "would wait 300 s for one" in warning.what
    assert "dask worker" in warning.mend
    outcome = run_here(plain, "dask.patience_s=1").outcome
    assert "there has been no Dask worker for 1 s" in outcome.reasons[outcome.failed[0]]


def test_patience_starts_anew_when_a_worker_has_come():
    lacks, some = Lacks(10), [DaskWorker("tcp://1", 1, 0)]
    assert lacks.hopeless([0, 1], [], now=0.0) == set()
    assert lacks.hopeless([0, 1], some, now=9.0) == set()
    assert lacks.hopeless([0, 1], [], now=11.0) == {1}
    assert lacks.hopeless([0], [], now=20.9) == set()
    assert lacks.hopeless([0], [], now=21.0) == {0}


# ------------------------------------------------------------------ workers that are lost


def test_split_of_a_killed_worker_runs_elsewhere_and_nowhere_else(plain, servers):
    plain.tell("u1", "hang")
    with running(plain) as result:
        plain.wait_until_hanging("u1")
        first = process_of(plain, "u1")
        servers.end_worker(worker_of(servers, plain, "u1"), kill=True)
        until(lambda: not psutil.pid_exists(first), "the process ends with its worker")
        until(lambda: process_of(plain, "u1") != first, "the split is started again")
        # Any other client knows that this is the second attempt.
        other = Life.of(plain.folder)
        seen = other.runner.look(other.context)[split_of(plain, "u1")]
        assert (seen.state, seen.reason[:26]) == (JobState.RUNNING, "on the Dask worker tcp://1")
    assert result().succeeded
    assert starts(plain).pop(split_of(plain, "u1")) == 2


def test_split_of_a_worker_that_closes_runs_elsewhere(plain, servers):
    plain.tell("u1", "hang")
    with running(plain) as result:
        plain.wait_until_hanging("u1")
        first = process_of(plain, "u1")
        servers.end_worker(worker_of(servers, plain, "u1"))
        until(lambda: not psutil.pid_exists(first), "the process ends before its worker")
        until(lambda: process_of(plain, "u1") != first, "the split is started again")
    assert result().succeeded


# ------------------------------------------------------------------ clients that come and go


def test_second_client_joins_what_is_in_flight_and_starts_nothing_twice(diamond, dask_servers):
    diamond.tell("u1", "hang")
    client = diamond.start()
    diamond.wait_until_hanging("u1")
    client.kill()
    client.wait()
    until(lambda: not has_client(dask_servers, diamond), "the scheduler misses the client")
    with running(diamond) as result:
        until(lambda: has_client(dask_servers, diamond), "the second client follows")
    assert result().folder is None  # all was done in the first run
    assert starts(diamond) == dict.fromkeys(starts(diamond), 1)
    assert len(starts(diamond)) == 10
    assert diamond.total() == str(total(6))


@pytest.mark.parametrize("client_lives", [True, False])
def test_cancel_leaves_no_process(diamond, client_lives):
    diamond.tell("u1", "hang")
    diamond.tell("u2", "hang")
    client = diamond.start()
    diamond.wait_until_hanging("u1")
    diamond.wait_until_hanging("u2")
    if not client_lives:
        client.kill()
        client.wait()
    assert sum(map(psutil.pid_exists, pids(diamond))) == 2
    assert cancel(diamond.folder)
    assert not any(map(psutil.pid_exists, pids(diamond)))
    assert client.wait(30) == (130 if client_lives else -signal.SIGKILL)
    diamond.mend("u1")
    diamond.mend("u2")
    assert try_again(diamond.folder).succeeded
    assert diamond.total() == str(total(6))


def test_run_whose_scheduler_dies_ends_its_processes_and_can_be_given_up(tmp_path, caplog):
    with DaskServers(workers=1) as own:
        place = Place("dask", str(tmp_path / "root"), words_of(own))
        with diamond_in(place, tmp_path) as diamond:
            diamond.tell("u1", "hang")
            client = diamond.start()
            diamond.wait_until_hanging("u1")
            own.process_of("scheduler").kill()
            said = said_by(client)
            assert "the connection to the Dask scheduler" in said
            assert "Traceback" not in said
            assert client.returncode == 1
            until(lambda: not any(map(psutil.pid_exists, pids(diamond))), "its processes end")
            with pytest.raises(RunError, match="no Dask scheduler answers"):  # to go on with it
                run_here(diamond)
            life = Life.of(diamond.folder)
            assert life.runner.look(life.context) == {}
            assert "no Dask scheduler answers" in caplog.text
            assert cancel(diamond.folder)
            with pytest.raises(ConfigError, match="no Dask scheduler answers"):  # for a new one
                run_here(diamond)


def test_root_on_a_store_needs_no_common_files(tmp_path, s3_bucket):
    with DaskServers(workers=1) as own:  # they see the variables that lead to the store
        words = (*words_of(own), "dask.shared_files=no")
        with diamond_in(Place("dask", f"s3://{s3_bucket}/root", words), tmp_path, n=2) as diamond:
            assert run_here(diamond).succeeded
            assert diamond.total() == str(total(2))
            assert set(starts(diamond).values()) == {1}
            code, said = diamond.swath("logs", diamond.folder.uri, "double*")
            assert (code, "doubling u1" in said) == (0, True), said


# ------------------------------------------------------------------ clusters made for a run


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_cluster_of_this_machine_shares_its_cores_and_leaves_no_process(tmp_path):
    place = Place("dask", str(tmp_path / "root"), ("dask.workers=2",))
    with diamond_in(place, tmp_path) as diamond:
        diamond.tell("u1", "hang")
        client = diamond.start(n_gpus=1)  # there is none here: it runs on the CPU
        diamond.wait_until_hanging("u1")
        started = children_of(client)
        assert process_of(diamond, "u1") in {process.pid for process in started}
        client.kill()
        assert not psutil.wait_procs(started, timeout=30)[1]
        diamond.mend("u1")
        code, said = diamond.run(n_gpus=1)
        assert code == 0, said
        assert "distributed" not in said
        assert diamond.total() == str(total(6))
        assignments = diamond.folder.read_all("commands")
    threads = {item["threads"] for item in assignments.values() if item["kind"] != "join"}
    assert threads == {max(1, len(os.sched_getaffinity(0)) // 2)}


def test_interrupt_of_a_client_with_a_cluster_leaves_no_process(tmp_path):
    place = Place("dask", str(tmp_path / "root"), ("dask.workers=2",))
    with diamond_in(place, tmp_path) as diamond:
        diamond.tell("u1", "hang")
        client = diamond.start()
        diamond.wait_until_hanging("u1")
        started = children_of(client)
        client.send_signal(signal.SIGINT)
        said = said_by(client)
        assert client.returncode == 130, said
        assert not any(map(psutil.pid_exists, pids(diamond)))
        assert not psutil.wait_procs(started, timeout=30)[1]
        assert "stopped" in diamond.swath("status", diamond.folder.uri)[1]


def test_any_class_of_cluster_is_made_with_its_options(tmp_path):
    options = {"processes": True, "resources": {"GPU": 1}, "dashboard_address": "127.0.0.1:0"}
    words = (
        "dask.cluster=distributed.deploy.local:LocalCluster",
        f"dask.cluster_options={json.dumps(options | {'n_workers': 1})}",
        "dask.workers=2",
    )
    place = Place("dask", str(tmp_path / "root"), words)
    with diamond_in(place, tmp_path) as diamond:
        result = run_here(diamond, n_gpus=1)
        assert result.succeeded
        assignments = diamond.folder.read_all("commands")
        assert {item["threads"] for item in assignments.values()} == {1}


def test_port_of_a_dashboard_that_is_taken_is_no_news(tmp_path, monkeypatch):
    """Dask takes another port then; whatever else it warns of is told."""
    module = f"clusters_{uuid4().hex}"
    (tmp_path / f"{module}.py").write_text(
        "import warnings\n\n\ndef make(text):\n    warnings.warn(text)\n    return text\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def made(text: str) -> Any:
        options = json.dumps({"text": text})
        return make_cluster(
            settings_of(f"dask.cluster={module}:make", f"dask.cluster_options={options}")
        )

    taken = "Port 8787 is already in use.\nHosting the HTTP server on port 41899 instead"
    assert made(taken) == taken
    with pytest.warns(UserWarning, match="no such queue"):
        made("no such queue")
