"""The links of a mail, before and after."""

import re
from time import perf_counter

import pytest
from msgspec import structs

from services.mailer.links import Linking
from shared.clock import SECOND
from shared.links import Kind, Link, Links
from shared.messages import EmailAction, Terms, Trigger

NOW = 1_760_000_000 * SECOND
TRACKER = "https://events.shop.test"
LINKS = Links(["a secret of more than thirty-two characters"])
LINKING = Linking(LINKS, TRACKER)
TRIGGER = Trigger("t1", "ada", "cart", 3, NOW, Terms(EmailAction("cart-reminder"), category="nudge"))
LINK = LINKING.link(TRIGGER, NOW, trial=False)


def led_to(html: str) -> list[str]:
    """Where the clicks of a mail lead."""
    tokens = re.findall(rf'href="{TRACKER}/c/([^"]*)"', html, re.IGNORECASE)
    return [LINKS.read(Kind.CLICK, token).url for token in tokens]


def test_a_link_says_whose_mail_it_stands_in() -> None:
    assert Link("ada", "t1", "cart", 3, "nudge", NOW) == LINK
    (token,) = re.findall(r"/c/([^\"]*)\"", LINKING.tracked('<a href="https://shop.test/">x</a>', LINK))
    assert LINKS.read(Kind.CLICK, token) == structs.replace(LINK, url="https://shop.test/")


@pytest.mark.parametrize(
    ("tag", "url"),
    [
        ('<a href="https://shop.test/mug?a=1&amp;b=2#x">', "https://shop.test/mug?a=1&b=2#x"),
        ("<a class='b' href = 'http://shop.test/'>", "http://shop.test/"),
        ('<A\n  STYLE="a>b"\n  HREF="https://shop.test/">', "https://shop.test/"),
        ('<a data-href="https://other.test/" href="https://shop.test/">', "https://shop.test/"),
        ('<a href="https://shop.test/ü?q=%20">', "https://shop.test/ü?q=%20"),
    ],
)
def test_links_to_web_pages_lead_through_the_tracker(tag: str, url: str) -> None:
    assert led_to(LINKING.tracked(f"<body>{tag}x</a></body>", LINK)) == [url]


@pytest.mark.parametrize(
    "tag",
    [
        '<a href="mailto:ada@shop.test">',
        '<a href="#top">',
        '<a href="/relative">',
        '<a href="javascript:alert(1)">',
        '<a data-untracked href="https://shop.test/">',
        f'<a href="{TRACKER}/u/TOKEN">',
        '<a name="top">',
        '<abbr href="https://shop.test/">',
        f'<a href="https://shop.test/{"x" * 2048}">',
        '<a href="https://shop.test/',
    ],
)
def test_everything_else_stays_as_it_is(tag: str) -> None:
    html = f"<body>{tag}x</a>"
    assert LINKING.tracked(html, LINK).startswith(html)


def test_the_image_that_tells_of_the_opening_stands_at_the_end() -> None:
    html = LINKING.tracked("<html><body><p>Hi</p></body></html>", LINK)
    found = re.fullmatch(rf'<html><body><p>Hi</p><img src="{TRACKER}/o/(.*?)\.gif" .*></body></html>', html)
    assert found
    assert LINKS.read(Kind.OPEN, found[1]) == LINK
    assert LINKING.tracked("<p>Hi</p>", LINK).startswith('<p>Hi</p><img src="')


def test_the_way_out() -> None:
    address = LINKING.unsubscribe(LINK)
    assert address.startswith(f"{TRACKER}/u/")
    assert LINKS.read(Kind.UNSUBSCRIBE, address.rpartition("/")[2]) == LINK


def test_without_a_secret_mails_stay_as_they_are() -> None:
    plain = Linking(Links([]), "")
    html = '<body><a href="https://shop.test/">x</a></body>'
    assert plain.tracked(html, LINK) == html
    assert plain.unsubscribe(LINK) == ""


@pytest.mark.parametrize("piece", ["<a ", "<a href=", '<a href="', "<a x='", "<a href=\"x' ", "</body", " href"])
def test_no_markup_takes_long(piece: str) -> None:
    began = perf_counter()
    LINKING.tracked(piece * 50_000, LINK)
    assert perf_counter() - began < 2, "linear: milliseconds, quadratic: minutes"
