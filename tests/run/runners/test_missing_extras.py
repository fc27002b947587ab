"""Without its extra a runner says which one to install, before anything is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import sys

missing = sys.argv.pop(1).split(",")

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Finder())
from swath.cli.app import run_app
sys.exit(run_app())
"""

RUNNERS = {
    "dask": ("distributed", "swath[dask]"),
    "batch": ("boto3,botocore", "swath[aws]"),
    "sagemaker": ("boto3,botocore", "swath[aws]"),
    "fargate": ("boto3,botocore", "swath[aws]"),
}
"""Runner to the libraries that are missing, and the extra that brings them."""


def swath_without(modules: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, modules, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("runner", RUNNERS)
def test_runner_without_its_extra_says_which_to_install(runner: str, tmp_path: Path) -> None:
    modules, extra = RUNNERS[runner]
    words = ["-a", "root_uri", str(tmp_path / "root"), "-a", "faults", str(tmp_path)]
    if runner != "dask":
        words[2] = "memory://bucket/root"
    ended = swath_without(modules, "run", runner, "swath.testing.diamond", *words)
    assert ended.returncode == 2, ended.stderr
    assert f"pip install '{extra}'" in ended.stderr
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("scheme", ["s3", "gs", "az", "https"])
def test_store_without_its_extra_says_which_to_install(scheme: str, tmp_path: Path) -> None:
    words = ["-a", "root_uri", f"{scheme}://bucket/root", "-a", "faults", str(tmp_path)]
    ended = swath_without("obstore", "run", "inprocess", "swath.testing.diamond", *words)
    assert ended.returncode == 2, ended.stderr
    assert "pip install 'swath[cloud]'" in ended.stderr


@pytest.mark.parametrize("runner", ["inprocess", "local", "slurm"])
def test_other_runners_need_no_extra(runner: str, tmp_path: Path) -> None:
    words = ["-a", "root_uri", str(tmp_path / "root"), "-a", "faults", str(tmp_path)]
    modules = "boto3,botocore,obstore,distributed"
    ended = swath_without(modules, "plan", "swath.testing.diamond", *words)
    assert ended.returncode == 0, ended.stderr
    ended = swath_without(modules, "doctor", runner)
    assert "pip install" not in ended.stderr
