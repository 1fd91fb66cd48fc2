"""The catalogue on real servers: what it learns, whom it believes, and what mails show of it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from services.mailer.catalogue.learning import learn, lesson
from services.mailer.catalogue.recommend import similarity
from shared.clock import MINUTE, SECOND, SystemClock
from shared.messages import Event
from tests.support.command import Ran, beckon
from tests.support.people import event
from tests.support.sink import Sink
from tests.support.stack import Service, Stack, until
from tests.support.system import System

SHOP = "https://shop.example.test"


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink().start()
    yield sink
    sink.stop()


async def start(stack: Stack, sink: Sink, **more: str) -> Service:
    settings = System(stack, sink).settings("mailer")
    return await stack.start("mailer", **(settings | {"SITE_URL": SHOP} | more))


def product(product_id: str, **more: object) -> dict[str, object]:
    return {
        "product_id": product_id,
        "name": f"The {product_id}",
        "price": 25,
        "currency": "EUR",
        "url": f"{SHOP}/{product_id}",
        "image_url": f"{SHOP}/{product_id}.jpg",
        "category": "kitchen",
        **more,
    }


def viewed(person: str, product_id: str, *, ago_us: int = 0, **more: object) -> Event:
    """As a browser tells it."""
    return about("product_viewed", person, product(product_id, **more), ago_us=ago_us)


def about(name: str, person: str, properties: dict[str, object], *, ago_us: int = 0) -> Event:
    return structs.replace(event(name, person, ago_us=ago_us), properties=properties)


def by_server(told: Event) -> Event:
    return structs.replace(told, trusted=True)


async def learned(stack: Stack, within_s: float = 15) -> None:
    """All that sites reported until now."""
    js = (await stack.bus("setup")).nc.jetstream()

    async def check() -> bool:
        last = (await js.stream_info("EVENTS")).state.last_seq
        rows = await stack.fetch("SELECT sequence FROM mailer.learned")
        return bool(rows and rows[0]["sequence"] >= last)

    await until(check, within_s=within_s, what="everything is learned")


async def worked_out(stack: Stack) -> None:
    """What goes with everything that was counted."""

    async def check() -> bool:
        rows = await stack.fetch(
            "SELECT 1 FROM mailer.product_weights LEFT JOIN mailer.product_neighbours USING (product_id)"
            " WHERE found_at IS NULL OR found_at < counted_at"
        )
        return not rows

    await until(check, what="it is worked out what goes with what")


async def stored(stack: Stack) -> dict[str, Any]:
    rows = await stack.fetch("SELECT * FROM mailer.products ORDER BY product_id")
    return {row["product_id"]: row for row in rows}


# --- Learning ---------------------------------------------------------------------------------------------------------


async def test_what_the_shop_says_stands_whatever_browsers_tell(stack: Stack, sink: Sink) -> None:
    await start(stack, sink, CATALOGUE_HOSTS="cdn.shop.example.test")
    picture = "https://cdn.shop.example.test/mug.jpg"
    await stack.publish(
        by_server(viewed("ada", "kettle")),
        *(viewed(person, "mug", image_url=picture) for person in ("ada", "ben", "cleo")),
        *(viewed("mallory", "jug", price=1) for _ in range(9)),
    )
    await learned(stack)
    before = await stored(stack)
    assert before["kettle"]["name"] == "The kettle"
    assert (before["mug"]["name"], before["mug"]["image_url"]) == ("The mug", picture), "three people saw the same"
    assert before["jug"]["name"] is None, "one person may say anything"

    evil = {"name": "Free!", "price": 0.01, "url": "https://evil.test/", "image_url": "https://evil.test/x.jpg"}
    vouched = structs.replace(by_server(viewed("mallory", "kettle", **evil)), vouched=True)
    await stack.publish(
        vouched,
        *(viewed(f"m{n}", name, **evil) for n in range(20) for name in ("kettle", "mug", "lamp")),
        *(viewed(f"m{n}", "kettle", price=0.01) for n in range(20)),
        *(viewed("mallory", "mug", price=0.01) for _ in range(20)),
    )
    await learned(stack)
    after = await stored(stack)
    told = ("name", "price", "url", "image_url")
    for known in ("kettle", "mug"):
        assert [after[known][what] for what in told] == [before[known][what] for what in told]
    assert "lamp" not in after, "its page is not the shop's"

    await stack.publish(by_server(viewed("ada", "kettle", price=30)), by_server(viewed("ada", "mug", price=7)))
    await learned(stack)
    final = await stored(stack)
    assert (final["kettle"]["price"], final["mug"]["price"], final["mug"]["source"]) == (30, 7, "event")


async def test_what_cannot_be_learned_is_put_aside_and_the_rest_is_learned(stack: Stack, sink: Sink) -> None:
    mailer = await start(stack, sink)
    state = await stack.bus("setup")
    spoilt = state.event_message(by_server(viewed("ada", "lamp", category="kitchen")))
    await state.publish(spoilt._replace(payload=spoilt.payload.replace(b"kitchen", b"kit\0hen"), msg_id="spoilt"))
    await state.publish(spoilt._replace(payload=b"\xc1 no event", msg_id="unreadable"))
    await stack.publish(by_server(viewed("ada", "mug")), by_server(viewed("ben", "jug")))
    await learned(stack)
    assert set(await stored(stack)) == {"mug", "jug"}
    (letter,) = await stack.dead_letters()
    assert letter.reason.startswith("cannot be learned from: ")
    assert letter.data == spoilt.payload.replace(b"kitchen", b"kit\0hen")
    assert mailer.metric('beckon_catalogue_events_total{outcome="dead"}') == 1


def clickstream(people: int) -> list[Event]:
    """Each visits twice, an hour apart, and looks at four of ten products; sent by the shop, so that all are known at once."""
    return [
        by_server(viewed(f"p{person}", f"k{(person + visit + step * step) % 10}", ago_us=ago))
        for visit, hours_us in enumerate((90 * MINUTE, 20 * MINUTE))
        for step in range(4)
        for person in range(people)
        for ago in [hours_us - step * MINUTE + person * SECOND]
    ]


async def test_each_event_counts_once_though_learners_are_killed_and_paused(stack: Stack, sink: Sink) -> None:
    mailers = [await start(stack, sink), await start(stack, sink)]

    async def leader() -> Service | None:
        reading = [m for m in mailers if m.process.exit_code is None and m.logged("learning")]
        return reading[-1] if reading else None

    events = clickstream(400)
    parts = [events[start : start + 400] for start in range(0, len(events), 400)]
    first = await until(leader)
    for part in parts[:3]:
        await stack.publish(*part)
    first.process.send(signal.SIGSTOP)
    for part in parts[3:5]:
        await stack.publish(*part)
    await learned(stack)
    (second,) = [mailer for mailer in mailers if mailer is not first]
    first.process.send(signal.SIGCONT)
    for part in parts[5:]:
        await stack.publish(*part)
        if part is parts[6]:
            await second.kill()
    await learned(stack)

    model = learn(filter(None, map(lesson, events)), {}, {}, frozenset(), 0)
    weights = {row["product_id"]: row["weight"] for row in await stack.fetch("SELECT * FROM mailer.product_weights")}
    pairs = await stack.fetch("SELECT product_id, other, weight FROM mailer.product_pairs")
    assert weights == pytest.approx(model.weights, rel=1e-9)
    assert {(r["product_id"], r["other"]): r["weight"] for r in pairs} == pytest.approx(model.pairs, rel=1e-9)

    await worked_out(stack)
    now = SystemClock().now()
    for row in await stack.fetch("SELECT product_id AS one, others, scores FROM mailer.product_neighbours"):
        found = {
            other: similarity(model.pairs[row["one"], other], weights[row["one"]], weights[other], now)
            for other in row["others"]
        }
        assert found
        assert row["scores"] == sorted(row["scores"], reverse=True)
        assert dict(zip(row["others"], row["scores"], strict=True)) == pytest.approx(found, rel=1e-4)


async def test_what_was_counted_is_found_again_after_the_stream_was_made_anew(stack: Stack, sink: Sink) -> None:
    mailer = await start(stack, sink)
    await stack.publish(*(by_server(viewed("ada", f"k{n}")) for n in range(5)))
    await learned(stack)
    assert await mailer.stop() == 0
    js = (await stack.bus("setup")).nc.jetstream()
    await js.delete_stream("EVENTS")
    await stack.declare_streams()
    mailer = await start(stack, sink)
    await stack.publish(by_server(viewed("ada", "new")))

    async def is_there() -> bool:
        return "new" in await stored(stack)

    await until(is_there)
    assert len(await stored(stack)) == 6
    assert mailer.logged("learning_begins_where_the_stream_ends")


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
