"""One mailer process: how many mails it composes and signs on one core, how many it sends, and how long each takes."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import structs

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.mailer.address import To
from services.mailer.compose import Letter, Sender
from services.mailer.composing import Composed, Composer, Letterhead
from services.mailer.context import Shop
from services.mailer.dkim import Signer
from services.mailer.links import Linking
from services.mailer.templates import InForce
from services.mailer.templating.bundle import bundle
from services.mailer.templating.template import Template
from services.setup import database as setup
from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import SECOND, SystemClock
from shared.dkim import DkimKey, written
from shared.endpoints import Endpoint, serve_subject
from shared.links import Links
from shared.messages import (
    EmailAction,
    Event,
    GetPerson,
    HistoryEvent,
    Person,
    PersonFound,
    Stamps,
    Terms,
    Trigger,
    Verified,
    Verify,
)
from shared.partition import partition_of
from tests.bench.cpu import cpu_s
from tests.bench.recording import Recording
from tests.support.mailing import settled
from tests.support.stack import DATABASE_PASSWORDS, NATS_PASSWORDS, PARTITIONS, ROOT, USERS_CONF, Stack, until

RSA = DkimKey("r1", generate_private_key(65537, 2048))
ED25519 = DkimKey("e1", Ed25519PrivateKey.generate())
ROUNDS, ROUND = 7, 150
SHOP = Sender("Kiln & Kettle", "shop@example.test")


T = TypeVar("T")

TEMPLATE = "cart-reminder"


def viewed(n: int, now: int) -> HistoryEvent:
    about = {
        "product_id": f"p{n}",
        "name": f"Copper kettle no. {n}, 1,7 l – für jeden Herd",
        "price": 100 + n / 2,
        "currency": "EUR",
        "image_url": f"https://shop.example.test/pictures/{n}.jpg",
        "url": f"https://shop.example.test/products/{n}?from=mail",
    }
    return HistoryEvent(n, f"e{n}", "added_to_cart", now, now, about)


def cart(person: str, products: int = 6) -> tuple[Trigger, Person]:
    now = SystemClock().now()
    history = [viewed(n, now - n * SECOND) for n in range(1, products + 1)]
    terms = Terms(EmailAction(TEMPLATE), category="nudge")
    trigger = Trigger(f"t-{person}", person, "cart-abandonment", 1, now, terms, because=history[:1])
    return trigger, Person(person, {"email": f"{person}@example.test", "first_name": "Zoë"}, history, products)


class AsItIs:
    """The template that ships, and products as the events tell of them: what the database would add is measured elsewhere."""

    def __init__(self) -> None:
        self._template = InForce(1, Template(TEMPLATE, bundle(ROOT / "examples/templates", TEMPLATE)))

    def find(self, name: str) -> InForce:
        return self._template

    async def completed(self, lists: dict[str, list[Any]], *_: object) -> dict[str, list[Any]]:
        return lists

    async def reserve(self, trigger: Trigger, *, trial: bool) -> None:
        return None


def composing(*keys: DkimKey) -> Callable[[], Letter]:
    """A mail as the mailer makes it once it knows the person: template, links that are sealed, headers, signatures."""
    there = AsItIs()
    composer = Composer(
        there,  # type: ignore[arg-type]
        there,  # type: ignore[arg-type]
        there,  # type: ignore[arg-type]
        Linking(Links(["what seals the links of these mails"]), "https://events.shop.example.test"),
        Signer("example.test", keys),
        Letterhead(Shop("Kiln & Kettle", "https://shop.example.test/"), SHOP),
        SystemClock(),
    )
    trigger, person = cart("ada")
    to = To(("ada@example.test",))

    def compose() -> Letter:
        made = at_once(composer.compose(trigger, person, to))
        assert isinstance(made, Composed), made
        return made.letter

    return compose


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of something that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise RuntimeError("it waits")


def bare_mail(letter: Letter) -> Callable[[], object]:
    """The same words in Python's own ``EmailMessage``, nothing composed, nothing signed."""
    content = letter.content.decode()

    def build() -> bytes:
        message = EmailMessage(SMTP)
        message["From"], message["To"], message["Subject"] = "shop@example.test", "ada@example.test", "Zoë, your cart"
        message.set_content(content[:2000])
        message.add_alternative(content, subtype="html")
        return message.as_bytes()

    return build


def bare_signature() -> object:
    assert isinstance(RSA.private, RSAPrivateKey)
    return RSA.private.sign(b"x" * 1500, PKCS1v15(), SHA256())


def per_s(work: Callable[[], object]) -> float:
    """By processor time, the best of some rounds."""
    work()
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(ROUND):
            work()
        spent.append(time.process_time() - began)
    return ROUND / min(spent)


def composed() -> dict[str, int]:
    found = {
        "composed_unsigned_per_s": per_s(composing()),
        "composed_rsa_2048_per_s": per_s(composing(RSA)),
        "composed_ed25519_per_s": per_s(composing(ED25519)),
        "composed_both_per_s": per_s(composing(RSA, ED25519)),
        "python_email_message_alone_per_s": per_s(bare_mail(composing()())),
        "rsa_2048_signature_alone_per_s": per_s(bare_signature),
        "bytes_of_a_mail": len(composing(RSA, ED25519)().content),
    }
    return {name: round(value) for name, value in found.items()}


# --- Through throttle and mailer, into an SMTP server -----------------------------------------------------------------

WARM = 100
CALM_RATE, CALM_S = 50, 20.0


class Line:
    """NATS, PostgreSQL with fsync, a throttle, a mailer, and a server that remembers what it accepted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sink = Recording()

    async def __aenter__(self) -> "Line":
        self._nats = await EmbeddedNats.start(self._folder / "nats", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
        self._postgres = await EmbeddedPostgres.start(self._folder / "postgres")
        await setup.prepare(self._postgres.url(), DATABASE_PASSWORDS)
        await self.sink.start()
        self.stack = Stack(self._folder, self._nats, self._postgres, "postgres")
        await self.stack.declare_streams()
        await self._answer()
        keys = self._folder / "dkim.keys"
        keys.write_text(",".join(map(written, (RSA, ED25519))))
        await self.stack.start("throttle", LOG_LEVEL="warning")
        self.mailer = await self.stack.start(
            "mailer",
            LOG_LEVEL="warning",
            SMTP_URL=self.sink.url,
            MAIL_FROM="Kiln & Kettle <shop@example.test>",
            SITE_URL="https://shop.example.test/",
            PUBLIC_URL="https://events.shop.example.test",
            SECRET_KEY="what seals the links of these mails",
            DKIM_KEYS_FILE=str(keys),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.close()
        await self.sink.stop()
        await self._nats.stop()
        await self._postgres.stop()

    async def _answer(self) -> None:
        """As state and rule-evaluator: everybody has six products in the cart, and every rule still holds."""
        state, rules = await self.stack.bus("state"), await self.stack.bus("rule_evaluator")

        async def get(request: GetPerson) -> PersonFound:
            return PersonFound(cart(request.person)[1], SystemClock().now())

        async def verify(_: Verify) -> Verified:
            return Verified(True)

        for partition in range(PARTITIONS):
            await serve_subject(state, Endpoint(subjects.people_get(partition), GetPerson, get))
        await serve_subject(rules, Endpoint(subjects.RULES_VERIFY, Verify, verify))
        for bus in (state, rules):
            await bus.nc.flush()

    async def fire(self, *people: str) -> None:
        state = await self.stack.bus("state")
        messages = []
        for person in people:
            trigger, _ = cart(person)
            trigger = structs.replace(trigger, stamps=Stamps(due=trigger.at, committed=trigger.at))
            messages.append(
                Outgoing(subjects.trigger_subject(partition_of(person, PARTITIONS)), encode(trigger), trigger.id)
            )
        failures = await state.publish_many(messages, timeout_s=60)
        assert not any(failures), failures

    async def sent(self, count: int) -> None:
        async def check() -> bool:
            return self.sink.count >= count

        await until(check, within_s=600, what=f"{count} mails")

    async def warm_up(self) -> None:
        """Until templates are read and connections are open."""
        await self.fire(*(f"warm-{n}" for n in range(WARM)))
        await self.sent(WARM)
        await settled(self.stack, within_s=60)

    async def latencies_ms(self, people: str) -> list[float]:
        """From firing to the server's acceptance, of those whose names begin so."""
        await settled(self.stack, within_s=30)
        events = await self.stack.messages(subjects.EVENTS, Event)
        sent = (event for event in events if event.name == "email_sent" and event.person.startswith(people))
        return sorted(event.properties["latency_ms"] for event in sent)

    def cpu_s(self) -> dict[str, float]:
        pids = {service.name: service.process.pid for service in self.stack.services}
        return cpu_s(pids | {"nats": self._nats.pid, "postgresql": self._postgres.pid})


async def calm(folder: Path) -> dict[str, Any]:
    """So few that none waits for another."""
    async with Line(folder) as line:
        await line.warm_up()
        began, count = time.perf_counter(), int(CALM_RATE * CALM_S)
        for n in range(count):
            await asyncio.sleep(max(0.0, began + n / CALM_RATE - time.perf_counter()))
            await line.fire(f"calm-{n}")
        await line.sent(WARM + count)
        found = await line.latencies_ms("calm-")
    return {
        "calm_mails_per_s": CALM_RATE,
        "calm_fired_to_accepted_p50_ms": percentile(found, 0.5),
        "calm_fired_to_accepted_p99_ms": percentile(found, 0.99),
    }


async def flood(folder: Path, mails: int) -> dict[str, Any]:
    """All at once."""
    async with Line(folder) as line:
        await line.warm_up()
        before, began = line.cpu_s(), time.perf_counter()
        await line.fire(*(f"flood-{n}" for n in range(mails)))
        await line.sent(WARM + mails)
        await settled(line.stack, within_s=60)
        took_s, after = line.sink.last - began, line.cpu_s()
        return {
            "mails": mails,
            "mails_per_s": round(mails / took_s),
            "sent_twice": line.sink.count - len(line.sink.ids),
            **{f"{name}_us_per_mail": round(1e6 * (after[name] - before[name]) / mails) for name in after},
        }


def percentile(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


async def measure(folder: Path, mails: int, say: Callable[[str], None]) -> dict[str, Any]:
    result: dict[str, Any] = composed()
    say(
        f"  {result['composed_both_per_s']} mails/s composed and signed twice; {CALM_RATE} a second through throttle and mailer …"
    )
    result |= await calm(folder / "calm")
    say(f"  p99 {result['calm_fired_to_accepted_p99_ms']} ms; {mails} at once …")
    return result | await flood(folder / "flood", mails)
