"""What is refused before anything is submitted to Slurm."""

from __future__ import annotations

from typing import Any

import pytest

from swath.plan.command import Resources
from swath.run.runner import Finding, Severity
from swath.run.runners.slurm import SlurmBackend
from swath.run.runners.slurm_checks import offers_in, partition_findings
from swath.run.runners.slurm_programs import SlurmRefusedError, call
from swath.run.splits import RunSplit
from swath.settings import load_settings
from swath.testing.slurm import OneNodeSlurm

SINFO = """\
cpu*|up|64|257000|(null)|2-00:00:00
cpu*|up|128|515000|(null)|2-00:00:00
gpu|up|32|128000|gpu:a100:4(S:0-1)|12:00:00
long|down|64|257000|(null)|infinite
"""


def split(kind: str = "train", **resources: Any) -> RunSplit:
    return RunSplit(f"{kind}-0", kind, kind, 1, "print", Resources(**resources), ())


def found(*overrides: str, **resources: Any) -> list[Finding]:
    settings = load_settings(overrides, environment={})
    return list(partition_findings([split(**resources)], offers_in(SINFO), settings))


def errors(*overrides: str, **resources: Any) -> list[str]:
    told = found(*overrides, **resources)
    return [f"{f.what} {f.mend}" for f in told if f.severity is Severity.ERROR]


def test_what_some_node_can_hold_is_fine():
    assert not found(cpus=128, memory_gib=500, time_limit_s=2 * 86400)
    assert not found("slurm.gpu_partition=gpu", gpus=4, time_limit_s=12 * 3600)
    assert not found("slurm.partition=cpu,gpu", gpus=1)


def test_partition_that_is_not_there_is_an_error_with_its_setting():
    (error,) = errors("slurm.partition=huge")
    assert "no partition 'huge'; Slurm has cpu, gpu, long" in error
    assert "slurm.partition" in error
    (error,) = errors("commands.train.partition=cpu,huge", "slurm.partition=cpu")
    assert "commands.train.partition" in error


def test_gpu_where_there_is_none_is_an_error_with_the_setting_to_set():
    (error,) = errors(gpus=1)
    assert "train asks for 1 GPU, and nodes of partition 'cpu' have none" in error
    assert "slurm.gpu_partition" in error
    (error,) = errors("slurm.gpu_partition=gpu", gpus=5)
    assert "have 4" in error


def test_more_than_any_node_or_partition_gives_is_an_error_with_the_number():
    (error,) = errors(cpus=129)
    assert "129 cores" in error
    assert "128 at most" in error
    (error,) = errors(memory_gib=510)
    assert "510 GiB" in error
    assert "502.9 at most" in error
    assert "commands.train.memory_gib" in error
    (error,) = errors("slurm.time_limit_s=180000")
    assert "3000 minutes" in error
    assert "2880 at most" in error
    assert not errors("slurm.partition=long", "slurm.time_limit_s=18000000")


def test_partition_that_is_down_is_a_warning():
    (finding,) = found("slurm.partition=long")
    assert finding.severity is Severity.WARNING
    assert "'long' is down" in finding.what


def findings(*overrides: str, splits: tuple[RunSplit, ...] = ()) -> list[Finding]:
    return list(SlurmBackend(load_settings(overrides)).findings(splits))


def test_doctor_finds_slurm_and_says_what_is_taken_for_granted(slurm: OneNodeSlurm):
    told = findings()
    assert {finding.severity for finding in told} == {Severity.FINE}
    assert told[0].what.startswith("slurm")
    assert "partitions cpu, gpu" in told[0].what
    assert "see the files of this machine" in told[1].what
    assert "none of our files" in findings("slurm.shared_files=no")[1].what


def test_slurm_itself_is_asked_about_what_only_it_knows(
    slurm: OneNodeSlurm, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SBATCH_CONSTRAINT", "avx1024")
    (error,) = (f for f in findings(splits=(split(),)) if f.severity is Severity.ERROR)
    assert "Slurm refuses splits of train" in error.what
    assert "feature" in error.what.lower()


def test_without_slurm_it_says_where_to_go(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    (finding,) = findings()
    assert finding.severity is Severity.ERROR
    assert "there is no sbatch on the path" in finding.what
    assert "login node" in finding.mend


@pytest.mark.parametrize(
    ("stderr", "told"),
    [
        ("sbatch: welcome\nsbatch: error: invalid  account\n", "invalid account"),
        ("sbatch: lua: hello\nallocation failure: no node\n", "allocation failure: no node"),
        ("squeue: who knows", "who knows"),
        ("", "exit code 3"),
    ],
)
def test_program_that_fails_is_told_without_what_the_site_says_beside(tmp_path, stderr, told):
    (tmp_path / "said").write_text(stderr)
    program = tmp_path / "sbatch"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path}/said' >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(SlurmRefusedError) as caught:
        call(str(program))
    assert str(caught.value) == told
