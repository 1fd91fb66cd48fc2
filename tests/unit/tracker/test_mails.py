"""Opens and clicks while NATS is away."""

from collections.abc import Sequence

from structlog.testing import capture_logs

from services.tracker.engagement import clicked
from services.tracker.mails import Mails
from shared.clock import SystemClock
from shared.consents import Consents, GetConsents
from shared.errors import BusUnavailable
from shared.links import Link, Links
from shared.messages import Event
from shared.metrics import MAIL_LINKS_LOST

CLICK = clicked(Link("ada", "t1", "cart", 3, "nudge", 0, url="https://shop.test/"), 1, None)


class Away:
    """Stores nothing the first ``times``, and nobody answers."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.stored: list[Event] = []

    async def publish(self, events: Sequence[Event]) -> None:
        if self.times:
            self.times -= 1
            raise BusUnavailable("the event stream is away")
        self.stored += events

    async def request(self, subject: str, message: GetConsents, reply: type[Consents], *, timeout_s: float) -> Consents:
        raise BusUnavailable(subject)


def mails(store: Away) -> Mails:
    tries_s = (0.0, 0.0)
    return Mails(store, store, Links([]), SystemClock(), human_after=0, site="Shop", timeout_s=1, tries_s=tries_s)


def lost() -> float:
    return next(iter(MAIL_LINKS_LOST.collect())).samples[0].value


async def test_what_cannot_be_stored_at_once_is_stored_later() -> None:
    store, before = Away(2), lost()
    await mails(store)._keep(CLICK)
    assert store.stored == [CLICK]
    assert lost() == before


async def test_what_cannot_be_stored_at_all_is_counted_and_told() -> None:
    store, before = Away(3), lost()
    with capture_logs() as logs:
        await mails(store)._keep(CLICK)
    assert store.stored == []
    assert lost() == before + 1
    assert logs == [
        {
            "event": "engagement_lost",
            "log_level": "error",
            "what": "email_clicked",
            "trigger": "t1",
            "error": "the event stream is away",
        }
    ]
