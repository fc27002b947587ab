"""Declare which part of a scene may be used: an area of interest.

Not here: the masks that areas become (`swath.scene.mask`).

The one idea: an area can be a shape on the ground, rectangles of pixels, or some blocks of a
chequered image. Blocks are for learning and validating on one image: two areas that take different
blocks never touch, because each stays a buffer away from every block that it does not take.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from swath.errors import ConfigError
from swath.grid.window import Window
from swath.spec import Spec
from swath.vector.spec import VectorFile

Block = tuple[int, int]
"""Row and column of a block, from 0 at the top left."""


def _window_of(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if len(value) != 4 or not all(isinstance(part, int) for part in value):
            raise ValueError(
                f"{value!r} is not a window. Write four integers: row_off, col_off, height, width."
            )
        return Window.from_json(value)
    return value


PixelWindow = Annotated[
    Window,
    BeforeValidator(_window_of),
    PlainSerializer(Window.to_json, return_type=list[int]),
    WithJsonSchema(
        {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4},
    ),
]
"""A window in a declaration: `Window`, or row_off, col_off, height, width in pixels."""


class VectorArea(VectorFile):
    """The area is the union of a file's polygons; a pixel is inside if its centre is."""

    kind: Literal["vector"] = "vector"
    """Tells this area from the others."""


class WindowArea(Spec):
    """The area is the union of pixel windows of the image."""

    kind: Literal["windows"] = "windows"
    """Tells this area from the others."""

    windows: tuple[PixelWindow, ...] = Field(min_length=1)
    """Windows in pixels of the image: row_off, col_off, height, width. Parts that reach past the
    image are cut off."""


class BlockArea(Spec):
    """The area is some blocks of the image, cut into `rows` x `cols` blocks of equal size.

    Pixels nearer than `buffer_px` to a block that is not taken are outside. So the areas of a
    training and a validation scene on one image are at least `2 * buffer_px` pixels apart.
    """

    kind: Literal["blocks"] = "blocks"
    """Tells this area from the others."""

    rows: int = Field(ge=1)
    """Number of rows of blocks."""

    cols: int = Field(ge=1)
    """Number of columns of blocks."""

    take: tuple[Block, ...] = Field(min_length=1)
    """The blocks that form the area, each (row, column), from 0 at the top left."""

    buffer_px: int = Field(default=0, ge=0)
    """Distance in pixels kept to every block that is not taken, diagonal neighbours included."""

    @model_validator(mode="after")
    def _blocks_exist_once(self) -> BlockArea:
        for position, (row, col) in enumerate(self.take):
            if not (0 <= row < self.rows and 0 <= col < self.cols):
                raise ValueError(
                    f"take[{position}] is ({row}, {col}), but there are {self.rows} rows and "
                    f"{self.cols} columns of blocks. Rows run from 0 to {self.rows - 1}, columns "
                    f"from 0 to {self.cols - 1}."
                )
            if (row, col) in self.take[:position]:
                raise ValueError(f"take[{position}] names block ({row}, {col}) again. Remove it.")
        return self

    def block_window(self, block: Block, shape: tuple[int, int]) -> Window | None:
        """Return the pixels of one block, buffer included; the blocks cover an image once.

        None if the image has fewer rows or columns than there are blocks, and this one is empty.

        Parameters
        ----------
        block
            Row and column of the block.
        shape
            Height and width of the image in pixels.
        """
        (row, col), (height, width) = block, shape
        top, bottom = row * height // self.rows, (row + 1) * height // self.rows
        left, right = col * width // self.cols, (col + 1) * width // self.cols
        if top == bottom or left == right:
            return None
        return Window(top, left, bottom - top, right - left)

    def blocks_not_taken(self) -> list[Block]:
        """Return the blocks that are not part of the area, row by row."""
        taken = set(self.take)
        every = ((row, col) for row in range(self.rows) for col in range(self.cols))
        return [block for block in every if block not in taken]

    def shrunk_windows(self, shape: tuple[int, int]) -> list[Window]:
        """Return each taken block without the strips that its direct neighbours' buffers cut off.

        The corner that the buffer of a diagonal neighbour cuts off is still inside; `mask` leaves
        it out. A block that its buffers use up is left out.
        """
        taken = set(self.take)
        windows = []
        for row, col in self.take:
            window = self.block_window((row, col), shape)
            if window is None:
                continue
            top = self._strip((row - 1, col), taken)
            bottom = self._strip((row + 1, col), taken)
            left = self._strip((row, col - 1), taken)
            right = self._strip((row, col + 1), taken)
            height, width = window.height - top - bottom, window.width - left - right
            if height > 0 and width > 0:
                windows.append(Window(window.row_off + top, window.col_off + left, height, width))
        return windows

    def _strip(self, neighbour: Block, taken: set[Block]) -> int:
        row, col = neighbour
        in_image = 0 <= row < self.rows and 0 <= col < self.cols
        return self.buffer_px if in_image and neighbour not in taken else 0


Area = Annotated[VectorArea | WindowArea | BlockArea, Field(discriminator="kind")]
"""Any area of interest."""


def block_split(
    rows: int, cols: int, fraction: float, seed: int = 0
) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """Deal the blocks of an image out to training and validation at random.

    Parameters
    ----------
    rows, cols
        Number of rows and columns of blocks.
    fraction
        Share of the blocks that goes to validation, between 0 and 1; each side gets at least one.
    seed
        Another seed deals the blocks otherwise.

    Returns
    -------
    training, validation
        Blocks to `take`, each (row, column), row by row.

    Raises
    ------
    ConfigError
        If there are fewer than two blocks, or `fraction` is not between 0 and 1.

    Notes
    -----
    Blocks are ordered by a SHA-256 of seed and position, so the result is the same on every
    machine and with every version of Python.

    Examples
    --------
    >>> training, validation = block_split(2, 2, 0.25)
    >>> len(training), len(validation)
    (3, 1)
    """
    n_blocks = rows * cols
    if rows < 1 or cols < 1 or n_blocks < 2:
        raise ConfigError(
            f"{rows} x {cols} blocks cannot be split.",
            where="block_split",
            mend="Use at least two blocks.",
        )
    if not 0 < fraction < 1:
        raise ConfigError(
            f"the fraction {fraction} leaves one side empty.",
            where="block_split",
            mend="Choose it between 0 and 1, for example 0.25.",
        )
    blocks = [(row, col) for row in range(rows) for col in range(cols)]
    dealt = sorted(
        blocks, key=lambda block: hashlib.sha256(f"{seed}/{block[0]}/{block[1]}".encode()).digest()
    )
    n_validation = min(max(1, round(fraction * n_blocks)), n_blocks - 1)
    return tuple(sorted(dealt[n_validation:])), tuple(sorted(dealt[:n_validation]))
