"""A config: a tree of steps that count one further than the one they read; the first waits."""

from __future__ import annotations

import time
from pathlib import Path

import swath


@swath.command(outputs={"count": "count.txt"})
def step(work: swath.Work) -> None:
    """Add one to what the step before wrote."""
    before = work.inputs("before")
    go = Path(work.params["go"])
    while not before and not go.exists():
        time.sleep(0.05)
    count = int(Path(before[0]).read_text()) if before else 0
    work.output("count").write_text(str(count + 1))


def get_config(root_uri: str, go: Path, n: int = 24) -> swath.Pipeline:
    """Declare `n` steps, each of which reads the one of half its number."""
    steps = [step.each(root_uri, {"u": {}}, number=0, go=go)]
    for number in range(1, n):
        before = {"before": steps[number // 2].ref("u", "count")}
        steps.append(step.each(root_uri, {"u": before}, number=number, go=go))
    last = steps[-1].ref("u", "count")
    return swath.Pipeline("steps", root_uri, tuple(steps), results={"count.txt": last})
