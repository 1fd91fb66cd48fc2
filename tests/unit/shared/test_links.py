"""The links of mails: sealed, and good for one thing only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from shared.links import MAX_TOKEN, BadToken, Kind, Link, Links

OLD, NEW = "the secret of last year, long enough", "the secret of this year, long enough"
LINK = Link(
    "ada@example.test", "t1", "cart-abandonment", 3, "nudge", 1_760_000_000_000_000, url="https://shop.test/a?b=1"
)


@pytest.mark.parametrize("kind", list(Kind))
def test_what_was_sealed_is_read(kind: Kind) -> None:
    links = Links([NEW])
    token = links.token(kind, LINK)
    assert links.read(kind, token) == LINK
    assert token == Links([NEW]).token(kind, LINK), "a mail that is written again is the same mail"
    assert token.replace("-", "").replace("_", "").isalnum(), "it needs no quoting"


def test_nobody_sees_whom_it_is_for() -> None:
    import base64

    token = Links([NEW]).token(Kind.OPEN, LINK)
    sealed = base64.urlsafe_b64decode(token[6:] + "=" * (-len(token[6:]) % 4))
    assert b"ada" not in sealed
    assert b"shop" not in sealed


def test_one_made_for_one_thing_is_none_for_another() -> None:
    links = Links([NEW])
    for made in Kind:
        token = links.token(made, LINK)
        for other in set(Kind) - {made}:
            with pytest.raises(BadToken):
                links.read(other, token)


def test_secrets_rotate() -> None:
    before, between, after = Links([OLD]), Links([NEW, OLD]), Links([NEW])
    sent_before = before.token(Kind.CLICK, LINK)
    assert between.read(Kind.CLICK, sent_before) == LINK
    assert between.token(Kind.CLICK, LINK) == after.token(Kind.CLICK, LINK), "the first seals"
    with pytest.raises(BadToken, match="secret is not known"):
        after.read(Kind.CLICK, sent_before)


@given(st.data())
def test_whatever_is_changed_is_noticed(data: st.DataObject) -> None:
    links = Links([NEW])
    token = links.token(Kind.CLICK, LINK)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("AZaz09-_.%/é"))
    changed = token[:place] + letter + token[place + 1 :]
    if changed == token:
        return
    try:
        assert links.read(Kind.CLICK, changed) == LINK  # the last letter has bits that mean nothing
        assert place == len(token) - 1
    except BadToken:
        pass


@given(st.text(max_size=100))
def test_whatever_else_is_no_token(text: str) -> None:
    with pytest.raises(BadToken):
        Links([NEW]).read(Kind.OPEN, text)


def test_bounds() -> None:
    links = Links([NEW])
    longest = structs.replace(LINK, person="p" * 256, url="https://shop.test/" + "x" * 2030)
    token = links.token(Kind.CLICK, longest)
    assert links.read(Kind.CLICK, token) == longest
    assert len(token) <= MAX_TOKEN
    with pytest.raises(BadToken, match="at most"):
        links.read(Kind.CLICK, token[:6] + "A" * (MAX_TOKEN - 5))


def test_a_short_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="number 2 has 5 characters") as refused:
        Links([NEW, "short"])
    assert "short" not in str(refused.value)
    assert not Links([])
