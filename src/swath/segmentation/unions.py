"""The parts of an image put together in threads, two by two, as soon as both are there.

For whatever has the tiles: made in this process, or read from files. One idea: a part is let go
once it is joined, and only what its segments have become is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from swath.segmentation.graph import MergeRule, Roots
from swath.segmentation.part import Join, Part, Step, join, join_steps
from swath.segmentation.timings import Stage, untimed


@dataclass(frozen=True, slots=True)
class Unions:
    """What the segments of all parts have become.

    Attributes
    ----------
    roots
        Of every part: tiles row by row, then unions in the order of `steps`.
    steps
        See `swath.segmentation.part.join_steps`.
    joins
        How open nodes went on, by number of the union.
    """

    roots: list[Roots]
    steps: list[Step]
    joins: dict[int, Join]


def join_tiles(
    tile: Callable[[int], Part],
    n_rows: int,
    n_cols: int,
    rule: MergeRule,
    pool: ThreadPoolExecutor,
    workers: int,
    *,
    order: Sequence[int] | None = None,
    stage: Stage = untimed,
    done: Callable[[int], None] = lambda _: None,
) -> Unions:
    """Put all tiles of an image together.

    Parameters
    ----------
    tile
        Returns the part of the tile of a number; called in threads.
    n_rows, n_cols
        Tiles of the image.
    rule
        When segments are merged.
    pool
        Does the work; it is shut down if something fails.
    workers
        Its threads.
    order
        Order in which tiles are begun; default: row by row.
    stage
        Takes the time of a stage, see `swath.segmentation.timings`.
    done
        Is told the number of each tile that is there.
    """
    steps = join_steps(n_rows, n_cols)
    n_tiles = n_rows * n_cols
    step_of = {part: i for i, step in enumerate(steps) for part in (step.one, step.other)}
    waiting = list(reversed(order if order is not None else range(n_tiles)))
    roots: dict[int, Roots] = {}
    joins: dict[int, Join] = {}
    parts: dict[int, Part] = {}  # that wait for their neighbour
    running: dict[Future[tuple[Part, Join | None]], int] = {}

    def begin_tile(number: int) -> tuple[Part, None]:
        return tile(number), None

    def union(pair: list[Part]) -> tuple[Part, Join]:
        with stage("eliminate"):
            return join(pair.pop(0), pair.pop(0), rule)  # nobody else keeps them

    try:
        while len(roots) < n_tiles + len(steps):
            while waiting and len(running) <= workers:
                number = waiting.pop()
                running[pool.submit(begin_tile, number)] = number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                part, joined = future.result()
                roots[number] = part.roots
                parts[number] = part
                if joined is None:
                    done(number)
                else:
                    joins[number] = joined
                i = step_of.get(number)
                del part, future
                if i is not None and steps[i].one in parts and steps[i].other in parts:
                    pair = [parts.pop(steps[i].one), parts.pop(steps[i].other)]
                    running[pool.submit(union, pair)] = n_tiles + i
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    return Unions([roots[number] for number in range(len(roots))], steps, joins)


def nearest_order(n_rows: int, n_cols: int) -> list[int]:
    """Return tiles in an order in which few parts wait to be joined: each square by itself.

    Examples
    --------
    >>> nearest_order(2, 4)
    [0, 1, 4, 5, 2, 3, 6, 7]
    """
    steps = join_steps(n_rows, n_cols)
    n_tiles = n_rows * n_cols
    pending, order = [n_tiles + len(steps) - 1], []
    while pending:
        number = pending.pop()
        if number < n_tiles:
            order.append(number)
        else:
            step = steps[number - n_tiles]
            pending += [step.other, step.one]
    return order
