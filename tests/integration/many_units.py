"""A config with many short units, one long one that keeps state, and outputs that can be foretold.

Every start of a unit is noted in the file that the variable MANY_UNITS_CALLS names.
"""

import hashlib
import os
import time
from pathlib import Path

import swath

N_UNITS = 18
N_STEPS = 12
PAUSE_S = 0.01


def note(work: swath.Work, kind: str) -> None:
    """Add one line to the list of calls, at once."""
    descriptor = os.open(os.environ["MANY_UNITS_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{kind} {work.unit}\n".encode())
    os.close(descriptor)


@swath.command(outputs={"text": "text.bin", "half": "half.bin"})
def grow(work: swath.Work) -> None:
    """Write slowly, so that kills find files half written."""
    note(work, "grow")
    with work.output("text").open("wb", buffering=0) as file:
        for i in range(4):
            file.write(hashlib.sha256(f"{work.unit} {i}".encode()).digest() * 64)
            time.sleep(PAUSE_S)
    work.output("half").write_bytes(work.unit.encode())


@swath.command(outputs={"digest": "digest.txt"})
def climb(work: swath.Work) -> None:
    """Hash what has grown, step by step; a killed attempt goes on where it was."""
    note(work, "climb")
    state = work.state_dir / "state.txt"
    step, digest = 0, ""
    if state.exists():
        number, digest = state.read_text().split(" ")
        step = int(number)
    paths = work.inputs("texts")
    while step < N_STEPS:
        with Path(paths[step % len(paths)]).open("rb") as file:
            digest = hashlib.sha256(digest.encode() + file.read()).hexdigest()
        step += 1
        partial = state.with_name(f"{os.getpid()}.partial")
        partial.write_text(f"{step} {digest}")
        partial.replace(state)
        work.progress(step, N_STEPS)
        time.sleep(PAUSE_S)
    work.output("digest").write_text(digest)


@swath.command(outputs={"joined": "joined.bin"})
def join(work: swath.Work) -> None:
    """Put a few of the texts and the digest together."""
    note(work, "join")
    parts = [*work.inputs("texts"), work.input("digest")]
    with work.output("joined").open("wb") as file:
        for path in parts:
            file.write(Path(path).read_bytes())
    time.sleep(PAUSE_S)


def get_config(runner: str, root_uri: str) -> swath.Pipeline:
    """Declare grow (many units), climb (one), join (a few)."""
    names = [f"u{i:02d}" for i in range(N_UNITS)]
    grown = grow.each(root_uri, {name: {} for name in names})
    climbed = climb.once(root_uri, {"texts": grown.refs("text")})
    groups = {f"g{i}": names[i::3] for i in range(3)}
    joined = join.each(
        root_uri,
        {
            group: {
                "texts": [grown.ref(name, "text") for name in members],
                "digest": climbed.ref("all", "digest"),
            }
            for group, members in groups.items()
        },
    )
    return swath.Pipeline(
        id="many-units",
        root=root_uri,
        commands=(grown, climbed, joined),
        results={f"{group}.bin": joined.ref(group, "joined") for group in groups},
    )
