"""Webhooks as the throttle allows them."""

import itertools
from typing import Any

from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import SystemClock
from shared.messages import (
    HistoryEvent,
    SendWebhook,
    Stamps,
    Terms,
    Trigger,
    WebhookAction,
)
from tests.support.receiver import SECRET
from tests.support.stack import Service, Stack

_ids = itertools.count(1)


async def start(stack: Stack, **more: str) -> Service:
    settings = {
        "WEBHOOK_SECRETS": f"crm={SECRET}",
        "WEBHOOK_ALLOW": "127.0.0.0/8",
        "WEBHOOK_DELAYS": "0s,0s,0s",
        "WEBHOOK_TIMEOUT_S": "2",
        "CLAIM_S": "3",
    }
    return await stack.start("webhook", **settings | more)


def allowed(url: str, person: str = "ada", *, terms: dict[str, Any] | None = None, **more: Any) -> Trigger:
    now = SystemClock().now()
    cart = HistoryEvent(1, "e1", "added_to_cart", now, now, {"product_id": "k1", "price": 129.5})
    given: dict[str, Any] = {"action": None, "webhook": WebhookAction(url, "crm"), **(terms or {})}
    return Trigger(
        **{
            "id": f"t{next(_ids)}",
            "person": person,
            "rule": "cart-abandonment",
            "version": 3,
            "at": now,
            "terms": Terms(**given),
            "because": [cart],
            "stamps": Stamps(due=now, committed=now + 1, decided=now + 2),
            **more,
        }
    )


async def publish(stack: Stack, *triggers: Trigger, attempt: str = "") -> None:
    """As the throttle does; another ``attempt`` gets past the stream's own window of duplicates."""
    throttle = await stack.bus("throttle")
    messages = [Outgoing(subjects.SENDS_WEBHOOK, encode(SendWebhook(t)), f"{t.id}.webhook{attempt}") for t in triggers]
    assert not any(await throttle.publish_many(messages))
