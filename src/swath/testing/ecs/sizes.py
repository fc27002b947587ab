"""Which sizes of tasks Fargate has.

From the table "Task CPU and memory" of the ECS developer guide.
"""

from __future__ import annotations

from collections.abc import Mapping

GIB = 1024

FARGATE_SIZES: Mapping[int, tuple[int, ...]] = {
    256: (512, 1 * GIB, 2 * GIB),
    512: tuple(range(1 * GIB, 4 * GIB + 1, GIB)),
    1024: tuple(range(2 * GIB, 8 * GIB + 1, GIB)),
    2048: tuple(range(4 * GIB, 16 * GIB + 1, GIB)),
    4096: tuple(range(8 * GIB, 30 * GIB + 1, GIB)),
    8192: tuple(range(16 * GIB, 60 * GIB + 1, 4 * GIB)),
    16384: tuple(range(32 * GIB, 120 * GIB + 1, 8 * GIB)),
}
"""CPU units, 1024 of which are a vCPU, and the amounts of memory in MiB that go with them."""


def is_fargate_size(cpu: str | None, memory: str | None) -> bool:
    """Tell whether Fargate has tasks of this size.

    Parameters
    ----------
    cpu, memory
        As in a task definition: CPU units and MiB.

    Examples
    --------
    >>> is_fargate_size("256", "2048"), is_fargate_size("256", "4096")
    (True, False)
    """
    try:
        return int(memory or 0) in FARGATE_SIZES.get(int(cpu or 0), ())
    except ValueError:
        return False
