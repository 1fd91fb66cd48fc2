"""Webhooks as the throttle allows them, and whoever the webhook service asks about them."""

import itertools
from typing import Any

from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import SystemClock
from shared.endpoints import Endpoint, serve_subject
from shared.errors import RequestRefused
from shared.messages import (
    CheckConsent,
    ConsentChecked,
    GetPerson,
    HistoryEvent,
    Person,
    PersonFound,
    SendWebhook,
    Stamps,
    Terms,
    Trigger,
    Verified,
    Verify,
    WebhookAction,
)
from tests.support.receiver import SECRET
from tests.support.stack import PARTITIONS, Service, Stack

_ids = itertools.count(1)


class Others:
    """State, rule-evaluator and throttle, as far as they are asked: who somebody is, whether a rule still holds, and whether
    somebody may be approached."""

    def __init__(self) -> None:
        self.untrue: set[str] = set()
        self.unwanted: set[str] = set()
        self.refused: set[str] = set()
        """Whom the rule-evaluator says no about, which it never should."""
        self.verified: list[str] = []
        self.profile = {"first_name": "Zoë"}

    async def serve(self, stack: Stack) -> None:
        state, rules, throttle = [await stack.bus(user) for user in ("state", "rule_evaluator", "throttle")]
        for partition in range(PARTITIONS):
            await serve_subject(state, Endpoint(subjects.people_get(partition), GetPerson, self._get))
        await serve_subject(rules, Endpoint(subjects.RULES_VERIFY, Verify, self._verify))
        await serve_subject(throttle, Endpoint(subjects.CONSENTS_CHECK, CheckConsent, self._check))
        for bus in (state, rules, throttle):
            await bus.nc.flush()

    async def _get(self, request: GetPerson) -> PersonFound:
        return PersonFound(Person(request.person, self.profile), SystemClock().now())

    async def _verify(self, request: Verify) -> Verified:
        if request.person.key in self.refused:
            raise RequestRefused("a mistake")
        self.verified.append(request.person.key)
        return Verified(request.person.key not in self.untrue, "a purchase came in between")

    async def _check(self, request: CheckConsent) -> ConsentChecked:
        return ConsentChecked("suppressed: unsubscribed" if request.person in self.unwanted else "")


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
