"""Who sends, and what is kept of it."""

import pytest

from services.tracker.addresses import networks, sender, truncated

PROXIES = networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.7", None, "203.0.113.7/32"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7/32"),  # anybody can say that
        ("10.0.0.1", "198.51.100.1", "198.51.100.1/32"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1/32"),
        ("10.0.0.1", "198.51.100.1, 10.9.9.9", "198.51.100.1/32"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1/32"),
        ("fd00::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("10.0.0.1", "nonsense", "unknown"),
        ("10.0.0.1", None, "unknown"),
        (None, None, "unknown"),
        ("127.0.0.1", None, None),
        ("::1", "198.51.100.1", None),
    ],
)
def test_who_is_counted(peer: str | None, forwarded: str | None, counted: str | None) -> None:
    assert sender(peer, forwarded, PROXIES) == counted


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("somewhere", None),
        ("", None),
    ],
)
def test_what_is_kept_of_an_address(address: str, kept: str | None) -> None:
    assert truncated(address) == kept
