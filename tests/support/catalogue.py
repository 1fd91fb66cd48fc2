"""A shop whose products a mailer learns of."""

from typing import Any

from msgspec import structs

from shared.messages import Event
from tests.support.people import event
from tests.support.sink import Sink
from tests.support.stack import Service, Stack, until
from tests.support.system import System

SHOP = "https://shop.example.test"


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
