"""The shipped templates in a real browser: on a phone and a desktop, light and dark, from left and from right."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Route

from tests.support.stack import ROOT
from tests.support.templates import SHIPPED, event, filled, kettle, shipped

PICTURES = ROOT / "examples" / "shop" / "pictures"
READABLE = 4.5
"""WCAG 2.1, success criterion 1.4.3: of text against what is behind it."""

LOOK = """() => {
    const channel = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const parts = colour => colour.match(/[\\d.]+/g).map(Number);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = parts(getComputedStyle(element).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const faint = [];
    const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const element = words.currentNode.parentElement;
        if (!words.currentNode.data.trim() || !element.getClientRects().length || getComputedStyle(element).opacity === '0') continue;
        const [one, other] = [parts(getComputedStyle(element).color), behind(element)].map(luminance).sort((a, b) => b - a);
        faint.push([Math.round((one + 0.05) / (other + 0.05) * 100) / 100, words.currentNode.data.trim().slice(0, 40)]);
    }
    const images = [...document.images].filter(image => image.width > 1);
    return {
        beyond: document.documentElement.scrollWidth - innerWidth,
        unnamed: images.filter(image => !image.alt.trim()).length,
        broken: images.filter(image => !image.naturalWidth).length,
        images: images.length,
        faintest: faint.sort((a, b) => a[0] - b[0])[0],
        sides: [...new Set([...document.querySelectorAll('.ink > div')].map(e => getComputedStyle(e).textAlign))],
        page: getComputedStyle(document.body).backgroundColor,
        tappable: [...document.querySelectorAll('.fill a')].map(a => a.getBoundingClientRect().height),
    };
}"""

ADDED = [
    event(n, "added_to_cart", **kettle(product_id=name, name=f"{name.capitalize()} {'of a longish name' * (n % 2)}", image_url=f"https://shop.test/{name}.png"))
    for n, name in enumerate(["mug", "backpack", "lamp", "watch", "kettle", "coffee", "beanie"], 1)
]  # fmt: skip
BOUGHT = event(9, "purchased", order_id="A-1042", total=199, currency="EUR", products=[ADDED[0].properties])
MORE: dict[str, Any] = {
    "recommended": [dict(each.properties) for each in ADDED[:3]],
    "coupon": {"code": "BACK-7F3K-Q2LM-9XYZ", "text": "10 % off your next order", "expires": "2026-12-01"},
    "unsubscribe_url": "https://shop.test/u",
}


async def looks(browser: Browser, mail: str) -> dict[tuple[int, str], dict[str, Any]]:
    """What is seen of a mail, by the width of the window and the colour scheme."""
    page = await browser.new_page()

    async def picture(route: Route) -> None:
        found = PICTURES / route.request.url.rpartition("/")[2]
        await (route.fulfill(path=found) if found.is_file() else route.abort())

    await page.route(re.compile("^https?://"), picture)
    await page.set_content(mail, wait_until="load")
    seen = {}
    for width in (375, 700):
        await page.set_viewport_size({"width": width, "height": 800})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            seen[width, scheme] = await page.evaluate(LOOK)
    await page.close()
    return seen


@pytest.mark.parametrize("name", SHIPPED)
async def test_every_shipped_mail_reads_well_everywhere(browser: Browser, name: str) -> None:
    template = shipped(name)
    for profile, side in (({"first_name": "Zoë"}, "left"), ({"first_name": "דנה לוי", "locale": "he"}, "right")):
        mail = filled(template, profile, BOUGHT, *ADDED, **MORE).html
        seen = await looks(browser, mail)
        for where, one in seen.items():
            assert one["beyond"] == 0, where
            assert (one["unnamed"], one["broken"]) == (0, 0)
            assert one["images"] >= 4
            assert one["faintest"][0] >= READABLE, f"{where}: {one['faintest']}"
            assert one["sides"] == [side]
            assert all(height >= 44 for height in one["tappable"])
        assert seen[375, "light"]["page"] != seen[375, "dark"]["page"]


async def test_names_without_end_do_not_widen_the_page(browser: Browser) -> None:
    endless = [
        event(n, "added_to_cart", **kettle(product_id=str(n), name="W" * 500, image_url=None)) for n in range(1, 8)
    ]
    for name in ("cart-reminder", "browse-reminder", "win-back"):
        mail = filled(shipped(name), {"first_name": "M" * 500}, *endless, coupon={"code": "X" * 200}).html
        assert {one["beyond"] for one in (await looks(browser, mail)).values()} == {0}
