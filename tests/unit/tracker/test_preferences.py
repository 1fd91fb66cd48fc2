"""The page on which people choose, and what it sends."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker.preferences import (
    MAX_CATEGORIES,
    BadForm,
    Choices,
    Page,
    after,
    among,
    changes,
    page,
    read_form,
    title,
)
from shared.consents import Consents

FORM = "application/x-www-form-urlencoded"
OUT = Choices(False, {})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"List-Unsubscribe=One-Click", FORM),
        (b"", ""),
        (b"", FORM),
        (b"\r\n", "text/plain"),
        (
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (b"action=none", FORM),
        (b"action=none&shown=nudge&category=nudge", FORM),
    ],
)
def test_one_click_and_a_bare_post_are_a_way_out_of_everything(body: bytes, kind: str) -> None:
    assert read_form(body, kind) == OUT


def test_what_is_ticked_is_wanted_and_what_is_not_is_not() -> None:
    form = b"shown=nudge&shown=news&category=news&category=made-up&action=save"
    assert read_form(form, FORM) == Choices(None, {"nudge": False, "news": True})
    assert read_form(b"action=again", FORM) == Choices(True, {})


@pytest.mark.parametrize(
    "body", [b"a=b", b"action=everything", b"List-Unsubscribe=Two-Clicks", b"\xff", b"&".join([b"a=1"] * 300)]
)
def test_what_the_page_does_not_send_changes_nothing(body: bytes) -> None:
    with pytest.raises(BadForm):
        read_form(body, FORM)


@given(st.binary(max_size=200), st.text(max_size=40))
def test_any_body_is_a_choice_or_refused(body: bytes, kind: str) -> None:
    with suppress(BadForm):
        assert isinstance(read_form(body, kind), Choices)


def test_only_what_changes_is_told() -> None:
    before = Consents(True, {"nudge": True, "news": False})
    choices = Choices(None, {"nudge": False, "news": False})
    assert changes(choices, before) == [("nudge", False)]
    assert changes(choices, None) == [("nudge", False), ("news", False)], "nobody knows what was"
    assert changes(OUT, before) == [(None, False)]
    assert after(choices, before) == Consents(True, {"nudge": False, "news": False})
    assert after(OUT, before) == Consents(False, before.categories)


def test_nobody_makes_up_categories() -> None:
    shown = Consents(True, {"nudge": True, "news": True})
    assert among(Choices(None, {"news": False, "x" * 100_000: False}), shown) == Choices(None, {"news": False})


def test_as_many_categories_as_a_page_may_have_and_one_more() -> None:
    def form(count: int) -> bytes:
        return "&".join(["action=save", *(f"shown=c{n}&category=c{n}" for n in range(count))]).encode()

    assert len(read_form(form(MAX_CATEGORIES), FORM).categories) == MAX_CATEGORIES
    with pytest.raises(BadForm, match="not a form"):
        read_form(form(MAX_CATEGORIES + 1), FORM)


def test_the_page_shows_what_is_so() -> None:
    shown = page(Page("Kiln & Kettle", Consents(True, {"nudge": True, "price-drops": False}))).decode()
    assert "Mails from Kiln &amp; Kettle" in shown
    assert re.findall(r'name="category" value="([^"]*)"( checked)?', shown) == [
        ("nudge", " checked"),
        ("price-drops", ""),
    ]
    assert "Price drops" in shown
    assert 'value="none"' in shown
    gone = page(Page("Kiln & Kettle", Consents(False, {"nudge": True}))).decode()
    assert 'value="again"' in gone
    assert "checkbox" not in gone


def test_nothing_breaks_out_of_the_page() -> None:
    bad = '"><script>alert(1)</script>'
    shown = page(Page(bad, Consents(True, {bad: True}), said=bad)).decode()
    assert "<script" not in shown


def test_titles() -> None:
    assert [title(name) for name in ("default", "price-drops", "news_letter", "")] == [
        "Everything else",
        "Price drops",
        "News letter",
        "",
    ]
