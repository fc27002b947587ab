"""Lists that are answered in pages."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TypeVar

from swath.testing.protocol import ServiceError

T = TypeVar("T")


def page(
    items: Sequence[T], token: str | None, size: int, *, invalid: str
) -> tuple[list[T], str | None]:
    """Return one page of `items`, and the token for the next one if there is more.

    Parameters
    ----------
    items
        All of the list, in an order that only grows at its end while a client pages.
    token
        What an earlier page said, None for the first.
    size
        Items on a page.
    invalid
        Code of the error for a token that no page gave.
    """
    start = 0
    if token is not None:
        try:
            start = int(base64.b64decode(token, validate=True))
        except ValueError:
            raise ServiceError(invalid, f"Invalid token: {token}") from None
    end = start + size
    following = base64.b64encode(str(end).encode()).decode() if end < len(items) else None
    return list(items[start:end]), following
