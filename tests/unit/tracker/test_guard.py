"""What a public key may bring."""

from typing import Any

import jwt
import pytest

from services.tracker.events import EventIn, Origin, Taken, take
from services.tracker.guard import Budget, Guard
from services.tracker.keys import Keys, Unauthorised
from services.tracker.limits import Rate, TooFast, limits
from services.tracker.tokens import MAX_TOKEN, Tokens, parse_secrets
from shared.clock import HOUR, SECOND

NOW = 1_769_850_000_000_000
SECRET, OLD = "s" * 32, "o" * 40
ANY = Rate(0, 0)


def guard(**more: Any) -> Guard:
    tokens = Tokens(parse_secrets([f"new:{SECRET}", f"old:{OLD}"]))
    return Guard(Keys(["wk"], ["sk"]), limits(Rate(10, 10), Rate(5, 5), ANY), tokens, **more)


def taken(guard: Guard, *items: EventIn, key: str = "wk", now: int = NOW) -> Taken:
    found = guard.admit(key, None, now)
    origin = Origin("api", trusted=key == "sk")
    return take(items, origin, now, bytes, guard.gate(found, now))


def one(guard: Guard, name: str = "x", key: str = "wk", now: int = NOW, **fields: Any) -> bool | str:
    """Whether the event is trusted, or why it is refused."""
    events, rejected = taken(guard, EventIn(event=name, user_id="ada", **fields), key=key, now=now)
    return events[0].trusted if events else rejected[0].error


def token(secret: str = SECRET, kid: str | None = "new", algorithm: str = "HS256", **claims: Any) -> str:
    headers = {"kid": kid} if kid else {}
    return jwt.encode({"sub": "ada", "exp": (NOW + HOUR) // SECOND, **claims}, secret, algorithm, headers)


def test_a_public_key_is_not_believed_and_a_secret_one_is() -> None:
    assert one(guard()) is False
    assert one(guard(), key="sk") is True


def test_protected_events_want_a_secret_key_or_a_token() -> None:
    strict = guard(protected=["purchased", "identify"])
    assert one(strict, "Order Completed") == "event: purchased is taken with a secret key or a user_token only"
    assert one(strict, "Order Completed", user_token=token()) is True
    assert one(strict, "Order Completed", key="sk") is True
    assert one(strict, "product_viewed") is False
    events, rejected = taken(strict, EventIn("identify", user_id="ada"), EventIn("x", user_id="ada"))
    assert ([event.name for event in events], [each.index for each in rejected]) == (["x"], [0])


def test_secrets_rotate() -> None:
    assert one(guard(), user_token=token(OLD, "old")) is True


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (token(OLD), "user_token: Signature verification failed"),
        (token(kid="other"), "user_token: kid 'other' is none of the names"),
        (token(kid=None), "user_token: kid None is none of the names"),
        (token(sub="bob"), "user_token: is another user's"),
        (token(exp=NOW // SECOND), "user_token: has expired"),
        (token(exp="soon"), "user_token: "),
        (token(algorithm="HS512", secret=SECRET * 2), "user_token: The specified alg value is not allowed"),
        (jwt.encode({"sub": "ada", "exp": 2**40}, "", "none", {"kid": "new"}), "user_token: "),
        (jwt.encode({"sub": "ada"}, SECRET, "HS256", {"kid": "new"}), "user_token: Token is missing the"),
        ("nonsense", "user_token: Not enough segments"),
        ("x" * (MAX_TOKEN + 1), f"user_token: {MAX_TOKEN + 1} characters, at most"),
    ],
)
def test_a_token_that_is_not_good(given: str, why: str) -> None:
    refused = one(guard(), user_token=given)
    assert isinstance(refused, str)
    assert refused.startswith(why)


def test_a_token_ends_also_when_it_is_known() -> None:
    known = guard()
    assert one(known, user_token=token()) is True
    assert one(known, user_token=token(), now=NOW + HOUR) == "user_token: has expired"


def test_without_secrets_no_token_is_taken() -> None:
    plain = Guard(Keys(["wk"], []), limits(ANY, ANY, ANY), Tokens({}))
    assert one(plain, user_token=token()) == "user_token: none is taken here (USER_TOKEN_SECRETS is not set)"


@pytest.mark.parametrize("text", ["", "name", "name:", f":{SECRET}", "name:" + "s" * 31])
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(ValueError, match="number 1 is not NAME:SECRET with at least 32 characters"):
        parse_secrets([text])


def test_only_so_many_names_of_events() -> None:
    small = guard(budget=Budget(2, 100))
    assert one(small, "a") is one(small, "b") is one(small, "A") is False
    assert one(small, "c") == (
        "event: 'c' would be one name more than the 2 that a public key may bring; send what varies as a value"
    )
    assert one(small, "a") is False
    assert one(small, "c", key="sk") is True


def test_only_so_many_names_of_properties() -> None:
    small = guard(budget=Budget(100, 2))
    assert one(small, properties={"a": 1, "b": 1}) is False
    assert str(one(small, properties={"a": 1, "c": 1})).startswith("properties: 'c' would be one name more than the 2")
    assert one(small, properties={"b": 2}) is False


def test_nobody_gets_in_without_a_key() -> None:
    with pytest.raises(Unauthorised):
        guard().admit("other", None, NOW)


def test_who_is_too_fast_is_told_before_anything_is_read() -> None:
    busy = guard()
    key = busy.admit("wk", None, NOW)
    headers = busy.count(key, ("127.0.0.1", None), ["ada"], 4, NOW)
    assert headers == {"RateLimit-Policy": '"key";q=10;w=1', "RateLimit": '"key";r=6'}
    busy.count(key, ("127.0.0.1", None), ["ada"], 6, NOW)
    with pytest.raises(TooFast, match="with this key"):
        busy.admit("wk", None, NOW)
    assert busy.admit("sk", None, NOW).access.value == "secret", "another key is not concerned"


def test_an_address_is_limited_with_a_public_key_only() -> None:
    busy = guard()
    public, secret = busy.admit("wk", None, NOW), busy.admit("sk", None, NOW)
    busy.count(public, ("203.0.113.1", None), ["ada"], 5, NOW)
    with pytest.raises(TooFast, match="from this address"):
        busy.count(public, ("203.0.113.1", None), ["ada"], 1, NOW)
    busy.count(public, ("203.0.113.2", None), ["ada"], 5, NOW)
    busy.count(secret, ("203.0.113.1", None), ["ada"], 5, NOW)
