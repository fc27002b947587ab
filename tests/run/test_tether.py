"""A tethered worker ends with whoever started it, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

STUBBORN = """
    import os, signal, sys, time
    from swath.run import tether

    tether.GRACE_S = 0.2
    {first}
    tether.stop_with_starter()
    print(os.read(0, 1), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("", signal.SIGTERM),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", signal.SIGKILL),
        ("os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)", signal.SIGKILL),
    ],
)
def test_process_stops_when_its_standard_input_ends(first: str, expected: signal.Signals) -> None:
    code = textwrap.dedent(STUBBORN).format(first=first)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"b''\n"  # what runs in it reads nothing
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=30) == -expected


def test_process_stops_when_its_starter_is_killed() -> None:
    worker = """if True:
        import time
        from swath.run.tether import stop_with_starter
        stop_with_starter()
        print(flush=True)
        time.sleep(60)
    """
    starter = f"""if True:
        import subprocess, sys
        worker = subprocess.Popen([sys.executable, "-c", {worker!r}], stdin=subprocess.PIPE)
        worker.wait()
    """
    process = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        assert process.stdout.read() == b""  # once the worker has closed its end, too
