"""A coupon without a code, as a template meets it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


class NoCode(Exception):
    """There is none to be had, for the reason given."""


class Missing(Mapping[str, Any]):
    """``{% if coupon %}`` is false, so a template that asks goes on without. One that writes the code regardless cannot do
    without, and gets ``NoCode``."""

    def __init__(self, reason: NoCode) -> None:
        self._reason = reason

    def __liquid__(self) -> None:
        """Liquid's truth of it."""

    def __getitem__(self, name: str) -> Any:
        raise self._reason

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
