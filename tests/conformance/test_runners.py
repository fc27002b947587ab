"""Every runner passes the suite that plugin authors use."""

from __future__ import annotations

from swath.testing.conformance import RunnerSuite


class TestRunners(RunnerSuite):
    """With the places of ``conftest.py``."""
