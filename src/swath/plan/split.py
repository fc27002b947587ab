"""Splits: shares of the units that must run, cut by work and never empty."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Literal

from swath.errors import ConfigError

Splits = int | Literal["auto"]

AUTO_WORK = 64_000_000
"""Work (pixels) that pays for starting another process, for ``"auto"``."""


def parse_splits(text: str) -> Splits:
    """Read the value of ``--splits``.

    Raises
    ------
    ConfigError
        Unless it is a positive integer or ``auto``.
    """
    if text == "auto":
        return "auto"
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ConfigError(f"--splits {text!r} is no count.", mend="Give 1, 2, 3 ... or auto.")


def cut(work: Sequence[int], n_splits: int) -> list[list[int]]:
    """Cut items into at most `n_splits` shares of about equal work; no share is empty.

    The largest item goes first, always to the lightest share (Graham 1969, "Bounds on
    multiprocessing timing anomalies": at most 4/3 of the best possible). Ties go to the share with
    fewer items and then to the first, so that equal items spread evenly. The result depends on the
    arguments alone.

    Parameters
    ----------
    work
        Estimated work per item.
    n_splits
        Shares wanted; fewer if there are fewer items.

    Returns
    -------
    list of list of int
        Indexes of items, ascending within each share; shares in the order of their first item.

    Examples
    --------
    >>> cut([5, 1, 1, 1, 1, 1], 2)
    [[0], [1, 2, 3, 4, 5]]
    """
    n_shares = min(n_splits, len(work))
    shares: list[list[int]] = [[] for _ in range(n_shares)]
    heap = [(0, 0, share) for share in range(n_shares)]
    for item in sorted(range(len(work)), key=lambda i: (-work[i], i)):
        load, count, share = heapq.heappop(heap)
        shares[share].append(item)
        heapq.heappush(heap, (load + max(work[item], 1), count + 1, share))
    return sorted((sorted(share) for share in shares), key=lambda share: share[0])


def count_for(splits: Splits, work: Sequence[int], parallelism: int) -> int:
    """Return how many splits to cut a command into.

    ``"auto"`` gives every process enough work to pay for its start, and no more splits than four
    for each process that can run at once, so that an uneven end is short.
    """
    if splits != "auto":
        return splits
    return max(1, min(4 * parallelism, -(-sum(work) // AUTO_WORK), len(work)))
