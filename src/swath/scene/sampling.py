"""Choose the windows of a scene that become chips.

Not here: reading them, and declaring how they are chosen (`swath.scene.spec.ChipSampling`).

The one idea: every choice depends on the scene, the block and the seed alone. A window belongs to
the block that holds its first pixel; blocks can therefore be worked on anywhere, in any order and
in any number of splits, and together give the same chips.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swath.grid.grid import Grid
from swath.grid.window import Window, sliding_offsets
from swath.scene.classes import IGNORE
from swath.scene.spec import ChipSampling, ClassConfig

FEW_CLASSES = 20  # up to so many, a comparison per class counts a window faster than `bincount`


@dataclass(frozen=True, slots=True)
class WindowContent:
    """What a window holds, as counts of pixels.

    Parameters
    ----------
    window
        The window.
    n_pixels
        Pixels of the window that are pixels of the image; the others are padding.
    n_valid
        Of these, pixels with data in every band.
    n_area
        Of `n_pixels`, pixels inside the area.
    class_pixels
        Labelled pixels with data, by class id; None if the scene has no labels.
    """

    window: Window
    n_pixels: int
    n_valid: int
    n_area: int
    class_pixels: tuple[int, ...] | None


def windows_of_block(
    grid: Grid,
    block: Window,
    sampling: ChipSampling,
    seed_key: str,
    *,
    within: Sequence[Window] | None = None,
) -> list[Window]:
    """Return the candidate windows whose first pixel lies in a block.

    Parameters
    ----------
    grid
        Grid of the scene.
    block
        Pixels of the scene; the windows of blocks that tile the scene are all of its windows, each
        once.
    sampling
        Size and method.
    seed_key
        Name of the scene: random positions differ between scenes.
    within
        Rectangles that hold the area (`SceneReader.rectangles`); windows are laid inside them.
        None: the whole scene.

    Returns
    -------
    list of Window
        Of `sampling.size`, sorted by row and column, each once. A window reaches past its rectangle
        only if that is smaller than a window, and past the image only if the image is.

    Notes
    -----
    Random positions are drawn for the whole scene, from a generator seeded with the SHA-256 of seed
    and `seed_key`, and the block keeps its own: so they do not depend on the size of blocks either.
    """
    parts = (grid.window,) if within is None else tuple(within)
    if sampling.method == "random":
        found = _random_windows(grid, block, sampling, seed_key, parts)
    else:
        found = [w for part in parts for w in _sliding_windows(grid, block, sampling, part)]
    return sorted(set(found))


def describe(
    window: Window,
    grid: Grid,
    valid: NDArray[np.bool_],
    area: NDArray[np.bool_],
    labels: NDArray[np.uint8] | None,
    n_classes: int,
) -> WindowContent:
    """Count what a window holds.

    Parameters
    ----------
    window
        The window.
    grid
        Grid of the scene.
    valid, area
        Shape (y, x): where the image has data, and where the area is.
    labels
        Shape (y, x), dtype uint8: class ids and `IGNORE`; None if the scene has no labels.
    n_classes
        Number of classes.
    """
    on_image = window.intersect(grid.window)
    n_valid = int(np.count_nonzero(valid))
    counts: tuple[int, ...] | None = None
    if labels is not None:
        usable = labels if n_valid == valid.size else np.where(valid, labels, np.uint8(IGNORE))
        counts = _class_pixels(usable, n_classes)
    return WindowContent(
        window=window,
        n_pixels=0 if on_image is None else on_image.pixels,
        n_valid=n_valid,
        n_area=int(np.count_nonzero(area)),
        class_pixels=counts,
    )


def _class_pixels(labels: NDArray[np.uint8], n_classes: int) -> tuple[int, ...]:
    """Count the pixels of each class; comparing is much faster than `bincount` for a few."""
    if n_classes <= FEW_CLASSES:
        return tuple(int(np.count_nonzero(labels == index)) for index in range(n_classes))
    return tuple(np.bincount(labels.reshape(-1), minlength=IGNORE + 1)[:n_classes].tolist())


def keep(
    contents: Sequence[WindowContent],
    sampling: ChipSampling,
    classes: ClassConfig,
    *,
    block: Window,
    seed_key: str,
) -> list[WindowContent]:
    """Return the windows of one block that become chips.

    Dropped are windows with too much nodata, too little area, or no labelled pixel; of those that
    are not positive, `negative_ratio` per positive one stay, drawn at random.

    Parameters
    ----------
    contents
        All candidates of the block.
    sampling
        Limits and target classes.
    classes
        The classes that `sampling.target_classes` names.
    block, seed_key
        The block and the name of the scene; with the seed they decide which negative windows stay.

    Returns
    -------
    list of WindowContent
        In the order of `contents`.

    Raises
    ------
    ValueError
        If a target class does not exist, or windows without labels are to show target classes.
    """
    usable = [content for content in contents if _is_usable(content, sampling)]
    if not sampling.target_classes:
        return usable
    targets = sampling.target_ids(classes)
    positive = [_target_pixels(content, targets) >= sampling.min_class_pixels for content in usable]
    negatives = [index for index, is_positive in enumerate(positive) if not is_positive]
    n_negatives = min(len(negatives), int(sampling.negative_ratio * sum(positive)))
    random = _generator(sampling.seed, seed_key, *block.to_json())
    drawn = set(random.permutation(negatives)[:n_negatives].tolist())
    return [c for index, c in enumerate(usable) if positive[index] or index in drawn]


def _is_usable(content: WindowContent, sampling: ChipSampling) -> bool:
    n_pixels = content.n_pixels
    return (
        n_pixels > 0
        and n_pixels - content.n_valid <= sampling.nodata_limit * n_pixels
        and content.n_area >= sampling.min_area_share * n_pixels
        and (content.class_pixels is None or sum(content.class_pixels) > 0)
    )


def _target_pixels(content: WindowContent, targets: Sequence[int]) -> int:
    if content.class_pixels is None:
        raise ValueError("windows without labels cannot be chosen by their classes")
    return sum(content.class_pixels[target] for target in targets)


def _sliding_windows(
    grid: Grid, block: Window, sampling: ChipSampling, part: Window
) -> list[Window]:
    size, step = sampling.size, sampling.step
    first_row, first_col = _first_start(grid, part, size)
    rows = [first_row + offset for offset in sliding_offsets(part.height, size, step)]
    cols = [first_col + offset for offset in sliding_offsets(part.width, size, step)]
    return [
        Window(row, col, size, size)
        for row in rows
        if block.row_off <= row < block.row_end
        for col in cols
        if block.col_off <= col < block.col_end
    ]


def _random_windows(
    grid: Grid, block: Window, sampling: ChipSampling, seed_key: str, parts: Sequence[Window]
) -> list[Window]:
    size = sampling.size
    n_rows = np.array([max(part.height - size, 0) + 1 for part in parts], dtype=np.int64)
    n_cols = np.array([max(part.width - size, 0) + 1 for part in parts], dtype=np.int64)
    ends = np.cumsum(n_rows * n_cols)
    if not len(ends):
        return []
    random = _generator(sampling.seed, seed_key)
    drawn = random.integers(0, ends[-1], size=sampling.n_random)
    part_of = np.searchsorted(ends, drawn, side="right")
    place = drawn - (ends - n_rows * n_cols)[part_of]
    first = np.array([_first_start(grid, part, size) for part in parts], dtype=np.int64)
    rows = first[part_of, 0] + place // n_cols[part_of]
    cols = first[part_of, 1] + place % n_cols[part_of]
    ours = (rows >= block.row_off) & (rows < block.row_end)
    ours &= (cols >= block.col_off) & (cols < block.col_end)
    return [
        Window(row, col, size, size)
        for row, col in zip(rows[ours].tolist(), cols[ours].tolist(), strict=True)
    ]


def _first_start(grid: Grid, part: Window, size: int) -> tuple[int, int]:
    """Return the first pixel of the first window in `part`, moved so that it ends in the image."""
    return (
        min(part.row_off, max(grid.height - size, 0)),
        min(part.col_off, max(grid.width - size, 0)),
    )


def _generator(seed: int, *key: str | int) -> np.random.Generator:
    text = "/".join(str(part) for part in (seed, *key))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))
