"""Whole runs on a Slurm of one node, by clients that are processes.

What every runner does alike is in the conformance suite.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from swath.run.folder import RunFolder, runs_of
from swath.testing.conformance import Place, diamond_in
from swath.testing.slurm import OneNodeSlurm

SETTINGS = ("slurm.poll_s=1", "slurm.gpu_partition=gpu")

KILLING = """\
#!/bin/sh
# sbatch, at whose n-th submission the client is killed, before or after it did what was asked.
case "$*" in *--parsable*) ;; *) exec "{program}" "$@" ;; esac
n=$(cat "{count}")
echo $((n - 1)) > "{count}"
if [ "$n" -eq 1 ] && [ {moment} = before ]; then kill -9 $PPID; exit; fi
"{program}" "$@"
if [ "$n" -eq 1 ]; then kill -9 $PPID; fi
"""


def elements(slurm: OneNodeSlurm, folder: RunFolder) -> Counter[str]:
    """Count the elements that Slurm was ever given of each kind."""
    words = ("squeue", "--noheader", "--array", "--states=all", "--format=%j")
    names = [name for name in slurm.asked(*words).splitlines() if name.startswith(folder.id)]
    return Counter(name.removeprefix(f"{folder.id}-r0-").split("-")[0] for name in names)


@pytest.mark.parametrize(("n", "moment"), [(1, "after"), (3, "before")])
def test_killed_client_submitted_nothing_that_the_next_submits_again(
    n: int, moment: str, slurm: OneNodeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    count, script = folder / "count", folder / "sbatch"
    count.write_text(f"{n}\n")
    fields = {"count": count, "program": shutil.which("sbatch"), "moment": moment}
    script.write_text(KILLING.format(**fields))
    script.chmod(0o755)
    with diamond_in(Place("slurm", str(tmp_path / "root"), SETTINGS), tmp_path) as diamond:
        with monkeypatch.context() as with_killer:
            with_killer.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
            code, said = diamond.run(splits=2)
            assert code == -9, said
        code, said = diamond.run(splits=2)
        assert code == 0, said
        (run,) = runs_of(diamond.place.root_uri)
        assert elements(slurm, run) == {"source": 2, "double": 2, "square": 2, "join": 1}
        assert diamond.units_done() == {"source": 6, "double": 6, "square": 6, "join": 1}


def test_status_and_logs_tell_what_slurm_knows(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    with diamond_in(Place("slurm", str(tmp_path / "root"), SETTINGS), tmp_path) as diamond:
        diamond.tell("u1", "hang")
        code, said = diamond.run("--detach", splits=1)
        assert code == 0, said
        diamond.wait_until_hanging("u1")
        lines = slurm.asked("squeue", "--noheader", "--format=%i %j").splitlines()
        (job,) = [line.split()[0] for line in lines if "-double-" in line]
        slurm.asked("scancel", job)
        code, said = diamond.swath("wait", diamond.folder.uri)
        assert code == 1, said
        code, said = diamond.swath("status", diamond.folder.uri)
        assert f"it was cancelled (Slurm job {job})" in said
        (key,) = {e.split for e in diamond.events() if e.split.startswith("double")}
        code, said = diamond.swath("logs", diamond.folder.uri, key, "--backend")
        assert "doubling u1" in said
        assert "CANCELLED AT" in said


def test_root_on_a_store_needs_no_shared_files(
    slurm: OneNodeSlurm, s3_bucket: str, tmp_path: Path
) -> None:
    settings = (*SETTINGS, "slurm.shared_files=no")
    with diamond_in(Place("slurm", f"s3://{s3_bucket}/root", settings), tmp_path) as diamond:
        code, said = diamond.run(splits=2)
        assert code == 0, said
        code, said = diamond.swath("logs", diamond.folder.uri, "double*")
        assert "doubling u5" in said


def test_local_root_is_refused_where_nodes_do_not_see_it(
    slurm: OneNodeSlurm, tmp_path: Path
) -> None:
    settings = (*SETTINGS, "slurm.shared_files=no")
    with diamond_in(Place("slurm", str(tmp_path / "root"), settings), tmp_path) as diamond:
        code, said = diamond.run()
        assert code == 2
        assert f"{tmp_path}/root: root_uri" in said


def test_dry_run_prints_what_would_be_submitted(slurm: OneNodeSlurm, tmp_path: Path) -> None:
    words = ["-a", "root_uri", str(tmp_path / "root"), "-a", "faults", str(tmp_path)]
    words += ["--splits", "3", "--set", "commands.double.partition=gpu", "--dry-run"]
    ended = subprocess.run(
        [sys.executable, "-m", "swath", "run", "slurm", "swath.testing.diamond", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    requests = json.loads(ended.stdout[ended.stdout.index("[\n") :])
    kinds = [item["command"][2].split("-r0-")[1].split("-")[0] for item in requests]
    assert sorted(kinds) == ["double", "join", "source", "square"]
    (double,) = [i["command"] for i in requests if "--partition=gpu" in i["command"]]
    assert "--array=0-2" in double
    assert any(word.startswith("--dependency=aftercorr:<id of ") for word in double)
    assert not slurm.asked("squeue", "--noheader", "--states=all", "--name=double")
    assert not (tmp_path / "root" / "runs").exists()
