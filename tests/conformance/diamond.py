"""A diamond of commands: parts are cut, doubled and squared apart, and joined; parts can fail."""

from __future__ import annotations

from pathlib import Path

import swath


@swath.command(outputs={"number": "number.txt"})
def source(work: swath.Work) -> None:
    """Write the number of the unit."""
    work.output("number").write_text(work.unit.removeprefix("u"))


@swath.command(outputs={"number": "number.txt"})
def double(work: swath.Work) -> None:
    """Write twice the number, unless a file says that this unit is to fail."""
    if (Path(work.params["faults"]) / work.unit).exists():
        raise ValueError(f"unit {work.unit} was told to fail")
    work.output("number").write_text(str(2 * int(Path(work.input("number")).read_text())))


@swath.command(outputs={"number": "number.txt"})
def square(work: swath.Work) -> None:
    """Write the square of the number."""
    work.output("number").write_text(str(int(Path(work.input("number")).read_text()) ** 2))


@swath.command(outputs={"total": "total.txt"})
def join(work: swath.Work) -> None:
    """Add everything up."""
    numbers = [int(Path(path).read_text()) for path in work.inputs("numbers")]
    work.output("total").write_text(str(sum(numbers)))


def get_config(root_uri: str, faults: Path, n: int = 6) -> swath.Pipeline:
    """Declare the diamond over the numbers 0 to n-1."""
    names = [f"u{i}" for i in range(n)]
    numbers = source.each(root_uri, {name: {} for name in names})
    inputs = {name: {"number": numbers.ref(name, "number")} for name in names}
    doubled = double.each(root_uri, inputs, faults=faults)
    squared = square.each(root_uri, inputs)
    both = (*doubled.refs("number"), *squared.refs("number"))
    total = join.once(root_uri, {"numbers": both})
    return swath.Pipeline(
        "diamond",
        root_uri,
        (total, squared, doubled, numbers),
        results={"total.txt": total.ref("all", "total")},
    )
