"""All the way, as people go it: a cart in the shop, the mail in the inbox, its link, the purchase, and the figures."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, FrameLocator, Page, expect

from services.local.plan import ADDRESSES
from services.local.system import System
from tests.support.command import beckon
from tests.support.stack import until

pytestmark = pytest.mark.unwatched

PERSON = {"user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
"""Chromium without a head says that it is a robot, and is believed."""


@pytest.fixture
async def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[System]:
    monkeypatch.setenv("HUMAN_AFTER_S", "0")  # a test reads faster than a person
    environ = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
    async with asyncio.TaskGroup() as tasks:
        system = System(tmp_path / "home", environ, tasks, shop=True)
        try:
            await system.start()
            yield system
        finally:
            await system.stop()


async def leave_a_cart(page: Page, shop: str) -> None:
    await page.goto(f"{shop}/products/mug")
    await page.get_by_role("button", name="Add to cart").click()
    await page.get_by_label("E-mail").fill("ada@example.test")
    await page.get_by_label("First name").fill("Ada")
    await page.get_by_role("button", name="Keep my cart").click()
    await expect(page.locator("#notice")).to_contain_text("In your cart")
    await page.close(run_before_unload=True)


async def the_mail(context: BrowserContext, system: System) -> FrameLocator:
    """As the inbox shows it, once it is there."""
    inbox = await context.new_page()
    await inbox.goto(system.doors.inbox)
    await inbox.get_by_role("button", name="Ada, still in your cart: Stoneware mug").click(timeout=30_000)
    return inbox.frame_locator("#html")


async def results(system: System) -> dict[str, Any]:
    found = (await beckon(system.servers.nats("operator"), "results", "cart-abandonment", "--json")).json()
    return found[0] if found else {}


@pytest.mark.timeout(180)
async def test_from_the_cart_to_the_mail_and_back_to_the_purchase(browser: Browser, system: System) -> None:
    context = await browser.new_context(**PERSON)
    await leave_a_cart(await context.new_page(), system.doors.shop)

    mail = await the_mail(context, system)
    await expect(mail.get_by_text("€24.50")).to_be_visible()
    async with context.expect_page() as opening:
        await mail.get_by_role("link", name="Back to your cart").click()
    shop = await opening.value
    await expect(shop.get_by_role("heading", level=1)).to_have_text("Stoneware mug")
    assert shop.url == f"{system.doors.shop}/products/mug", "through the tracker, and back"

    await shop.get_by_role("link", name="Cart 1").click()
    await shop.get_by_role("link", name="Check out").click()
    await shop.get_by_role("button", name="Place the order").click()
    await expect(shop.get_by_role("heading", level=1)).to_have_text("Thank you, Ada.")

    async def attributed() -> dict[str, Any]:
        found = await results(system)
        return found if found.get("conversions") else {}

    found = await until(attributed, within_s=20)
    counted = {name: found[name] for name in ("fired", "sent", "opened", "clicked", "conversions", "revenue")}
    assert counted == {
        "fired": 1,
        "sent": 1,
        "opened": 1,
        "clicked": 1,
        "conversions": 1,
        "revenue": {"EUR": 24.5},
    }


@pytest.mark.timeout(180)
async def test_from_the_mail_to_the_way_out_and_back_in(browser: Browser, system: System) -> None:
    context = await browser.new_context(**PERSON)
    await leave_a_cart(await context.new_page(), system.doors.shop)
    mail = await the_mail(context, system)
    async with context.expect_page() as opening:
        await mail.get_by_role("link", name="Choose what you get, or unsubscribe").click()
    page = await opening.value
    await expect(page.get_by_role("heading", level=1)).to_have_text("Mails from Harbour Goods")
    nudges = page.get_by_role("checkbox", name="Nudge")
    await expect(nudges).to_be_checked()
    await nudges.uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    address = page.url

    async def shown() -> bool:
        await page.goto(address)
        return not await page.get_by_role("checkbox", name="Nudge").is_checked()

    await until(shown, what="the choice is known to the throttle")
    await page.get_by_role("button", name="Unsubscribe from everything").click()
    await expect(page.get_by_role("status")).to_have_text("You are unsubscribed from everything.")
    await page.get_by_role("button", name="Subscribe again").click()
    await expect(page.get_by_role("status")).to_have_text("You are subscribed again.")
