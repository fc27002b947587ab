"""What every test shares: threads, Hypothesis, where the real imagery is.

Not for fixtures of one room; those stand in the `conftest.py` of that room's folder.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from swath.testing.dask import DaskServers
from swath.testing.s3 import MotoServer
from swath.testing.slurm import OneNodeSlurm, missing_programs

# Before any library starts its pool: several test processes share the cores.
for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "GDAL_NUM_THREADS",
):
    os.environ.setdefault(variable, "1")
# Tests need no network: a model library that reaches for a hub fails at once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

PROJECT = Path(__file__).parents[1]
SHARED_DATA = PROJECT.parent / "shared" / "data"

# No deadline: the first example may load numpy or torch, and CI shares its cores.
settings.register_profile(
    "swath", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# In CI every run tries the same examples, so that a red build is the change's own doing.
settings.register_profile("ci", parent=settings.get_profile("swath"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "swath")


@pytest.fixture(autouse=True)
def restored_environment() -> Iterator[None]:
    """Give back the environment as it was: `Settings.make_known` writes to it."""
    before = dict(os.environ)
    yield
    changed = {name for name, _ in os.environ.items() ^ before.items()}
    for name in changed - {"PYTEST_CURRENT_TEST"}:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real imagery that lies beside the project, read-only."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real imagery is not here: no folder ../shared/data beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def olinda() -> Path:
    """Return the folder of the Olinda example: `L7_ETMs.tif` and `labels.tif`."""
    return PROJECT / "examples" / "olinda"


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    """Return an S3 on loopback, for all tests of this process; each makes its own bucket."""
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="session")
def dask_servers() -> Iterator[DaskServers]:
    """Return a Dask scheduler with two workers on loopback, with TLS, for all tests."""
    with DaskServers(tls=True) as servers:
        yield servers


@pytest.fixture
def s3_bucket(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return the name of a new bucket, with the environment set so that all clients reach it."""
    bucket = f"test-{uuid.uuid4().hex}"
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in moto_server.environment(bucket).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return bucket


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[OneNodeSlurm]:
    """Return a Slurm of one node, for all tests of this process."""
    if missing := missing_programs():
        pytest.skip(f"Slurm is not here, no {missing[0]}: apt-get install slurm-wlm munge")
    with OneNodeSlurm() as cluster:
        yield cluster


@pytest.fixture
def slurm(slurm_cluster: OneNodeSlurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneNodeSlurm]:
    """Return a Slurm that the programs of Slurm reach; what a test leaves there is cancelled."""
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield slurm_cluster
    slurm_cluster.cancel_all()


@dataclass(frozen=True)
class Answer:
    """What a command line answered."""

    exit_code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def run_swath() -> Callable[..., int]:
    """Return a function that runs ``swath ARGUMENTS...`` in this process."""
    from swath.cli.app import run_app

    def run(*arguments: object) -> int:
        taken = (signal.SIGINT, signal.SIGTERM)  # by `swath run`; given back
        before = [signal.getsignal(number) for number in taken]
        try:
            return run_app([str(argument) for argument in arguments])
        finally:
            for number, handler in zip(taken, before, strict=True):
                signal.signal(number, handler)

    return run


@pytest.fixture
def swath_cli(
    run_swath: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Return a function that runs ``swath ARGUMENTS...`` and returns what it answered."""

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        exit_code = run_swath(*arguments)
        told = capsys.readouterr()
        return Answer(exit_code, told.out, told.err)

    return call
