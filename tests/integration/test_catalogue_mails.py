"""Feeds of products, and what mails show of them, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.clock import MINUTE
from shared.messages import Event
from tests.support.catalogue import SHOP, about, learned, product, start, viewed, worked_out
from tests.support.command import Ran, beckon
from tests.support.people import event
from tests.support.sink import Sink
from tests.support.stack import Stack, until


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink().start()
    yield sink
    sink.stop()


# --- Feeds ------------------------------------------------------------------------------------------------------------

FEED = """id;title;price;link;availability;quantity
kettle;Copper kettle;129.50 EUR;https://shop.example.test/kettle;in stock;3
mug;"Mug; blue";12,5 EUR;https://shop.example.test/mug;in stock;
jug;Jug;19.90 EUR;not a link;in stock;1
pan;Iron pan;60 EUR;https://shop.example.test/pan;out of stock;
lamp;Lamp;19.90 EUR
"""


async def test_a_feed_is_taken_and_what_is_wrong_is_told_with_its_place(
    stack: Stack, sink: Sink, tmp_path: Path
) -> None:
    await start(stack, sink)
    operator = stack.nats.url("operator")
    assert (await beckon(operator, "catalogue", "list")).out == "no products yet\n"
    feed = tmp_path / "products.csv"
    feed.write_text(FEED)
    told = await beckon(operator, "catalogue", "import", str(feed), "--replace")
    assert told.code == 1
    assert told.err.splitlines() == [
        "products.csv line 3: price: '12,5 EUR' is not like 12.50 or 12.50 EUR",
        "products.csv line 4: url: 'not a link' is no web address, expected one like https://shop.example/kettle",
        "products.csv line 6: 3 cells, but the header has 6",
        "beckon: 3 of 5 products are refused; so nothing is marked as gone",
    ]
    assert told.out == f"{feed}: 5 products, 2 stored, 3 refused\n"
    found = (await beckon(operator, "catalogue", "list", "--json")).json()
    assert [(one["product_id"], one["price"], one["stock"], one["sold_out"]) for one in found] == [
        ("kettle", "129.50", 3, False),
        ("pan", "60", None, True),
    ]

    whole = tmp_path / "products.json"
    whole.write_text('[{"product_id": "kettle", "name": "Kettle"}, {"product_id": 7, "name": "Seven", "stock": 0}]')
    assert (await beckon(operator, "catalogue", "import", str(whole), "--replace", "--json")).json() == {
        "file": str(whole),
        "items": 2,
        "stored": 2,
        "refused": 0,
        "gone": 1,
        "errors": [],
    }
    listed = (await beckon(operator, "catalogue", "list")).out.splitlines()
    assert [line.split()[0] for line in listed] == ["product", "7", "kettle", "pan"]
    assert [line.split("-  ")[-1].strip() for line in listed[1:]] == [
        "sold out (0)  feed",
        "in stock      feed",
        "gone          feed",
    ]
    shown = (await beckon(operator, "catalogue", "show", "pan", "--json")).json()
    assert (shown["gone"], shown["sold_out"], shown["source"]) == (True, True, "feed")
    assert await beckon(operator, "catalogue", "show", "nope") == Ran(1, "", "beckon: there is no product nope\n")


# --- Mails ------------------------------------------------------------------------------------------------------------

TEMPLATE = """cart:{% for p in cart %}{{ p.product_id }}={{ p.price }} {% endfor %}
products:{% for p in products %}{{ p.product_id }} {% endfor %}
recommended:{% for p in recommended %}{{ p.product_id }} {% endfor %}"""
RULE = """
id: now
name: At once
status: live
when: {event: listed, within: 1h}
reentry: 1s
throttle: {category: nudge}
action: {email: {template: listing}}
"""


@pytest.fixture
async def shop(stack: Stack, sink: Sink, tmp_path: Path) -> Stack:
    """A shop whose mails go at once and list what there is to show."""
    templates, rules = tmp_path / "templates", tmp_path / "rules"
    for name, text in (("listing", TEMPLATE), ("cart", "{% for p in cart %}{{ p.product_id }} {% endfor %}")):
        (templates / name).mkdir(parents=True)
        for file in ("subject", "html", "text"):
            (templates / name / f"{file}.liquid").write_text("Hello" if file == "subject" else text)
    rules.mkdir()
    (rules / "now.yaml").write_text(RULE)
    cart_only = (
        RULE.replace("id: now", "id: cart").replace("listing", "cart").replace("event: listed", "event: reminded")
    )
    (rules / "cart.yaml").write_text(cart_only)
    await asyncio.gather(
        stack.start("rule_evaluator", RULES_DIR=str(rules)),
        stack.start("state"),
        stack.start("throttle"),
        start(stack, sink, TEMPLATES_DIR=str(templates)),
    )
    return stack


async def mail(stack: Stack, sink: Sink, *events: Event) -> dict[str, list[str]]:
    """What the mail that follows ``events`` lists."""
    count = len(sink.mails)
    await stack.publish(*events)

    async def sent() -> bool:
        return len(sink.mails) > count

    await until(sent, what="a mail is sent")
    body = sink.mails[-1].get_body(("plain",))
    assert body is not None
    return {line.partition(":")[0]: line.partition(":")[2].split() for line in body.get_content().splitlines()}


async def test_a_mail_shows_what_can_be_bought_today_and_what_goes_with_it(shop: Stack, sink: Sink) -> None:
    catalogue = ["kettle", "mug", "jug", "pan", "lamp", "cup", "bowl", "vase"]
    feed = shop.folder / "feed.csv"

    async def stocked(**stock: int) -> None:
        rows = [f"{name},The {name},31,EUR,{SHOP}/{name},kitchen,{stock.get(name, 5)}\n" for name in catalogue]
        feed.write_text("id,name,price,currency,url,category,stock\n" + "".join(rows))
        assert (await beckon(shop.nats.url("operator"), "catalogue", "import", str(feed))).code == 0

    await stocked(lamp=0)
    visitors = [
        viewed(f"v{n}", name, ago_us=5 * MINUTE) for n in range(12) for name in ("kettle", "mug", "jug", "lamp")
    ]
    others = [viewed(f"w{n}", name, ago_us=5 * MINUTE) for n in range(20) for name in ("vase", "bowl", "lamp")]
    await shop.publish(*visitors, *others)
    await learned(shop)
    await worked_out(shop)

    ada = event("identify", "ada", email="ada@example.test")
    bought = event("purchased", "ada", ago_us=30 * MINUTE, products=[{"product_id": "jug"}], total=9)
    added = about("added_to_cart", "ada", product("kettle"))
    lists = await mail(
        shop, sink, ada, bought, viewed("ada", "lamp", ago_us=40 * MINUTE), added, event("listed", "ada")
    )
    assert lists["cart"] == ["kettle=31"], "the price of today"
    assert lists["products"] == ["kettle"], "the lamp is sold out"
    assert lists["recommended"][0] == "mug", "it goes with the kettle"
    assert set(lists["recommended"][1:]) == {"bowl", "vase"}, "popular, and neither sold out nor bought nor in the cart"

    await stocked(kettle=0, mug=0)
    ben = event("identify", "ben", email="ben@example.test")
    carts = [about("added_to_cart", "ben", product(name)) for name in ("kettle", "pan")]
    lists = await mail(shop, sink, ben, *carts, event("listed", "ben"))
    assert (lists["cart"], lists["products"]) == (["pan=31"], ["pan"])
    assert set(lists["recommended"]) == {"jug", "lamp", "bowl", "vase"}, "the lamp is there again, the mug is not"

    await stocked(kettle=0, pan=0)
    await shop.publish(event("reminded", "ben"))

    async def suppressed() -> list[Any]:
        return await shop.fetch("SELECT reason FROM state.triggers WHERE outcome = 'trigger_suppressed'")

    (row,) = await until(suppressed, what="a mail without anything to show is not sent")
    assert row["reason"] == "all that it would show is sold out"
