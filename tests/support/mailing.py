"""Sends as the throttle allows them, and whoever the mailer asks about them."""

import itertools
from typing import Any

from nats.aio.subscription import Subscription

from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import SystemClock
from shared.consents import CheckConsent, ConsentChecked
from shared.endpoints import Endpoint, serve_subject
from shared.errors import RequestRefused
from shared.messages import (
    EmailAction,
    Event,
    GetPerson,
    HistoryEvent,
    Person,
    PersonFound,
    SendEmail,
    Stamps,
    Terms,
    Trigger,
    Verified,
    Verify,
)
from tests.support.smtp import SmtpServer
from tests.support.stack import PARTITIONS, ROOT, Service, Stack, until

_ids = itertools.count(1)


class People:
    """State, rule-evaluator and throttle, as far as the mailer asks them: who somebody is, whether a rule still holds, and
    whether mail is still wanted."""

    def __init__(self) -> None:
        self.profiles: dict[str, dict[str, Any]] = {}
        self.history: list[HistoryEvent] = []
        self.untrue: set[str] = set()
        self.mistaken: set[str] = set()
        """Whom the rule-evaluator refuses to be asked about, which it never should."""
        self.verified: list[str] = []
        self.refusals: dict[tuple[str, str], str] = {}
        self._subscriptions: list[Subscription] = []

    async def serve(self, stack: Stack) -> None:
        await self.serve_all_but_consents(stack)
        throttle = await stack.bus("throttle")
        self._subscriptions.append(
            await serve_subject(throttle, Endpoint(subjects.CONSENTS_CHECK, CheckConsent, self._check))
        )
        await throttle.nc.flush()

    async def serve_all_but_consents(self, stack: Stack) -> None:
        """Where the throttle itself answers for those."""
        state, rules = await stack.bus("state"), await stack.bus("rule_evaluator")
        for partition in range(PARTITIONS):
            endpoint = Endpoint(subjects.people_get(partition), GetPerson, self._get)
            self._subscriptions.append(await serve_subject(state, endpoint))
        self._subscriptions.append(await serve_subject(rules, Endpoint(subjects.RULES_VERIFY, Verify, self._verify)))
        for bus in (state, rules):
            await bus.nc.flush()

    async def go_away(self) -> None:
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        self._subscriptions = []

    async def _get(self, request: GetPerson) -> PersonFound:
        profile = self.profiles.get(request.person, {"email": f"{request.person}@example.test", "first_name": "Zoë"})
        return PersonFound(Person(request.person, profile, self.history, len(self.history)), SystemClock().now())

    async def _verify(self, request: Verify) -> Verified:
        if request.person.key in self.mistaken:
            raise RequestRefused("a mistake")
        self.verified.append(request.person.key)
        return Verified(request.person.key not in self.untrue, "a purchase came in between")

    async def _check(self, request: CheckConsent) -> ConsentChecked:
        known = (request.person, *request.aliases)
        return ConsentChecked(next(filter(None, (self.refusals.get((who, request.category)) for who in known)), ""))


def environment(smtp: SmtpServer, **more: str) -> dict[str, str]:
    return {
        "SMTP_URL": smtp.url,
        "MAIL_FROM": "Kiln & Kettle <shop@example.test>",
        "TEMPLATES_DIR": str(ROOT / "examples" / "templates"),
        "SITE_NAME": "Kiln & Kettle",
        "SITE_URL": "https://shop.example.test/",
        "RETRY_FIRST_S": "0.2",
        "ACK_WAIT_S": "1.5",
        **more,
    }


async def start(stack: Stack, smtp: SmtpServer, *, wait: bool = True, **more: str) -> Service:
    return await stack.start("mailer", wait=wait, **environment(smtp, **more))


def allowed(person: str = "ada", template: str = "cart-reminder", *, test: bool = False, **more: Any) -> Trigger:
    now = SystemClock().now()
    kettle = HistoryEvent(
        1,
        "e1",
        "added_to_cart",
        now,
        now,
        {
            "product_id": "k1",
            "name": "Copper kettle",
            "price": 129.5,
            "currency": "EUR",
            "image_url": "https://shop.example.test/k1.jpg",
            "url": "https://shop.example.test/k1",
        },
    )
    return Trigger(
        **{
            "id": f"t{next(_ids)}",
            "person": person,
            "rule": "cart-abandonment",
            "version": 1,
            "at": now,
            "terms": Terms(EmailAction(template), test=test),
            "because": [kettle],
            "stamps": Stamps(due=now, committed=now + 1, decided=now + 2),
            **more,
        }
    )


async def publish(stack: Stack, *triggers: Trigger, attempt: str = "") -> None:
    """As the throttle does; another ``attempt`` gets past the stream's own window of duplicates."""
    throttle = await stack.bus("throttle")
    for trigger in triggers:
        message = Outgoing(subjects.SENDS_EMAIL, encode(SendEmail(trigger)), trigger.id + attempt)
        await throttle.publish(message)


async def settled(stack: Stack, within_s: float = 15) -> None:
    async def check() -> bool:
        js = (await stack.bus("setup")).nc.jetstream()
        return (await js.stream_info(subjects.SENDS)).state.messages == 0

    await until(check, within_s=within_s, what="all sends ended")


async def outcomes(stack: Stack) -> dict[str, list[Event]]:
    """The events the mailer published, by trigger."""
    found: dict[str, list[Event]] = {}
    for event in await stack.messages(subjects.EVENTS, Event):
        found.setdefault(event.properties["trigger_id"], []).append(event)
    return found


async def outcome_of(stack: Stack, trigger: Trigger) -> Event:
    (event,) = (await outcomes(stack))[trigger.id]
    return event


async def status_of(stack: Stack, trigger: Trigger) -> str:
    rows = await stack.fetch("SELECT status FROM mailer.deliveries WHERE send_id = $1", trigger.id)
    return rows[0]["status"] if rows else ""


async def reaches(stack: Stack, trigger: Trigger, status: str, within_s: float = 10) -> None:
    async def check() -> bool:
        return await status_of(stack, trigger) == status

    await until(check, within_s=within_s, what=f"{trigger.id} is {status}")


def id_of(trigger: Trigger) -> str:
    return f"<{trigger.id}@example.test>"


async def hanging(smtp: SmtpServer, count: int) -> bool:
    return smtp.waiting == count
