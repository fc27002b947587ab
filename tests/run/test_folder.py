"""The folder of a run: how it is named, found, read and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from swath.errors import ConfigError
from swath.run.folder import RunFolder, runs_of


def test_run_is_found_by_folder_by_id_and_as_the_latest(lab):
    pipeline = lab.pipeline(lab.copies("a"))
    first = lab.run(pipeline).folder
    second = lab.run(pipeline, rerun=("all",)).folder
    root = Path(lab.root)
    assert {folder.id for folder in runs_of(root)} == {first.id, second.id}
    assert RunFolder.find(str(first.path), None).path == first.path
    assert RunFolder.find(first.id, root).path == first.path
    assert RunFolder.find("latest", root).id == max(first.id, second.id)
    with pytest.raises(ConfigError, match="no run 'nothing'; the latest in") as caught:
        RunFolder.find("nothing", root)
    assert "its id and --root" in str(caught.value)
