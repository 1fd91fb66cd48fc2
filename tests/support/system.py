"""All five services with the shipped rules, an SMTP sink, and shoppers."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.clock import MILLISECOND, MINUTE, SECOND, SystemClock, rfc3339
from tests.support.ports import free_port
from tests.support.receiver import SECRET
from tests.support.sink import Sink
from tests.support.stack import ROOT, Service, Stack

WRITE_KEY = "wk-public"
SECRET_KEY = "sk-secret"
LINK_KEY = "what seals the links of mails in tests"
SERVICES = ("tracker", "state", "rule_evaluator", "throttle", "mailer")

_numbers = itertools.count(1)


class System:
    """The whole path. ``start`` brings up what is asked for, without it ``SERVICES``; a killed service is started again under the same settings."""

    def __init__(self, stack: Stack, sink: Sink) -> None:
        self.stack = stack
        self.sink = sink
        self.port = free_port()
        self.running: dict[str, Service] = {}

    def settings(self, service: str) -> dict[str, str]:
        return {
            "tracker": {
                "WRITE_KEYS": WRITE_KEY,
                "SECRET_KEYS": SECRET_KEY,
                "HTTP_PORT": str(self.port),
                "SECRET_KEY": LINK_KEY,
            },
            "rule_evaluator": {"RULES_DIR": str(ROOT / "examples/rules")},
            "mailer": {
                "SMTP_URL": self.sink.url,
                "MAIL_FROM": "Shop <shop@example.test>",
                "TEMPLATES_DIR": str(ROOT / "examples/templates"),
                "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
                "SECRET_KEY": LINK_KEY,
            },
            "webhook": {"WEBHOOK_SECRETS": f"crm={SECRET}", "WEBHOOK_ALLOW": "127.0.0.1"},
        }.get(service, {})

    async def start(self, *services: str, **environment: str) -> None:
        for service in services or SERVICES:
            self.running[service] = await self.stack.start(service, **(self.settings(service) | environment))

    async def kill(self, service: str) -> None:
        await self.running[service].kill()

    async def restart(self, service: str) -> None:
        await self.kill(service)
        await self.start(service)


def identified(person: str, /, **properties: object) -> dict[str, object]:
    return _event("identify", person, email=f"{person}@example.test", **properties)


def _event(name: str, person: str, /, *, ago_us: int = 0, **properties: object) -> dict[str, object]:
    event: dict[str, object] = {
        "user_id": person,
        "event": name,
        "event_id": f"e{next(_numbers)}",
        "properties": properties,
    }
    if ago_us:
        event["timestamp"] = rfc3339(SystemClock().now() - ago_us)
    return event


@dataclass
class Shoppers:
    """Seeded shoppers, for the shipped rules unchanged: a cart that was filled almost half an hour ago becomes due ``due_us`` from
    now. ``left``: who must get exactly one mail; ``bought``: who must get none."""

    seed: int = 1
    carts: float = 0.04
    """Share of events that are about a cart."""
    people: int = 2000
    due_us: int = 3 * SECOND
    left: set[str] = field(default_factory=set)
    bought: set[str] = field(default_factory=set)

    def events(self) -> Iterator[dict[str, object]]:
        """Without end. A cart's events come in order, in a row."""
        chance = random.Random(self.seed)
        for number in itertools.count(1):
            if chance.random() < self.carts / 3:
                yield from self._cart(f"cart-{self.seed}-{number}", buys=chance.random() < 0.5)
            else:
                person = f"visitor-{chance.randrange(self.people)}"
                product = f"p{chance.randrange(500)}"
                yield _event("product_viewed", person, product_id=product, price=chance.randrange(5, 400), name=product)

    def _cart(self, person: str, *, buys: bool) -> Iterator[dict[str, object]]:
        yield identified(person, first_name="Ada")
        product = {"product_id": "p1", "name": "Kettle", "price": 39.9, "currency": "EUR"}
        yield _event("added_to_cart", person, ago_us=30 * MINUTE - self.due_us, **product)
        if buys:
            self.bought.add(person)
            yield _event("purchased", person, ago_us=30 * MINUTE - self.due_us - MILLISECOND, total=39.9)
        else:
            self.left.add(person)


@dataclass
class Balance:
    """The conservation sum: every trigger ends in exactly one way."""

    triggers: int
    outcomes: Counter[str]

    @property
    def pending(self) -> int:
        return self.triggers - sum(self.outcomes.values())


async def balance(stack: Stack) -> Balance:
    rows = await stack.fetch("SELECT outcome, count(*) AS count FROM state.triggers GROUP BY outcome")
    counted = {row["outcome"]: row["count"] for row in rows}
    pending = counted.pop(None, 0)
    return Balance(sum(counted.values()) + pending, Counter(counted))
