"""The sample shop in a real browser, against the real tracker: what a visitor sees, and what Beckon hears of it."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, expect

from services.shop.settings import Settings
from services.shop.web import application
from shared.clock import DAY, MINUTE, SECOND
from shared.messages import Event
from tests.support.stack import ROOT
from tests.support.tracker import WRITE, Tracker, events

pytestmark = pytest.mark.unwatched

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 800}, "is_mobile": True, "has_touch": True}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
HURRY = 30 * MINUTE - 3 * SECOND


@pytest.fixture
async def shop(tracker: Tracker) -> AsyncIterator[str]:
    async for address in serve(tracker.url):
        yield address


async def serve(tracker: str) -> AsyncIterator[str]:
    settings = Settings(
        write_key=WRITE,
        tracker_public_url=tracker,
        inbox_url="http://127.0.0.1:8025",
        shop_dir=str(ROOT / "examples/shop"),
    )
    runner = web.AppRunner(application(settings))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Visit:
    """A page of the shop. ``problems``: what the browser complained of, violations of the policy included."""

    def __init__(self, page: Page, shop: str) -> None:
        self.page = page
        self.shop = shop
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self._said(message.type, message.text))
        self.panel = page.get_by_role("complementary", name="What this page tells Beckon")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(text)

    async def see(self, path: str, heading: str) -> None:
        await self.page.goto(self.shop + path)
        await self.sees(heading)

    async def sees(self, heading: str) -> None:
        """Also: nothing is wider than the screen, and no picture is without a text or missing."""
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        found = await self.page.evaluate(
            """async () => {
              const pictures = [...document.images];
              pictures.forEach((image) => { image.loading = "eager"; });
              await Promise.allSettled(pictures.map((image) => image.decode()));
              const bad = pictures.filter((image) => !image.hasAttribute("alt") || !image.naturalWidth);
              return [document.documentElement.scrollWidth - innerWidth, bad.map((image) => image.src)];
            }"""
        )
        assert found == [0, []]

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).click()

    async def follow(self, name: str) -> None:
        await self.page.get_by_role("link", name=name).first.click()

    async def sign_in(self, button: str, email: str = "ada@example.test", name: str = "Ada") -> None:
        await self.page.get_by_label("E-mail").fill(email)
        await self.page.get_by_label("First name").fill(name)
        await self.press(button)

    async def reported(self, count: int) -> None:
        """So many events were told since the page was opened."""
        await expect(self.panel.locator(".count")).to_have_text(str(count))

    async def open_panel(self) -> None:
        await self.panel.locator("summary").first.click()


async def opened(context: Browser | BrowserContext, shop: str, path: str, heading: str, **options: Any) -> Visit:
    visit = Visit(await context.new_page(**options), shop)
    await visit.see(path, heading)
    await visit.reported(2 if path.startswith("/products/") else 1)
    return visit


def named(found: list[Event], name: str) -> list[Event]:
    """In the order in which they happened."""
    return sorted((each for each in found if each.name == name), key=lambda each: each.timestamp)


@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_from_the_first_look_to_the_order(
    browser: Browser, shop: str, tracker: Tracker, screen: dict[str, Any]
) -> None:
    visit = await opened(browser, shop, "/", "Few things, made to stay.", **screen)
    await visit.follow("Stoneware mug")
    await visit.sees("Stoneware mug")
    await visit.press("One more: Stoneware mug")
    await visit.press("Add to cart")
    await visit.sign_in("Keep my cart")
    await expect(visit.page.locator("#notice")).to_have_text("In your cart: Stoneware mug. View cart (2)")
    await visit.follow("View cart")
    await visit.sees("Your cart")
    await visit.press("One less: Stoneware mug")
    await visit.follow("Harbour Goods")
    await visit.follow("Harbour blend")
    await visit.press("Add to cart")
    await visit.follow("Cart 2")
    await visit.press("Remove: Stoneware mug")
    await visit.press("One more: Harbour blend")
    await visit.follow("Check out")
    await visit.sees("Checkout")
    await expect(visit.page.get_by_label("E-mail")).to_have_value("ada@example.test")
    await visit.press("Place the order, €29.80")
    await visit.sees("Thank you, Ada.")
    await expect(visit.page.get_by_role("link", name="Cart", exact=True)).to_be_visible()

    paths = ["/", "/products/mug", "/cart", "/", "/products/coffee", "/cart", "/checkout", "/orders/…"]
    names = [*["page_viewed"] * len(paths), *["product_viewed"] * 2, *["added_to_cart"] * 3]
    names += [*["removed_from_cart"] * 2, *["identify"] * 2, "checkout_started", "purchased"]
    found = await events(tracker, *names)

    seen = [re.sub("HG-.*", "…", each.properties["path"]) for each in named(found, "page_viewed")]
    assert seen == paths
    assert {each.properties["title"] for each in named(found, "page_viewed")} > {
        "Stoneware mug · Harbour Goods",
        "Cart · Harbour Goods",
    }
    mug = {
        "product_id": "mug",
        "name": "Stoneware mug",
        "price": 24.5,
        "currency": "EUR",
        "category": "Kitchen",
        "url": f"{shop}/products/mug",
        "image_url": f"{shop}/pictures/mug.png",
    }
    viewed, _ = named(found, "product_viewed")
    assert (viewed.properties, viewed.user_id) == (mug, None)
    added, *more = named(found, "added_to_cart")
    assert added.properties == {**mug, "quantity": 2}
    assert [(each.properties["product_id"], each.properties["quantity"]) for each in more] == [
        ("coffee", 1),
        ("coffee", 1),
    ]
    removed = [
        (each.properties["product_id"], each.properties["quantity"]) for each in named(found, "removed_from_cart")
    ]
    assert removed == [("mug", 1), ("mug", 1)]
    (ada,) = {each.user_id for each in found if each.user_id}
    assert ada.startswith("customer-")
    assert named(found, "identify")[0].properties["email"] == "ada@example.test"
    assert added.user_id == ada, "who it is was told before the cart was filled"
    started, purchased = [*named(found, "checkout_started"), *named(found, "purchased")]
    order = {"total": 29.8, "currency": "EUR", "quantity": 2, "products": purchased.properties["products"]}
    assert started.properties == order
    assert purchased.properties == {**order, "order_id": purchased.properties["order_id"], "consumable": True}
    (line,) = purchased.properties["products"]
    assert (line["product_id"], line["price"], line["quantity"]) == ("coffee", 14.9, 2)
    assert {each.anonymous_id for each in found} == {viewed.anonymous_id}
    assert visit.problems == []


async def test_a_cart_that_is_left_waits_where_the_mail_leads(browser: Browser, shop: str, tracker: Tracker) -> None:
    context = await browser.new_context(**DESKTOP)
    visit = await opened(context, shop, "/account", "Who are you?")
    await visit.sign_in("Sign in")
    await visit.sees("Hello, Ada.")
    await visit.see("/products/lamp", "Desk lamp")
    await visit.press("Add to cart")
    names = ["page_viewed", "page_viewed", "identify", "product_viewed", "added_to_cart"]
    await events(tracker, *names)
    await visit.page.close(run_before_unload=True)

    found = await events(tracker, *names, "cart_abandonment")
    (left,) = named(found, "cart_abandonment")
    assert left.properties == {"quantity": 1}
    # Dated back like everything else: it is still the last thing that happened.
    assert left.timestamp == max(each.timestamp for each in found)
    (added,) = named(found, "added_to_cart")
    back = await opened(context, shop, added.properties["url"].removeprefix(shop), "Desk lamp")
    await expect(back.page.get_by_text("You have 1 in your cart.")).to_be_visible()
    await back.page.reload()
    await expect(back.page.get_by_role("link", name="Cart 1")).to_be_visible()

    # Another tab of the same shop knows as well.
    other = await opened(context, shop, "/cart", "Your cart")
    await other.press("Remove: Desk lamp")
    await other.sees("Your cart is empty")
    await expect(back.page.get_by_text("You have 1 in your cart.")).to_be_hidden()
    assert visit.problems + back.problems + other.problems == []


async def test_storage_that_is_blocked(browser: Browser, shop: str, tracker: Tracker) -> None:
    context = await browser.new_context(**DESKTOP)
    await context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})"
    )
    visit = await opened(context, shop, "/products/watch", "Mechanical watch")
    await visit.press("Add to cart")
    await visit.press("No, thank you")
    await visit.follow("View cart (1)")
    await visit.follow("Check out")
    await visit.sign_in("Place the order, €1,290.00")
    await visit.sees("Thank you, Ada.")
    names = [*["page_viewed"] * 4, "product_viewed", "added_to_cart", "checkout_started", "identify", "purchased"]
    found = await events(tracker, *names)
    assert len({each.anonymous_id for each in found}) == 1
    assert visit.problems == []


async def test_by_keyboard_alone(browser: Browser, shop: str) -> None:
    visit = await opened(browser, shop, "/account", "Who are you?", **DESKTOP)
    keyboard = visit.page.keyboard
    await keyboard.press("Tab")
    await expect(visit.page.get_by_role("link", name="To the content")).to_be_focused()
    await keyboard.press("Enter")
    await keyboard.press("Tab")
    await expect(visit.page.get_by_label("E-mail")).to_be_focused()
    await keyboard.type("ada@example.test")
    await keyboard.press("Tab")
    await keyboard.type("Ada")
    await keyboard.press("Enter")
    await visit.sees("Hello, Ada.")

    await visit.see("/products/mug", "Stoneware mug")
    await visit.page.get_by_role("button", name="Add to cart").focus()
    await keyboard.press("Enter")
    await expect(visit.page.get_by_role("button", name="Add to cart")).to_be_focused()
    await visit.page.get_by_role("link", name="View cart").focus()
    await keyboard.press("Enter")
    await visit.sees("Your cart")
    await expect(visit.page.get_by_role("main")).to_be_focused()
    more = visit.page.get_by_role("button", name="One more: Stoneware mug")
    await more.focus()
    for _ in range(8):
        await keyboard.press("Enter")
    await expect(visit.page.get_by_text("€220.50").first).to_be_visible()
    await expect(more).to_be_disabled()
    assert visit.problems == []


# --- What the page tells Beckon ---------------------------------------------------------------------------------------


async def test_the_panel_shows_what_is_told_and_how_far_back_it_is_dated(
    browser: Browser, shop: str, tracker: Tracker
) -> None:
    visit = await opened(browser, shop, "/products/mug", "Stoneware mug", **PHONE)
    await visit.open_panel()
    await expect(visit.panel.get_by_role("link", name="Open the inbox")).to_have_attribute(
        "href", "http://127.0.0.1:8025"
    )
    await visit.panel.get_by_role("button", name="Be somebody", exact=True).click()
    await visit.reported(3)
    hurry = visit.panel.get_by_role("switch", name="Hurry")
    await expect(hurry).to_be_checked()
    await hurry.uncheck()
    await visit.open_panel()  # closes it: it would lie above the button
    await visit.press("Add to cart")
    await visit.reported(4)
    await visit.open_panel()
    entry = visit.panel.get_by_role("listitem").first
    await entry.locator("summary").click()
    await expect(entry).to_contain_text('"product_id": "mug"')
    await expect(visit.panel.get_by_text("Leave the cart as it is: the reminder is due at")).to_be_visible()

    found = await events(tracker, "page_viewed", "product_viewed", "identify", "added_to_cart")
    ago = {each.name: each.received - each.timestamp for each in found}
    assert 0 <= ago.pop("added_to_cart") < 30 * SECOND
    assert all(HURRY <= value < HURRY + 30 * SECOND for value in ago.values()), ago
    await visit.page.reload()
    await expect(hurry).not_to_be_checked()
    assert visit.problems == []


async def test_what_comes_after_the_reminder_has_its_own_time(browser: Browser, shop: str, tracker: Tracker) -> None:
    visit = await opened(browser, shop, "/account", "Who are you?", **DESKTOP)
    await visit.sign_in("Sign in")
    await visit.follow("Harbour Goods")
    await visit.follow("Pocket notebook")
    await visit.press("Add to cart")
    await visit.open_panel()
    await expect(visit.panel.get_by_text("the reminder is due at")).to_be_visible()
    await expect(visit.panel.get_by_text("The reminder was due at")).to_be_visible()
    await visit.follow("Cart 1")
    await visit.follow("Check out")
    await visit.press("Place the order, €12.00")
    names = [
        *["page_viewed"] * 6,
        *["identify"] * 2,
        "product_viewed",
        "added_to_cart",
        "checkout_started",
        "purchased",
    ]
    found = await events(tracker, *names)
    (added,), (purchased,) = named(found, "added_to_cart"), named(found, "purchased")
    assert added.received - added.timestamp >= HURRY
    assert 0 <= purchased.received - purchased.timestamp < 30 * SECOND
    assert visit.problems == []

    # Somebody else begins anew.
    await visit.panel.get_by_role("button", name="Be somebody else").click()
    found = await events(tracker, *names, "identify")
    await expect(visit.panel.get_by_text("Put something into the cart, then leave it.")).to_be_visible()
    other = next(each for each in found if each.user_id not in (None, added.user_id))
    assert other.received - other.timestamp >= HURRY


async def test_somebody_who_was_last_seen_two_weeks_ago(browser: Browser, shop: str, tracker: Tracker) -> None:
    visit = await opened(browser, shop, "/", "Few things, made to stay.", **DESKTOP)
    await visit.open_panel()
    await visit.panel.get_by_role("button", name="two weeks ago").click()
    await expect(visit.panel.get_by_text("Not seen for two weeks")).to_be_visible()
    found = await events(tracker, "page_viewed", "identify", "page_viewed")
    theirs = [each for each in found if each.user_id]
    assert len(theirs) == 2
    for each in theirs:
        assert 14 * DAY - 3 * SECOND <= each.received - each.timestamp < 14 * DAY + 27 * SECOND
    assert visit.problems == []


async def test_a_browser_that_asks_not_to_be_tracked_is_asked(browser: Browser, shop: str, tracker: Tracker) -> None:
    context = await browser.new_context(**DESKTOP)
    await context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
    )
    visit = Visit(await context.new_page(), shop)
    await visit.see("/", "Few things, made to stay.")
    await visit.open_panel()
    await expect(visit.panel.get_by_text("so nothing is reported")).to_be_visible()
    await visit.reported(0)
    await visit.panel.get_by_role("button", name="Allow it here").click()
    await visit.follow("Desk lamp")
    await visit.reported(2)
    await events(tracker, "page_viewed", "product_viewed")
    assert visit.problems == []


async def test_the_shop_is_open_although_the_tracker_is_away(browser: Browser) -> None:
    async for shop in serve("http://127.0.0.1:9"):
        visit = Visit(await browser.new_page(), shop)
        await visit.see("/products/mug", "Stoneware mug")
        await visit.press("Add to cart")
        await visit.press("No, thank you")
        await visit.follow("View cart (1)")
        await visit.sees("Your cart")
        await visit.open_panel()
        await expect(visit.panel.get_by_text("The tracker at http://127.0.0.1:9 does not answer")).to_be_visible()


async def test_what_is_not_there(browser: Browser, shop: str) -> None:
    visit = Visit(await browser.new_page(), shop)
    for path in ("/products/unicorn", "/orders/HG-0", "/no/such/page"):
        await visit.see(path, "Not here")
    await visit.see("/checkout", "Your cart is empty")
    assert visit.problems == []
