"""A compressed body is bounded by what it becomes."""

import gzip
import zlib

import pytest

from services.tracker.body import MAX_BODY, TooLarge, gunzip
from services.tracker.events import Malformed


def test_a_body_of_a_mebibyte_is_read_and_one_byte_more_is_not() -> None:
    assert gunzip(gzip.compress(bytes(MAX_BODY))) == bytes(MAX_BODY)
    with pytest.raises(TooLarge):
        gunzip(gzip.compress(bytes(MAX_BODY + 1)))


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(200 * MAX_BODY))
    assert len(bomb) < MAX_BODY
    with pytest.raises(TooLarge, match="more than 1048576 bytes"):
        gunzip(bomb)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        zlib.compress(b"{}"),
        gzip.compress(b'{"event": "x"}', mtime=0)[:-1],
        gzip.compress(b"{}", mtime=0) + b"more",
        gzip.compress(b"{}", mtime=0) * 2,
        gzip.compress(b"{}", mtime=0)[:-8] + bytes(8),
    ],
)
def test_what_is_not_one_whole_gzip_member_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="gzip"):
        gunzip(data)
