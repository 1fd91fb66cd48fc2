"""The links of mails on a real tracker: opened, clicked, unsubscribed."""

import re
from typing import Any

import pytest
from msgspec import structs

from services.local.nats import EmbeddedNats
from shared import subjects
from shared.clock import DAY, SECOND, SystemClock
from shared.consents import Consents, GetConsents
from shared.endpoints import Endpoint, serve_subject
from shared.links import Kind, Link, Links
from tests.support.stack import Stack, until
from tests.support.tracker import GIF_SIZE, Tracker

OLD, NEW = "the secret of last year is long enough", "the secret of this year is long enough"
LINKS = Links([NEW])
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
SCANNER = {"User-Agent": "curl/8.5.0"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SHOP = "https://shop.test/mug?a=1&b=ü"


def link(person: str = "ada", *, ago: int = DAY, **more: Any) -> Link:
    return Link(person, "t1", "cart", 3, "nudge", SystemClock().now() - ago, **more)


def path(kind: Kind, found: Link, links: Links = LINKS) -> str:
    return kind.path(links.token(kind, found))


@pytest.fixture
async def linked(idle_tracker: Tracker) -> Tracker:
    await idle_tracker.start(SECRET_KEY=f"{NEW},{OLD}", SITE_NAME="Kiln & Kettle")
    return idle_tracker


async def told(tracker: Tracker, count: int) -> list[tuple[str, str, Any]]:
    """Person, name and machine of what the stream holds, as soon as that is so much."""

    async def there() -> bool:
        return len(await tracker.stored()) >= count

    await until(there)
    return [(event.person, event.name, event.properties.get("machine")) for event in await tracker.stored()]


async def test_a_click_leads_where_the_mail_says_and_is_told(linked: Tracker) -> None:
    clicked = link(url=SHOP)
    async with linked.http.get(path(Kind.CLICK, clicked), headers=FIREFOX, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "https://shop.test/mug?a=1&b=%C3%BC")
        assert answer.headers["Cache-Control"] == "no-store"
    (event,) = await linked.stored()
    assert (event.person, event.name, event.source, event.trusted) == ("ada", "email_clicked", "beckon", True)
    assert event.properties == {
        "trigger_id": "t1",
        "rule": "cart",
        "version": 3,
        "category": "nudge",
        "url": SHOP,
    }


async def test_an_opening_is_told_once_a_minute_and_machines_beside_it(linked: Tracker) -> None:
    image = path(Kind.OPEN, link())
    for headers in (FIREFOX, FIREFOX, {"User-Agent": "Mozilla/5.0"}, SCANNER):
        async with linked.http.get(image, headers=headers) as answer:
            assert (answer.status, answer.content_type, len(await answer.read())) == (200, "image/gif", GIF_SIZE)
            assert answer.headers["Cache-Control"] == "no-store"
    async with linked.http.head(image, headers=FIREFOX) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with linked.http.get(path(Kind.OPEN, link("bob", ago=SECOND)), headers=FIREFOX) as answer:
        assert answer.status == 200
    found = set(await told(linked, 3))
    assert {("ada", "email_opened", None), ("bob", "email_opened_by_machine", "at once")} <= found
    assert ("ada", "email_opened_by_machine", "apple") in found


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_token_that_is_not_ours_does_nothing(linked: Tracker, kind: Kind) -> None:
    good = path(kind, link(url="https://evil.test/"))
    place = len(good) // 2
    changed = good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]
    others = path(kind, link(url="https://evil.test/"), Links(["a secret that the tracker does not know of"]))
    for wrong in (changed, others, f"/{kind.value}/", f"/{kind.value}/x", f"/{kind.value}/https://evil.test/"):
        for method in ("GET", "POST") if kind is Kind.UNSUBSCRIBE else ("GET",):
            async with linked.http.request(method, wrong, headers=FIREFOX, allow_redirects=False) as answer:
                assert answer.status == 404
                assert "Location" not in answer.headers
                assert answer.content_type == ("image/gif" if kind is Kind.OPEN else "text/html")
    assert await linked.stored() == []


async def test_mails_that_were_sealed_with_the_last_secret_still_work(linked: Tracker) -> None:
    async with linked.http.get(
        path(Kind.CLICK, link(url=SHOP), Links([OLD])), headers=FIREFOX, allow_redirects=False
    ) as answer:
        assert answer.status == 302


async def test_one_click_unsubscribes_by_post_and_never_by_looking(linked: Tracker) -> None:
    out = path(Kind.UNSUBSCRIBE, link())
    for headers in (FIREFOX, SCANNER):
        async with linked.http.get(out, headers=headers) as answer:
            page = await answer.text()
            assert (answer.status, answer.content_type) == (200, "text/html")
            assert "Mails from Kiln &amp; Kettle" in page
            assert "cannot be shown just now" in page, "nobody is there who knows what ada chose"
    async with linked.http.head(out, headers=FIREFOX):
        pass
    assert await linked.stored() == []
    async with linked.http.post(out, data=b"List-Unsubscribe=One-Click", headers={**SCANNER, **FORM}) as answer:
        assert answer.status == 200
    async with linked.http.post(path(Kind.UNSUBSCRIBE, link("bob"))) as answer:
        assert answer.status == 200
    assert [(e.person, e.name, e.properties["scope"]) for e in await linked.stored()] == [
        ("ada", "email_unsubscribed", "all"),
        ("bob", "email_unsubscribed", "all"),
    ]
    async with linked.http.post(out, data=b"action=everything", headers=FORM) as answer:
        assert answer.status == 400


async def test_what_a_person_chose_is_shown_and_only_changes_are_told(linked: Tracker, stack: Stack) -> None:
    consents = {"ada": Consents(True, {"news": False, "price-drops": True}), "bob": Consents(False, {})}

    async def get(request: GetConsents) -> Consents:
        return consents[request.person]

    throttle = await stack.bus("throttle")
    await serve_subject(throttle, Endpoint(subjects.CONSENTS_GET, GetConsents, get))
    await throttle.nc.flush()
    async with linked.http.get(path(Kind.UNSUBSCRIBE, link())) as answer:
        shown = re.findall(r'name="category" value="([^"]*)"( checked)?', await answer.text())
        assert shown == [("nudge", " checked"), ("news", ""), ("price-drops", " checked")]
    form = b"shown=nudge&shown=news&shown=price-drops&category=news&category=nudge&action=save"
    async with linked.http.post(path(Kind.UNSUBSCRIBE, link()), data=form, headers=FORM) as answer:
        page = await answer.text()
        assert "Saved." in page
        assert re.findall(r'value="([^"]*)" checked', page) == ["nudge", "news"]
    async with linked.http.post(
        path(Kind.UNSUBSCRIBE, link()),
        data=b"shown=price-drops&shown=made-up&category=price-drops&action=save",
        headers=FORM,
    ) as answer:
        assert "Saved." in await answer.text(), "where nothing changes nothing is told"
    async with linked.http.post(path(Kind.UNSUBSCRIBE, link("bob")), data=b"action=again", headers=FORM) as answer:
        assert "subscribed again" in await answer.text()
    told = [(e.person, e.name, e.properties["scope"], e.properties["category"]) for e in await linked.stored()]
    assert sorted(told) == [
        ("ada", "email_resubscribed", "category", "news"),
        ("ada", "email_resubscribed", "category", "nudge"),
        ("ada", "email_unsubscribed", "category", "price-drops"),
        ("bob", "email_resubscribed", "all", "nudge"),
    ]


async def test_a_trial_mail_changes_nothing_for_the_person_it_stands_for(linked: Tracker) -> None:
    trial = structs.replace(link(url=SHOP), trial=True)
    async with linked.http.get(path(Kind.CLICK, trial), headers=FIREFOX, allow_redirects=False) as answer:
        assert answer.status == 302
    async with linked.http.get(path(Kind.OPEN, trial), headers=FIREFOX) as answer:
        assert answer.status == 200
    async with linked.http.post(path(Kind.UNSUBSCRIBE, trial)) as answer:
        assert "nothing was changed" in await answer.text()
    assert await linked.stored() == []


async def test_while_nats_is_away_people_still_get_where_they_want_and_their_click_is_told_later(
    linked: Tracker, nats_server: EmbeddedNats
) -> None:
    await nats_server.kill()
    async with linked.http.get(path(Kind.CLICK, link(url=SHOP)), headers=FIREFOX, allow_redirects=False) as answer:
        assert answer.status == 302
    async with linked.http.post(path(Kind.UNSUBSCRIBE, link())) as answer:
        assert answer.status == 503, "a choice is not said to be kept before it is"
        assert answer.headers["Retry-After"]
    await nats_server.restart()
    assert ("ada", "email_clicked", None) in await told(linked, 1)


async def test_no_log_holds_what_would_unsubscribe_somebody(idle_tracker: Tracker) -> None:
    service = await idle_tracker.start(SECRET_KEY=NEW, LOG_LEVEL="debug")
    out = path(Kind.UNSUBSCRIBE, link())
    async with idle_tracker.http.get(out) as answer:
        assert answer.status == 200
    assert await service.stop() == 0
    (line,) = service.logged("request")
    assert line["path"] == "/u/"
