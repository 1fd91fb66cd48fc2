"""People and machines who open mails."""

import pytest

from services.tracker.engagement import chosen, clicked, machine, opened
from shared.clock import MINUTE, SECOND
from shared.links import Link
from shared.outcomes import NOT_ACTIVITY

NOW = 1_760_000_000 * SECOND
LINK = Link("ada", "t1", "cart", 3, "nudge", NOW - MINUTE, url="https://shop.test/mug")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLE = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
OUTLOOK = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook 16.0; ms-office; MSOffice 16)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"


@pytest.mark.parametrize(
    ("method", "headers", "age", "by"),
    [
        ("GET", {"User-Agent": FIREFOX}, 60, None),
        ("GET", {"User-Agent": OUTLOOK}, 60, None),
        ("GET", {"User-Agent": IPHONE}, 60, None),
        ("GET", {"User-Agent": "Thunderbird/140.0"}, 60, None),
        ("GET", {"User-Agent": FIREFOX}, 5, None),
        ("GET", {"User-Agent": FIREFOX}, 4.999, "at once"),
        ("GET", {"User-Agent": FIREFOX}, -1, "at once"),
        ("HEAD", {"User-Agent": FIREFOX}, 60, "head"),
        ("GET", {"User-Agent": FIREFOX, "Sec-Purpose": "prefetch;prerender"}, 60, "prefetch"),
        ("GET", {"User-Agent": FIREFOX, "X-Moz": "prefetch"}, 60, "prefetch"),
        ("GET", {"User-Agent": FIREFOX, "X-Purpose": "preview"}, 60, "prefetch"),
        ("GET", {"User-Agent": "Mozilla/5.0"}, 60, "apple"),
        ("GET", {"User-Agent": GOOGLE}, 60, "google"),
        ("GET", {"User-Agent": YAHOO}, 60, "yahoo"),
        ("GET", {"User-Agent": "Barracuda Sentinel (EE)"}, 60, "scanner"),
        ("GET", {"User-Agent": "python-requests/2.32"}, 60, "scanner"),
        ("GET", {"User-Agent": "curl/8.5.0"}, 60, "scanner"),
        ("GET", {}, 60, "scanner"),
    ],
)
def test_who_is_a_machine(method: str, headers: dict[str, str], age: float, by: str | None) -> None:
    assert machine(method, headers, round(age * SECOND), 5 * SECOND) == by


def test_what_a_person_does() -> None:
    about = {"trigger_id": "t1", "rule": "cart", "version": 3, "category": "nudge"}
    opening, click = opened(LINK, NOW, None), clicked(LINK, NOW, None)
    assert (opening.person, opening.name, opening.timestamp, opening.properties) == ("ada", "email_opened", NOW, about)
    assert (click.name, click.properties) == ("email_clicked", {**about, "url": "https://shop.test/mug"})
    assert (click.source, click.trusted) == ("beckon", True)
    assert not {opening.name, click.name} & NOT_ACTIVITY


def test_what_a_machine_does_is_neither_engagement_nor_activity() -> None:
    opening, click = opened(LINK, NOW, "apple"), clicked(LINK, NOW, "scanner")
    assert (opening.name, opening.properties["machine"]) == ("email_opened_by_machine", "apple")
    assert (click.name, click.properties["machine"]) == ("email_clicked_by_machine", "scanner")
    assert {opening.name, click.name} <= NOT_ACTIVITY


def test_a_double_click_is_one_and_a_machine_takes_nobodys_place() -> None:
    minute = NOW - NOW % MINUTE
    first, again, later = (clicked(LINK, minute + wait, None).id for wait in (0, SECOND, MINUTE))
    assert first == again != later
    other = Link("ada", "t1", "cart", 3, "nudge", NOW, url="https://shop.test/lamp")
    assert len({first, clicked(LINK, minute, "google").id, clicked(other, minute, None).id}) == 3


def test_what_people_choose() -> None:
    out, back = chosen(LINK, NOW, wanted=False), chosen(LINK, NOW, wanted=True, category="news")
    assert (out.name, out.properties["scope"], out.properties["category"]) == ("email_unsubscribed", "all", "nudge")
    assert (back.name, back.properties["scope"], back.properties["category"]) == (
        "email_resubscribed",
        "category",
        "news",
    )
