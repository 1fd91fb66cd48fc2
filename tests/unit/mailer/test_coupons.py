"""Coupons on paper: documents, and codes that tell when they were mistyped."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mailer.coupons.codes import ENTROPY, normal, plausible, used, written
from services.mailer.coupons.document import LOW, Coupon, flaw, parse
from shared.clock import DAY
from shared.messages import Event

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ENTROPIES = st.binary(min_size=ENTROPY, max_size=ENTROPY)


@given(ENTROPIES, st.from_regex(r"\A[A-Z0-9]{0,16}\Z"), st.sampled_from(["{}", "  {}\n", "{} "]))
def test_a_code_is_known_however_it_is_typed(entropy: bytes, prefix: str, spaced: str) -> None:
    code = written(prefix, entropy)
    assert plausible(spaced.format(code.lower()))
    assert plausible(code.replace("-", " "))
    if not prefix:
        assert plausible(code.replace("0", "O").replace("1", "l"))


@given(ENTROPIES, st.integers(0, 11), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(entropy: bytes, place: int, wrong: str) -> None:
    code = written("", entropy).replace("-", "")
    assert plausible(code[:place] + wrong + code[place + 1 :]) == (wrong == code[place])


@given(ENTROPIES, st.integers(0, 10))
def test_two_neighbours_in_the_wrong_order_are_noticed(entropy: bytes, place: int) -> None:
    code = written("", entropy).replace("-", "")
    swapped = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert plausible(swapped) == (swapped == code)


@given(st.text(max_size=80))
def test_whatever_is_asked_gets_an_answer(code: str) -> None:
    assert plausible(code) in (True, False)


def test_every_bit_of_entropy_is_in_the_code() -> None:
    seeds = [hashlib.sha256(str(number).encode()).digest()[:ENTROPY] for number in range(2_000)]
    assert len({written("", seed) for seed in seeds}) == 2_000
    top_bit, others = 1 << 55, range(55)
    assert written("", top_bit.to_bytes(ENTROPY)) == written("", bytes(ENTROPY)), "55 bits of 56 are used"
    assert len({written("", (1 << bit).to_bytes(ENTROPY)) for bit in others}) == len(others)


def test_too_little_entropy_is_refused() -> None:
    with pytest.raises(ValueError, match="6 bytes of entropy, expected 7"):
        written("", bytes(6))


@pytest.mark.parametrize(
    ("text", "coupon"),
    [
        ("{id: w, kind: fixed, code: Hello10}", Coupon("w", "fixed", code="Hello10")),
        ("{id: w, kind: pool, text: 10 % off}", Coupon("w", "pool", "10 % off", low=LOW)),
        ("{id: w, kind: pool, low: 0}", Coupon("w", "pool", low=0)),
        ("{id: w, kind: generated}", Coupon("w", "generated")),
        (
            "{id: w, kind: generated, prefix: BACK, expires: 14d}",
            Coupon("w", "generated", prefix="BACK", expires=14 * DAY),
        ),
    ],
)
def test_what_a_coupon_may_say(text: str, coupon: Coupon) -> None:
    assert parse(text) == (coupon, [])


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("x", ["a coupon is a mapping with id, kind, text, this is 'x'"]),
        (
            "{text: x}",
            ["kind: is missing, such as kind: generated", "id: is missing, such as id: winback-10"],
        ),
        ("{id: w, kind: free}", ["kind: 'free' is not one of fixed, pool, generated"]),
        ("{id: w, kind: fixed}", ["code: is missing, such as code: WELCOME10"]),
        ("{id: w, kind: fixed, code: a b}", ["code: 'a b' is not 1 to 64 characters, no spaces"]),
        ("{id: w, kind: pool, prefix: A}", ["prefix: is not known here, known are id, kind, text, low"]),
        ("{id: w, kind: pool, low: -1}", ["low: -1 is not a whole number from 0 to 1000000000"]),
        (
            "{id: w, kind: generated, prefix: a, expires: 10m}",
            ["prefix: 'a' is not 1 to 16 of A-Z and 0-9", "expires: '10m' is too short, try 14d"],
        ),
    ],
)
def test_what_is_wrong_with_a_coupon(text: str, errors: list[str]) -> None:
    assert parse(text) == (None, errors)


@pytest.mark.parametrize("code", ["", "a b", "a\n", "x" * 65, None, 5])
def test_what_is_no_code(code: object) -> None:
    assert "is not 1 to 64 characters without spaces" in flaw(code)


def purchase(name: str = "purchased", **properties: object) -> Event:
    return Event("e", "ada", name, 1, 1, properties)


@pytest.mark.parametrize(
    ("event", "codes"),
    [
        (purchase(coupon=" back-10 "), ["BACK-10"]),
        (purchase(coupons=["A", "b", "a", 7, ""], coupon="b"), ["B", "A"]),
        (purchase(coupons="A"), []),
        (purchase("checkout_started", coupon="A"), []),
    ],
)
def test_the_codes_of_a_purchase(event: Event, codes: list[str]) -> None:
    assert list(used(event)) == codes
    assert all(code == normal(code) for code in codes)
