"""The webhook service on real servers: every webhook ends once, an endpoint hears of it at least once, and none waits for another's."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import DAY, HOUR, SECOND, SystemClock
from shared.endpoints import Endpoint, serve_subject
from shared.messages import (
    CheckConsent,
    ConsentChecked,
    EmailAction,
    EnableEndpoint,
    EndpointEnabled,
    Event,
    GetPerson,
    GetWebhook,
    HistoryEvent,
    ListWebhooks,
    Person,
    PersonFound,
    ReplayWebhooks,
    SendWebhook,
    Stamps,
    Terms,
    Trigger,
    Verified,
    Verify,
    WebhookAction,
    WebhookFound,
    WebhooksListed,
    WebhooksReplayed,
)
from tests.support.receiver import SECRET, Receiver
from tests.support.stack import PARTITIONS, Service, Stack, until

_ids = itertools.count(1)


class Others:
    """State, rule-evaluator and throttle, as far as they are asked: who somebody is, whether a rule still holds, and whether
    somebody may be approached."""

    def __init__(self) -> None:
        self.untrue: set[str] = set()
        self.unwanted: set[str] = set()
        self.verified: list[str] = []

    async def serve(self, stack: Stack) -> None:
        state, rules, throttle = [await stack.bus(user) for user in ("state", "rule_evaluator", "throttle")]
        for partition in range(PARTITIONS):
            await serve_subject(state, Endpoint(subjects.people_get(partition), GetPerson, self._get))
        await serve_subject(rules, Endpoint(subjects.RULES_VERIFY, Verify, self._verify))
        await serve_subject(throttle, Endpoint(subjects.CONSENTS_CHECK, CheckConsent, self._check))
        for bus in (state, rules, throttle):
            await bus.nc.flush()

    async def _get(self, request: GetPerson) -> PersonFound:
        return PersonFound(Person(request.person, {"first_name": "Zoë"}), SystemClock().now())

    async def _verify(self, request: Verify) -> Verified:
        self.verified.append(request.person.key)
        return Verified(request.person.key not in self.untrue, "a purchase came in between")

    async def _check(self, request: CheckConsent) -> ConsentChecked:
        return ConsentChecked("suppressed: unsubscribed" if request.person in self.unwanted else "")


@pytest.fixture
async def others(stack: Stack) -> Others:
    others = Others()
    await others.serve(stack)
    return others


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = await Receiver().start()
    yield receiver
    for held in receiver.held.values():
        held.set()
    await receiver.stop()


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


# --- The good way -----------------------------------------------------------------------------------------------------


async def test_an_allowed_send_becomes_a_signed_request(stack: Stack, others: Others, receiver: Receiver) -> None:
    webhook = await start(stack)
    trigger = allowed(receiver.url("/hook?from=beckon"))
    await publish(stack, trigger)
    (event,) = await ended(stack, trigger)
    (received,) = receiver.received
    assert received.headers["Host"] == f"127.0.0.1:{receiver.port}"
    said = received.verified()
    assert (said["type"], said["data"]["trigger_id"], received.id) == ("trigger.fired", trigger.id, trigger.id)
    assert (said["data"]["rule"], said["data"]["version"], said["data"]["test"]) == ("cart-abandonment", 3, False)
    assert said["data"]["person"] == {"id": "ada", "profile": {"first_name": "Zoë"}}
    assert said["data"]["because"][0]["properties"] == {"product_id": "k1", "price": 129.5}
    assert others.verified == ["ada"]

    told = event.properties
    assert (event.name, told["attempts"], "beside_mail" in told) == ("webhook_sent", 1, False)
    stages = [told[stage] for stage in ("due", "committed", "decided", "verified", "accepted")]
    assert stages == sorted(stages)
    assert webhook.metric('beckon_webhooks_total{status="sent"}') == 1
    assert webhook.metric("beckon_due_to_webhook_seconds_count") == 1
    (line,) = webhook.logged("webhook_sent")
    assert (line["trigger"], line["latency_ms"]) == (trigger.id, told["latency_ms"])
    assert "Zoë" not in webhook.log.read_text()
