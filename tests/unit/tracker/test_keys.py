"""Who may write."""

import base64
import hashlib

import pytest

from services.tracker.keys import Access, Forbidden, Keys, Unauthorised, check_origin, key_in_authorization

KEYS = Keys(public=["wk_1", "wk_2"], secret=["sk_1", "schlüssel"])


@pytest.mark.parametrize(
    ("key", "access"),
    [("wk_1", Access.PUBLIC), ("wk_2", Access.PUBLIC), ("sk_1", Access.SECRET), ("schlüssel", Access.SECRET)],
)
def test_a_known_key_gives_its_access(key: str, access: Access) -> None:
    assert KEYS.find(key).access is access


@pytest.mark.parametrize("key", ["wk_", "wk_11", "WK_1", "wk_1 ", "wk_1,wk_2", "?", "\udcff", "x" * 100_000])
def test_another_key_is_refused_saying_where_one_is_looked_for(key: str) -> None:
    with pytest.raises(Unauthorised, match="the write key is not known: send a write key as `Authorization: Basic`"):
        KEYS.find(key)


@pytest.mark.parametrize("key", [None, ""])
def test_no_key_is_refused_as_that(key: str | None) -> None:
    with pytest.raises(Unauthorised, match="no write key: send"):
        KEYS.find(key)


def test_without_any_keys_nobody_writes() -> None:
    with pytest.raises(Unauthorised):
        Keys([], []).find("")


def test_a_secret_key_may_be_given_as_its_hash() -> None:
    keys = Keys([], ["sha256:" + hashlib.sha256(b"sk_1").hexdigest()])
    assert keys.find("sk_1").access is Access.SECRET
    with pytest.raises(Unauthorised):
        keys.find(hashlib.sha256(b"sk_1").hexdigest())


@pytest.mark.parametrize("text", ["sha256:", "sha256:abc", "sha256:" + "A" * 64])
def test_a_hash_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        Keys([], [text])


def test_a_key_may_be_for_some_sites_only() -> None:
    key = Keys(["wk_1@https://shop.example@http://localhost:8000"], []).find("wk_1")
    for origin in ("https://shop.example", "http://localhost:8000", None):
        check_origin(key, origin)
    for origin in ("https://evil.example", "http://shop.example", "https://shop.example:8443", "null"):
        with pytest.raises(Forbidden):
            check_origin(key, origin)
    check_origin(KEYS.find("wk_1"), "https://evil.example")


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://shop.example/path", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="is not an origin"):
        Keys([f"wk_1@{origin}"], [])


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (basic("wk_1:"), "wk_1"),
        (basic("wk_1:ignored:password"), "wk_1"),
        (basic("wk_1"), "wk_1"),
        (basic("schlüssel:"), "schlüssel"),
        ("basic " + base64.b64encode(b"wk_1:").decode(), "wk_1"),
        ("Bearer wk_1", "wk_1"),
        ("bearer   wk_1 ", "wk_1"),
        ("Bearer", ""),
    ],
)
def test_the_key_of_an_authorization_header(header: str, key: str) -> None:
    assert key_in_authorization(header) == key


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ("Basic %%%", "not base64"),
        ("Basic \udcff", "not base64"),
        ("Basic " + base64.b64encode(b"\xff:").decode(), "not base64"),
        ("Digest abc", "neither Basic nor Bearer"),
        ("wk_1", "neither Basic nor Bearer"),
    ],
)
def test_a_header_of_another_kind_is_refused(header: str, why: str) -> None:
    with pytest.raises(Unauthorised, match=why):
        key_in_authorization(header)
