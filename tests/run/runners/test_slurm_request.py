"""What sbatch is called with; Slurm itself is in `test_slurm.py`."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from swath.errors import ConfigError
from swath.plan.command import Resources
from swath.run.folder import RunFolder
from swath.run.jobs import Edge, Job
from swath.run.runners.slurm_programs import environment
from swath.run.runners.slurm_request import SCRIPT, options_of, output_of, request_of
from swath.settings import Settings, load_settings

FOLDER = RunFolder("/data/root/runs/20261121-0102")


def with_settings(*overrides: str) -> Settings:
    return load_settings(overrides, environment={})


def job(kind: str = "chip", n: int = 1, after: tuple[Edge, ...] = (), **resources: Any) -> Job:
    splits = tuple(f"{kind}-{i}" for i in range(n))
    return Job(f"{FOLDER.id}-r0-{kind}", kind, splits, after, Resources(**resources))


def request(some: Job, *overrides: str, folder: RunFolder = FOLDER, **ids: str) -> list[str]:
    return request_of(some, ids, folder=folder, settings=with_settings(*overrides))


def options(*overrides: str, kind: str = "train", **resources: Any) -> dict[str, str]:
    """Return the options of a split by name."""
    words = options_of(kind, Resources(**resources), with_settings(*overrides))
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def test_single_job_runs_the_worker_of_its_split():
    words = request(job())
    program, options = words[: words.index("/dev/stdin")], words[words.index("/dev/stdin") + 1 :]
    assert program[:2] == ["sbatch", "--parsable"]
    assert options == [
        *(sys.executable, "-m", "swath", "run-command", "--copy-output"),
        f"{FOLDER.uri}/commands/chip-0.json",
    ]
    assert f"--job-name={FOLDER.id}-r0-chip" in words
    assert f"--comment=swath {FOLDER.uri}" in words
    assert f"--output={FOLDER.uri}/logs/slurm-{FOLDER.id}-r0-chip.out" in words
    assert f"--chdir={FOLDER.uri}" in words
    assert not [word for word in words if word.startswith(("--array", "--dependency"))]


def test_array_tells_its_elements_apart_by_their_index():
    words = request(job(n=12))
    assert "--array=0-11" in words
    assert f"--output={FOLDER.uri}/logs/slurm-{FOLDER.id}-r0-chip-%a.out" in words
    assert words[-3:] == [
        *("--array-index", "SLURM_ARRAY_TASK_ID"),
        f"{FOLDER.uri}/arrays/{FOLDER.id}-r0-chip.json",
    ]


def test_elements_at_once_are_limited_where_there_are_more():
    assert "--array=0-11%5" in request(job(n=12), "slurm.tasks=5")
    assert "--array=0-11" in request(job(n=12), "slurm.tasks=12")


def test_edges_wait_for_all_of_a_job_or_for_the_same_element():
    after = (Edge("one", is_each=False), Edge("other", is_each=True))
    words = request(job(n=3, after=after), one="17", other="18")
    assert "--dependency=afterok:17,aftercorr:18" in words
    assert "--kill-on-invalid-dep=yes" in words


def test_amounts_are_those_of_the_split_then_of_the_settings_then_of_the_cluster():
    assert options() == {"nodes": "1", "ntasks": "1", "cpus-per-task": "1"}
    given = ("slurm.cpus=3", "slurm.memory_gib=8", "slurm.time_limit_s=90")
    assert options(*given) == {
        **options(),
        "cpus-per-task": "3",
        "mem": "8192M",
        "time": "2",  # whole minutes, never less than was asked for
    }
    own = options(*given, cpus=2, memory_gib=0.5, time_limit_s=60, gpus=2)
    assert (own["cpus-per-task"], own["mem"], own["time"]) == ("2", "512M", "1")
    assert own["gres"] == "gpu:2"


def test_account_and_quality_of_service_are_those_of_the_settings():
    chosen = options("slurm.account=maps", "slurm.qos=long")
    assert (chosen["account"], chosen["qos"]) == ("maps", "long")


def test_partition_is_that_of_the_kind_then_of_gpus_then_of_all():
    usual, gpu = "slurm.partition=small", "slurm.gpu_partition=fast"
    own = "commands.train.partition=own"
    assert "partition" not in options()
    assert options(usual)["partition"] == "small"
    assert options(usual, gpu)["partition"] == "small"
    assert options(usual, gpus=1)["partition"] == "small"
    assert options(usual, gpu, gpus=1)["partition"] == "fast"
    assert options(usual, gpu, own, gpus=1)["partition"] == "own"
    assert options(usual, gpu, own, kind="chip")["partition"] == "small"


def test_python_on_the_nodes_may_be_another():
    assert "/opt/swath/bin/python" in request(job(), "slurm.python=/opt/swath/bin/python")


def test_nodes_without_our_files_are_given_none():
    words = request(job(), "slurm.shared_files=no", folder=RunFolder("memory://bucket/root/runs/1"))
    assert "--output=/dev/null" in words
    assert "--chdir=/" in words
    assert words[-1] == "memory://bucket/root/runs/1/commands/chip-0.json"


def test_run_on_a_store_keeps_output_in_the_folder_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    words = request(job(), folder=RunFolder("memory://bucket/root/runs/1"))
    assert f"--chdir={tmp_path}/swath/runs/1" in words
    assert f"--output={tmp_path}/swath/runs/1/logs/slurm-{job().name}.out" in words


def test_patterns_of_slurm_in_a_folder_are_none():
    folder = RunFolder("/data/100%x/root/runs/1")
    (word,) = [w for w in request(job(n=2), folder=folder) if w.startswith("--output")]
    assert word == f"--output=/data/100%%x/root/runs/1/logs/slurm-{job().name}-%a.out"
    assert output_of(job(), folder, 1) == Path(
        f"/data/100%x/root/runs/1/logs/slurm-{job().name}-1.out"
    )


def test_folder_that_slurm_cannot_write_to_is_refused():
    with pytest.raises(ConfigError, match="backslash") as error:
        request(job(), folder=RunFolder("/data/a\\b/runs/1"))
    assert "root_uri" in str(error.value)


def test_script_executes_its_arguments_whatever_they_hold():
    words = ["printf", "%s|", "a b", "$HOME", "it's", '"', "`id`", ";", "*", "ü", "\n"]
    told = subprocess.run(
        ["sh", "-s", *words], input=SCRIPT, capture_output=True, text=True, check=True
    )
    assert told.stdout == "".join(f"{word}|" for word in words[2:])
    assert not [word for word in shlex.split(SCRIPT, comments=True) if word not in ("exec", "$@")]


def test_jobs_do_not_inherit_the_job_we_run_in_nor_habits_of_the_user():
    ours = {
        "PATH": "/bin",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JWT": "token",
        "SLURM_JOB_ID": "1",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_MEM_PER_NODE": "100",
        "SQUEUE_STATES": "RUNNING",
        "SCANCEL_INTERACTIVE": "1",
        "SBATCH_WAIT": "1",
        "SBATCH_CONSTRAINT": "avx512",
        "PYTHONPATH": "src",
    }
    assert environment(ours) == {
        "PATH": "/bin",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JWT": "token",
        "SBATCH_CONSTRAINT": "avx512",
        "PYTHONPATH": str(Path("src").absolute()),
    }
