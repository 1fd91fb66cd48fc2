"""Each trigger is decided once: stored first, then published, then let go of. A trigger that comes again gets the same
decision, and what was published for it is published again under the same ids."""

from collections.abc import Callable

from services.throttle.decide import Decision, Deferral
from services.throttle.deciding import Deciding
from services.throttle.effects import effects
from shared import subjects
from shared.bus import Bus, Outgoing, encode
from shared.clock import Instant
from shared.logs import bind
from shared.messages import Event, SendEmail, SendWebhook, Trigger


class Triggers:
    """``put_off`` is told when something waits from now on."""

    def __init__(self, bus: Bus, deciding: Deciding, put_off: Callable[[Instant], None]) -> None:
        self._bus = bus
        self._deciding = deciding
        self._put_off = put_off

    async def on_trigger(self, trigger: Trigger) -> None:
        with bind(trigger=trigger.id, person=trigger.person, rule=trigger.rule):
            for made in await self._deciding.arrived(trigger):
                if isinstance(made.verdict, Deferral):
                    self._put_off(made.verdict.until)
                else:
                    await publish(self._bus, made.trigger, made.verdict)


async def publish(bus: Bus, trigger: Trigger, decision: Decision) -> None:
    """Raises ``BusUnavailable``."""
    for message in effects(trigger, decision):
        await bus.publish(_outgoing(bus, message, trigger.id))


def _outgoing(bus: Bus, message: SendEmail | SendWebhook | Event, trigger: str) -> Outgoing:
    match message:
        case SendEmail():
            return Outgoing(subjects.SENDS_EMAIL, encode(message), trigger)
        case SendWebhook():
            return Outgoing(subjects.SENDS_WEBHOOK, encode(message), f"{trigger}.webhook")
        case Event():
            return bus.event_message(message)
