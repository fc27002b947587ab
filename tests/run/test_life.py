"""The life of a run over several clients."""

from __future__ import annotations

import os

import pytest

from swath.errors import DeclarationError
from swath.run.lease import lock
from swath.run.life import Earlier, settle_with_earlier_runs


def test_client_counts_before_its_workers_are_there(lab):
    """Also a run in one process, which has no workers: it is not done twice at once."""
    pipeline = lab.pipeline(lab.copies("a"))
    folder = lab.run(pipeline).folder
    descriptor = lock(folder, "control", inherit=False)
    with pytest.raises(DeclarationError, match="is being run now"):
        settle_with_earlier_runs([pipeline])
    os.close(descriptor)
    assert settle_with_earlier_runs([pipeline]) == Earlier([], [])
