"""Where the runner `dask` finds its workers: at a scheduler, or in a cluster made for the run.

Not for what is done there, see `swath.run.runners.dask`.
"""

from __future__ import annotations

import importlib
import json
import logging
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import swath
from swath.errors import ConfigError, RunError
from swath.optional import require
from swath.run.runner import Finding, Severity
from swath.run.runners.dask_worker import swath_version
from swath.run.splits import RunSplit
from swath.settings import Settings, cores

CONNECT_S = 10
"""Seconds to wait for a scheduler."""

LOCAL_CLUSTER = "distributed:LocalCluster"
"""The cluster of this machine's processes, which share its cores, files and GPUs."""

GPU = "GPU"
"""The resource by which workers of Dask say that they have GPUs."""

_TLS = {
    "dask.ca_file": "tls_ca_file",
    "dask.certificate": "tls_client_cert",
    "dask.key": "tls_client_key",
}


@dataclass(frozen=True, slots=True)
class DaskWorker:
    """A worker as its scheduler knows it.

    Attributes
    ----------
    address
        Of its process.
    n_slots
        Splits that it does at once, one for each of its threads.
    n_gpus
        GPUs that it offers.
    """

    address: str
    n_slots: int
    n_gpus: int


def is_of_this_machine(settings: Settings) -> bool:
    """Tell whether a cluster of this machine's processes is made for each run."""
    return settings["dask.address"] is None and settings.text("dask.cluster") == LOCAL_CLUSTER


def library() -> Any:
    """Return the library.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    return require("distributed", extra="dask", purpose="by the runner dask")


def connect(settings: Settings, name: str) -> Any:
    """Connect to the scheduler that ``dask.address`` names.

    Parameters
    ----------
    settings
        Address and certificates. Without certificates, those of Dask's own configuration are used.
    name
        Of the client, as the scheduler shows it.

    Raises
    ------
    ConfigError
        If certificates are missing, or the address is none.
    RunError
        If no scheduler answers.
    """
    distributed = library()
    address = settings.text("dask.address")
    _refuse_address(address)
    given = {word: settings.text(key) for key, word in _TLS.items() if settings[key] is not None}
    security = distributed.Security(**given)
    for key, word in _TLS.items():
        if address.startswith("tls:") and getattr(security, word) is None:
            settings.required(key, f"to reach {address}")
    try:
        return distributed.Client(
            address, security=security, timeout=CONNECT_S, name=name, set_as_default=False
        )
    except OSError as error:
        raise _no_answer(address, error) from None
    except RuntimeError as error:  # Dask's own configuration may ask for encryption, too
        raise ConfigError(
            f"dask.address is {address!r}: {error}",
            mend="Give a tls:// address, or leave out dask.ca_file, dask.certificate and dask.key.",
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask from logging the traceback of a lost connection, which is told as an error."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _refuse_address(address: str) -> None:
    """Refuse what is no address, and one at which nobody listens.

    Dask knocks at a closed port again and again until its time is up; this tells it at once.
    """
    place = urlsplit(address)
    try:
        at = place.hostname or "", place.port or 0
    except ValueError:  # a port that is no number
        at = "", 0
    if place.scheme not in {"tcp", "tls", "ucx", "ws", "wss"} or not all(at):
        raise ConfigError(
            f"dask.address is {address!r}, which is no address of a scheduler.",
            mend="Give what the scheduler prints, tcp://HOST:PORT or tls://HOST:PORT.",
        )
    try:
        socket.create_connection(at, timeout=CONNECT_S).close()
    except OSError as error:
        raise _no_answer(address, error) from None


def _no_answer(address: str, error: OSError) -> RunError:
    return RunError(
        f"no Dask scheduler answers at {address}: {error}",
        mend="Start one there (dask scheduler), or mend dask.address; tls:// if it is encrypted.",
    )


def make_cluster(settings: Settings) -> Any:
    """Make the cluster that ``dask.cluster`` names; its workers may come later.

    Raises
    ------
    ConfigError
        If there is no such class, or its options are none.
    """
    make, options = _class_of(settings), _options_of(settings)
    if is_of_this_machine(settings):
        # One split at a time in each; a dashboard at any port, since the usual one may be in use.
        own = {"n_workers": settings.count("dask.workers", cores()), "threads_per_worker": 1}
        return make(**{"processes": True, "dashboard_address": "127.0.0.1:0"} | own | options)
    with warnings.catch_warnings():
        # Then the dashboard is at another port.
        warnings.filterwarnings("ignore", message=r"Port \d+ is already in use")
        cluster = make(**options)
    if settings["dask.workers"] is not None:
        cluster.scale(settings.count("dask.workers", 1))
    return cluster


def workers_of(client: Any) -> list[DaskWorker]:
    """Ask the scheduler for its workers; none if the connection is just lost."""
    known = client.scheduler_info(n_workers=-1).get("workers", {})
    return [
        DaskWorker(address, int(told["nthreads"]), int(told.get("resources", {}).get(GPU, 0)))
        for address, told in known.items()
    ]


def findings_of_cluster(settings: Settings) -> Iterator[Finding]:
    """Check what a cluster for a run is made of; none is made."""
    try:
        _class_of(settings)
        _options_of(settings)
    except ConfigError as error:
        yield Finding(Severity.ERROR, error.what, error.mend or "")
    else:
        yield Finding(Severity.FINE, f"each run gets a {settings.text('dask.cluster')} of its own")


def findings_of_scheduler(settings: Settings, splits: Sequence[RunSplit]) -> Iterator[Finding]:
    """Check certificates, connection, workers, their versions and GPUs."""
    missing = [key for key in _TLS if settings[key] and not Path(settings.text(key)).is_file()]
    for key in missing:
        yield Finding(
            Severity.ERROR,
            f"{key} is {settings.text(key)!r}, and there is no such file.",
            f"Give the path of a PEM file, in swath.toml or with --set {key}=PATH.",
        )
    if missing:
        return
    try:
        client = connect(settings, "swath-check")
    except (ConfigError, RunError) as error:
        yield Finding(Severity.ERROR, error.what, error.mend or "")
        return
    with client:
        yield Finding(Severity.FINE, f"a Dask scheduler answers at {settings.text('dask.address')}")
        workers = workers_of(client)
        yield _finding_of_workers(workers, settings)
        if workers:
            yield from _findings_of_versions(client)
            yield from _findings_of_gpus(workers, splits)


def _finding_of_workers(workers: Sequence[DaskWorker], settings: Settings) -> Finding:
    if not workers:
        return Finding(
            Severity.WARNING,
            "the scheduler has no workers; a run would wait "
            f"{settings.count('dask.patience_s', 0)} s for one.",
            f"Start one: dask worker {settings.text('dask.address')}",
        )
    n_slots = sum(worker.n_slots for worker in workers)
    n_gpus = sum(worker.n_gpus for worker in workers)
    return Finding(
        Severity.FINE, f"{len(workers)} workers with {n_slots} threads offer {n_gpus} GPUs"
    )


def _findings_of_versions(client: Any) -> Iterator[Finding]:
    answers = client.run(swath_version, on_error="return")
    others: dict[str, list[str]] = {}
    for address, answer in answers.items():
        if answer != swath.__version__:
            told = f"has no Swath that can be loaded ({answer})"
            version = f"has Swath {answer}" if isinstance(answer, str) else told
            others.setdefault(version, []).append(address)
    for version, addresses in others.items():
        yield Finding(
            Severity.ERROR,
            f"this is Swath {swath.__version__}, and the worker {addresses[0]} {version}"
            + (f", like {len(addresses) - 1} more" if len(addresses) > 1 else ""),
            f"Install it in the environment of the workers: pip install swath=={swath.__version__}",
        )
    if not others:
        yield Finding(Severity.FINE, f"all of them have Swath {swath.__version__}")


def _findings_of_gpus(
    workers: Sequence[DaskWorker], splits: Sequence[RunSplit]
) -> Iterator[Finding]:
    largest = max(worker.n_gpus for worker in workers)
    wishes = {split.kind: split.resources.gpus for split in splits}
    for kind, n_gpus in wishes.items():
        if n_gpus > largest:
            yield Finding(Severity.ERROR, _no_gpu(kind, n_gpus, largest), MEND_GPU)


def _no_gpu(kind: str, n_gpus: int, largest: int) -> str:
    offered = f"the largest has {largest}" if largest else "none offers any"
    return f"each split of {kind} wants {n_gpus} GPU, and of the workers {offered}."


MEND_GPU = (
    f'Start workers with --resources "{GPU}=1", or compute on CPUs with --set run.device=cpu.'
)
"""What to do where no worker offers a GPU."""


def _class_of(settings: Settings) -> Any:
    place = settings.text("dask.cluster")
    library()
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"dask.cluster is {place!r}, which cannot be loaded: {error}.",
            mend='Give "module:Class", for example dask_jobqueue:PBSCluster, and install it.',
        ) from None


def _options_of(settings: Settings) -> dict[str, Any]:
    text = settings["dask.cluster_options"]
    try:
        options = json.loads(str(text)) if text is not None else {}
    except ValueError as error:
        options = error
    if not isinstance(options, dict):
        raise ConfigError(
            f"dask.cluster_options is {text!r}, which is no object of JSON.",
            mend="""Give keyword arguments, for example '{"queue": "long", "cores": 8}'.""",
        )
    return options
