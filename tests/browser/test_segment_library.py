"""Segment's own browser library, unmodified, in a real browser against the real tracker, which is restarted under it."""

import os

import pytest
from playwright.async_api import Browser

from tests.support import node
from tests.support.browser import Site
from tests.support.people import committed
from tests.support.stack import Stack, until
from tests.support.tracker import WRITE, Tracker

pytestmark = pytest.mark.unwatched

EVENTS = int(os.environ.get("CLIENT_EVENTS", "400"))


@pytest.fixture
def shop(site: Site, tracker: Tracker) -> Site:
    node.installed()
    library = node.CLIENTS / "node_modules/@segment/analytics-next/dist/umd/index.js"
    site.pages["/"] = f"""<!doctype html><title>A shop</title><script>{library.read_text()}</script><script>
      window.analytics = AnalyticsNext.AnalyticsBrowser.load({{writeKey: "{WRITE}", cdnURL: "{tracker.url}"}});
    </script>"""
    return site


async def test_it_finds_its_settings_and_speaks_its_calls(browser: Browser, shop: Site, tracker: Tracker) -> None:
    page = await browser.new_page()
    await page.goto(f"{shop.url}/")
    await page.evaluate(
        """async () => {
          await analytics.page("Shop", "Home");
          await analytics.identify("ada", {email: "ada@example.test", firstName: "Ada"});
          await analytics.track("Product Added", {product_id: "p1", price: 49.9});
          await analytics.alias("ada-2");
        }"""
    )

    async def all_of_them() -> bool:
        return len(await tracker.stored()) == 4

    await until(all_of_them)
    found = {event.name: event for event in await tracker.stored()}
    assert found["page_viewed"].properties["title"] == "A shop"
    assert found["page_viewed"].properties["name"] == "Home"
    assert found["identify"].properties["first_name"] == "Ada"
    assert found["identify"].anonymous_id == found["page_viewed"].person
    assert found["added_to_cart"].person == "ada"
    assert found["added_to_cart"].properties == {"product_id": "p1", "price": 49.9}
    assert {event.source for event in found.values()} == {"web"}
    # It names whoever is signed in, not whom it was told.
    assert (found["alias"].person, found["alias"].properties) == ("ada", {"previous_id": "ada"})


async def test_every_event_arrives_once_although_the_servers_are_restarted(
    browser: Browser, shop: Site, stack: Stack, tracker: Tracker
) -> None:
    await stack.start("rule_evaluator")
    await stack.start("state")
    page = await browser.new_page()
    await page.goto(f"{shop.url}/")
    await page.evaluate(
        """count => {
          const send = (from, to) => {
            for (let number = from; number < to; number++) analytics.track("Product Viewed", {number});
          };
          send(0, count / 2);
          window.secondHalf = () => send(count / 2, count);
        }""",
        EVENTS,
    )

    async def some() -> bool:
        return bool(await stack.fetch("SELECT 1 FROM state.events LIMIT 1"))

    await until(some)
    await stack.nats.kill()
    await page.evaluate("secondHalf()")
    await stack.nats.restart()
    await tracker.restart()
    await committed(stack, EVENTS, within_s=120)
    rows = await stack.fetch("SELECT (properties->>'number')::int AS number FROM state.events")
    assert sorted(row["number"] for row in rows) == list(range(EVENTS))
