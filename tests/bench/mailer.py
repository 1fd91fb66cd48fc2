"""One mailer process: how many mails it composes and signs on one core, how many it sends, and how long each takes."""

import asyncio
import statistics
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from services.mailer.address import To
from services.mailer.compose import Sender
from services.mailer.context import Shop
from services.mailer.dkim import Signer
from services.mailer.links import Linking
from services.mailer.preparing import Preparing, Ready
from services.mailer.templates import Templates
from shared.clock import SECOND, SystemClock
from shared.dkim import DkimKey
from shared.links import Links
from shared.messages import EmailAction, HistoryEvent, Person, Stamps, Terms, Trigger
from tests.support.stack import ROOT

RSA = DkimKey("r1", generate_private_key(65537, 2048))
ED25519 = DkimKey("e1", Ed25519PrivateKey.generate())
ROUNDS, ROUND = 7, 150
SHOP = Sender("Kiln & Kettle", "shop@example.test")


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
    terms = Terms(EmailAction("cart-reminder"), category="nudge")
    trigger = Trigger(f"t-{person}", person, "cart-abandonment", 1, now, terms, because=history[:1])
    return trigger, Person(person, {"email": f"{person}@example.test", "first_name": "Zoë"}, history, products)


def composing(*keys: DkimKey) -> Callable[[], Ready]:
    """A mail as the mailer makes it once it knows the person: template, links that are sealed, headers, signatures."""
    preparing = Preparing(
        None,  # type: ignore[arg-type] - nobody is asked
        SystemClock(),
        Templates(ROOT / "examples/templates"),
        SHOP,
        Shop("Kiln & Kettle", "https://shop.example.test/"),
        Linking(Links(["what seals the links of these mails"]), "https://events.shop.example.test"),
        Signer("example.test", keys),
        reply_to=None,
        staging=False,
        test_recipients=(),
    )
    trigger, person = cart("ada")
    to = To(("ada@example.test",))

    def compose() -> Ready:
        ready = preparing._compose(trigger, person, to, Stamps())
        assert isinstance(ready, Ready)
        return ready

    return compose


def bare_mail(ready: Ready) -> Callable[[], object]:
    """The same words in Python's own ``EmailMessage``, nothing composed, nothing signed."""
    content = ready.letter.content.decode()

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
        "bytes_of_a_mail": len(composing(RSA, ED25519)().letter.content),
    }
    return {name: round(value) for name, value in found.items()}
