"""The browser SDK in a real browser, against the real tracker."""

import asyncio
import signal
from collections import Counter
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from shared.clock import SECOND
from tests.support.browser import Site
from tests.support.stack import until
from tests.support.tracker import WRITE, Tracker, events

pytestmark = pytest.mark.unwatched

Names = list[str]


def snippet(tracker: Tracker, options: str = "") -> str:
    """As docs/sdk.md gives it."""
    return f"""<script>
      window.beckon = window.beckon || function () {{ (beckon.q = beckon.q || []).push(arguments) }};
      beckon("init", "{WRITE}", {{url: "{tracker.url}"{options}}});
      import("{tracker.url}/sdk.js");
    </script>"""


def page_of(tracker: Tracker, body: str = "", options: str = "") -> str:
    return f"<!doctype html><title>A shop</title>{snippet(tracker, options)}<body>{body}</body>"


async def visit(context: Browser | BrowserContext, url: str) -> Page:
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"on the page: {error}"))
    await page.goto(url)
    await page.wait_for_function("window.beckon && window.beckon.loaded")
    return page


async def call(page: Page, *arguments: Any) -> None:
    await page.evaluate("arguments => beckon(...arguments)", list(arguments))


async def entries(page: Page) -> list[str]:
    """The events that wait in this browser."""
    return await page.evaluate("Object.keys(localStorage).filter(name => name.startsWith('beckon.e.'))")  # type: ignore[no-any-return]


async def all_sent(page: Page) -> None:
    async def none_waits() -> bool:
        return await entries(page) == []

    await until(none_waits)


# --- What happens -----------------------------------------------------------------------------------------------------


async def test_a_visit(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/lamp"] = page_of(tracker)
    page = await visit(browser, f"{site.url}/lamp?from=mail")
    await call(page, "track", "Product Added", {"product_id": "p1", "price": 49.9})
    await call(page, "identify", "ada", {"email": "ada@example.test"})
    viewed, added, identified = sorted(
        await events(tracker, "page_viewed", "added_to_cart", "identify"), key=lambda event: event.timestamp
    )
    assert viewed.properties == {
        "url": f"{site.url}/lamp?from=mail",
        "path": "/lamp",
        "title": "A shop",
        "referrer": "",
    }
    assert viewed.anonymous_id == viewed.person == added.person == identified.anonymous_id
    assert (added.properties, added.source) == ({"product_id": "p1", "price": 49.9}, "web")
    assert not added.trusted
    assert (identified.person, identified.properties["email"]) == ("ada", "ada@example.test")
    assert identified.properties["timezone"]
    await call(page, "track", "product_viewed")
    *_, last = sorted(
        await events(tracker, "page_viewed", "added_to_cart", "identify", "product_viewed"),
        key=lambda event: event.timestamp,
    )
    assert (last.person, last.anonymous_id) == ("ada", viewed.person)
    assert await page.evaluate("document.cookie") == ""


async def test_the_site_has_the_last_word(browser: Browser, site: Site, tracker: Tracker) -> None:
    told = """, before: event => {
      if (event.event === "secret") return false;
      event.timestamp -= 60000;
      delete event.context.page;
      event.properties.by = event.user_id || event.anonymous_id;
    }"""
    site.pages["/"] = page_of(tracker, options=told)
    page = await visit(browser, f"{site.url}/")
    await call(page, "track", "secret")
    await call(page, "identify", "ada")
    await call(page, "cart", 1)
    await page.close(run_before_unload=True)
    found = {each.name: each for each in await events(tracker, "page_viewed", "identify", "cart_abandonment")}
    assert found["page_viewed"].properties["by"] == found["page_viewed"].anonymous_id
    assert found["cart_abandonment"].properties == {"quantity": 1, "by": "ada"}
    for each in found.values():
        assert 60 * SECOND <= each.received - each.timestamp < 90 * SECOND
        assert "page" not in each.context


async def test_elements_say_what_they_mean(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(
        tracker,
        """<section data-beckon-event="product_viewed" data-beckon-on="view" data-beckon-product_id="007"></section>
        <button data-beckon-event="added_to_cart" data-beckon-product_id="007" data-beckon-price="9.90"
                data-beckon-image-url="k.jpg"><b>Buy</b></button>
        <form data-beckon-event="searched" action="javascript:void 0"><button id="go">Go</button></form>""",
    )
    page = await visit(browser, f"{site.url}/")
    await page.click("b")
    await page.click("#go")
    found = {
        each.name: each for each in await events(tracker, "page_viewed", "product_viewed", "added_to_cart", "searched")
    }
    assert found["product_viewed"].properties == {"product_id": "007"}
    assert found["added_to_cart"].properties == {"product_id": "007", "price": 9.9, "image_url": "k.jpg"}


async def test_pages_that_change_without_a_load(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker)
    page = await visit(browser, f"{site.url}/")
    await page.evaluate("history.pushState({}, '', '/kettles'); document.title = 'Kettles'")
    await page.evaluate("history.replaceState({}, '', '/kettles')")
    await events(tracker, "page_viewed", "page_viewed")
    await page.go_back()
    found = await events(tracker, *["page_viewed"] * 3)
    assert [each.properties["path"] for each in sorted(found, key=lambda each: each.timestamp)] == [
        "/",
        "/kettles",
        "/",
    ]
    assert {each.properties["title"] for each in found} == {"A shop", "Kettles"}


async def test_pages_are_not_reported_where_that_is_switched_off(
    browser: Browser, site: Site, tracker: Tracker
) -> None:
    site.pages["/"] = page_of(tracker, options=", pages: false")
    page = await visit(browser, f"{site.url}/")
    await page.evaluate("history.pushState({}, '', '/kettles')")
    await call(page, "page", {"name": "Kettles"})
    (viewed,) = await events(tracker, "page_viewed")
    assert viewed.properties["name"] == "Kettles"


async def test_a_script_tag_alone_will_do(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = f'<script async src="{tracker.url}/sdk.js" data-key="{WRITE}"></script>'
    await visit(browser, f"{site.url}/")
    await events(tracker, "page_viewed")


async def test_a_mistake_is_told_on_the_console(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker, options=", pages: false")
    page = await visit(browser, f"{site.url}/")
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    await call(page, "track", "email_sent")

    async def warned() -> bool:
        return any("not taken from outside" in line for line in told)

    await until(warned)
    assert await entries(page) == [], "it is not tried again"
    assert "is none of init, track" in await page.evaluate(
        "() => { try { beckon('tracks') } catch (e) { return e.message } }"
    )


# --- The network ------------------------------------------------------------------------------------------------------


async def test_offline_then_online(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker)
    context = await browser.new_context()
    page = await visit(context, f"{site.url}/")
    await events(tracker, "page_viewed")
    await all_sent(page)
    await context.set_offline(True)
    for number in range(3):
        await call(page, "track", "product_viewed", {"number": number})
    assert len(await entries(page)) == 3
    await context.set_offline(False)
    found = await events(tracker, "page_viewed", *["product_viewed"] * 3)
    assert sorted(each.properties.get("number", -1) for each in found) == [-1, 0, 1, 2]

    await all_sent(page)


async def test_what_a_page_could_not_send_the_next_one_does(browser: Browser, site: Site, tracker: Tracker) -> None:
    """The tracker hangs while the page is closed; a beacon and the next page both send it, and it is one event."""
    site.pages["/"] = page_of(tracker)
    context = await browser.new_context()
    page = await visit(context, f"{site.url}/")
    await events(tracker, "page_viewed")
    await all_sent(page)
    assert tracker.service
    tracker.service.process.send(signal.SIGSTOP)
    await call(page, "track", "added_to_cart", {"product_id": "p1"})
    await page.evaluate("beckon('cart', 0)")
    assert len(await entries(page)) == 1
    await page.close(run_before_unload=True)
    tracker.service.process.send(signal.SIGCONT)
    await visit(context, f"{site.url}/")
    found = await events(tracker, "page_viewed", "page_viewed", "added_to_cart")
    assert len({each.id for each in found}) == 3
    assert len({each.person for each in found}) == 1


async def test_the_tracker_is_away_for_a_while(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker)
    page = await visit(browser, f"{site.url}/")
    await events(tracker, "page_viewed")
    assert tracker.service
    assert await tracker.service.stop() == 0
    await call(page, "track", "product_viewed")
    await tracker.start()
    await events(tracker, "page_viewed", "product_viewed", within_s=20)


async def test_two_tabs_share_a_queue_and_lose_nothing(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker, options=", pages: false")
    context = await browser.new_context()
    tabs = [await visit(context, f"{site.url}/") for _ in range(2)]
    for number in range(20):
        await asyncio.gather(*(call(tab, "track", "product_viewed", {"number": number}) for tab in tabs))
    found = await events(tracker, *["product_viewed"] * 40)
    assert Counter(each.properties["number"] for each in found) == dict.fromkeys(range(20), 2)
    assert len({each.person for each in found}) == 1


async def test_only_so_many_events_are_kept_while_offline(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker, options=", pages: false")
    context = await browser.new_context()
    page = await visit(context, f"{site.url}/")
    await context.set_offline(True)
    await page.evaluate("for (let number = 0; number < 230; number++) beckon('track', 'product_viewed', {number})")
    assert len(await entries(page)) == 200
    await context.set_offline(False)
    found = await events(tracker, *["product_viewed"] * 200)
    assert sorted(each.properties["number"] for each in found) == list(range(30, 230))


async def test_storage_that_is_blocked(browser: Browser, site: Site, tracker: Tracker) -> None:
    """As in a frame without an origin of its own."""
    inner = page_of(tracker).replace('"', "&quot;")
    site.pages["/"] = f'<iframe sandbox="allow-scripts" srcdoc="{inner}"></iframe>'
    page = await browser.new_page()
    await page.goto(f"{site.url}/")
    frame = page.frames[1]
    await frame.wait_for_function("window.beckon && window.beckon.loaded")
    assert await frame.evaluate("() => { try { localStorage } catch (error) { return error.name } }") == "SecurityError"
    await frame.evaluate("beckon('track', 'product_viewed')")
    viewed, product = await events(tracker, "page_viewed", "product_viewed")
    assert viewed.person == product.person


async def test_back_from_the_back_forward_cache(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker)
    site.pages["/other"] = "<title>Other</title>"
    page = await visit(browser, f"{site.url}/")
    await page.evaluate("window.mark = 1")
    await page.goto(f"{site.url}/other")
    await page.go_back(wait_until="commit")
    assert await page.evaluate("window.mark") == 1, "the page came out of the cache"
    await call(page, "track", "product_viewed")
    await events(tracker, "page_viewed", "page_viewed", "product_viewed")


async def test_the_load_event_does_not_wait(browser: Browser, site: Site, tracker: Tracker) -> None:
    """The page has loaded although the SDK never comes."""
    site.pages["/"] = page_of(tracker)
    assert tracker.service
    tracker.service.process.send(signal.SIGSTOP)
    page = await browser.new_page()
    await page.goto(f"{site.url}/", wait_until="load", timeout=5000)
    assert not await page.evaluate("!!window.beckon.loaded")
    tracker.service.process.send(signal.SIGCONT)
    await events(tracker, "page_viewed")


# --- Leaving with a full cart -----------------------------------------------------------------------------------------


async def test_leaving_with_a_full_cart(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker, options=", pages: false")
    page = await visit(browser, f"{site.url}/")
    await call(page, "track", "added_to_cart", {"product_id": "p1", "quantity": 3})
    await call(page, "track", "removed_from_cart", {"product_id": "p1"})
    await events(tracker, "added_to_cart", "removed_from_cart")
    await page.close(run_before_unload=True)
    found = await events(tracker, "added_to_cart", "removed_from_cart", "cart_abandonment")
    assert [each.properties for each in found if each.name == "cart_abandonment"] == [{"quantity": 2}]


@pytest.mark.parametrize("how", ["bought", "emptied", "within the shop"])
async def test_not_leaving_with_a_full_cart(browser: Browser, site: Site, tracker: Tracker, how: str) -> None:
    site.pages["/"] = page_of(tracker, '<a href="/next">next</a>', options=", pages: false")
    site.pages["/next"] = "<title>Next</title>"
    page = await visit(browser, f"{site.url}/")
    await call(page, "track", "added_to_cart", {"product_id": "p1"})
    after = {"bought": "Order Completed", "emptied": "Product Removed"}.get(how, "seen")
    await call(page, "track", after)
    names = ["added_to_cart", {"bought": "purchased", "emptied": "removed_from_cart"}.get(how, "seen")]
    await events(tracker, *names)
    if how == "within the shop":
        await page.click("a")
        await page.wait_for_url("**/next")
    else:
        await page.close(run_before_unload=True)
    other = await visit(browser, f"{site.url}/")
    await call(other, "track", "later")
    await events(tracker, *names, "later")


# --- Consent ----------------------------------------------------------------------------------------------------------


async def test_nothing_is_stored_or_sent_before_consent(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker, options=', consent: "required", cookie: "127.0.0.1"')
    context = await browser.new_context()
    page = await visit(context, f"{site.url}/")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    await call(page, "identify", "ada")
    await call(page, "track", "product_viewed")
    await page.evaluate("new Promise(requestAnimationFrame)")
    assert await page.evaluate("[Object.keys(localStorage).length, document.cookie]") == [0, ""]
    assert requests == []
    await call(page, "consent", True)
    found = await events(tracker, "page_viewed", "identify", "product_viewed")
    assert {each.user_id for each in found if each.name != "page_viewed"} == {"ada"}
    await page.reload()
    await events(tracker, *["page_viewed"] * 2, "identify", "product_viewed")


async def test_a_no_is_kept_and_forgets(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker)
    context = await browser.new_context()
    page = await visit(context, f"{site.url}/")
    await events(tracker, "page_viewed")
    await call(page, "consent", False)
    await call(page, "track", "product_viewed")
    assert await page.evaluate("Object.entries(localStorage)") == [["beckon.consent", "0"]]
    page = await visit(context, f"{site.url}/")
    await call(page, "track", "product_viewed")
    await call(page, "consent", True)
    await call(page, "track", "added_to_cart")
    await events(tracker, "page_viewed", "added_to_cart")


@pytest.mark.parametrize(("options", "names"), [("", ()), (', consent: "given"', ("page_viewed", "product_viewed"))])
async def test_who_asks_not_to_be_tracked_is_not(
    browser: Browser, site: Site, tracker: Tracker, options: str, names: tuple[str, ...]
) -> None:
    site.pages["/"] = page_of(tracker, options=options)
    context = await browser.new_context()
    await context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
    )
    page = await visit(context, f"{site.url}/")
    await call(page, "track", "product_viewed")
    await page.evaluate("new Promise(done => setTimeout(done))")
    await tracker.post({"user_id": "u", "event": "after"})
    await events(tracker, *names, "after")


async def test_signed_out_is_somebody_else(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker, options=", pages: false")
    page = await visit(browser, f"{site.url}/")
    await call(page, "track", "first")
    await call(page, "reset")
    await call(page, "track", "second")
    found = await events(tracker, "first", "second")
    assert len({each.person for each in found}) == 2


async def test_a_cookie_shares_the_visitor_between_subdomains(browser: Browser, site: Site, tracker: Tracker) -> None:
    site.pages["/"] = page_of(tracker, options=', pages: false, cookie: "shop.localhost"')
    port = site.url.rpartition(":")[2]
    context = await browser.new_context()
    for host in ("www.shop.localhost", "blog.shop.localhost"):
        page = await visit(context, f"http://{host}:{port}/")
        await call(page, "track", "seen")
    found = await events(tracker, "seen", "seen")
    assert len({each.person for each in found}) == 1
    (cookie,) = await context.cookies()
    assert (cookie["name"], cookie["sameSite"], cookie["domain"]) == ("beckon_id", "Lax", ".shop.localhost")
    await call(page, "consent", False)
    assert await context.cookies() == []
