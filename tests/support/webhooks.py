"""Webhooks as the throttle allows them."""

import itertools
from typing import Any

from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import SystemClock
from shared.messages import (
    Event,
    HistoryEvent,
    SendWebhook,
    Stamps,
    Terms,
    Trigger,
    WebhookAction,
)
from shared.webhooks import (
    GetWebhook,
    WebhookFound,
)
from tests.support.receiver import SECRET, Receiver
from tests.support.stack import Service, Stack, until

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


async def outcomes(stack: Stack) -> dict[str, Event]:
    """What was told, by trigger: one event each, or this fails."""
    events = await stack.messages(subjects.EVENTS, Event)
    found = {event.properties["trigger_id"]: event for event in events}
    assert len(found) == len(events)
    return found


async def ended(stack: Stack, *triggers: Trigger, within_s: float = 10) -> list[Event]:
    async def check() -> dict[str, Event]:
        found = await outcomes(stack)
        return found if all(trigger.id in found for trigger in triggers) else {}

    found = await until(check, within_s=within_s, what=f"{len(triggers)} webhooks ended")
    return [found[trigger.id] for trigger in triggers]


async def ask(stack: Stack, subject: str, request: Any, reply: Any) -> Any:
    return await (await stack.bus("operator")).request(subject, request, reply)


async def found(stack: Stack, trigger: Trigger) -> WebhookFound:
    answer: WebhookFound = await ask(stack, subjects.WEBHOOKS_GET, GetWebhook(trigger.id), WebhookFound)
    return answer


async def reaches(stack: Stack, trigger: Trigger, status: str, attempts: int) -> WebhookFound:
    async def check() -> WebhookFound | None:
        answer = await found(stack, trigger)
        state = answer.webhook and (answer.webhook.status, answer.webhook.attempts)
        return answer if state == (status, attempts) else None

    answer = await until(check, what=f"{trigger.id} is {status} after {attempts} attempts")
    assert answer is not None
    return answer


async def arrived(receiver: Receiver, count: int) -> bool:
    return len(receiver.received) >= count
