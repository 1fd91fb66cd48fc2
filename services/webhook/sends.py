"""From the stream into the table: once a webhook is there nothing can lose it, and it is in nobody's way."""

from services.webhook.endings import first_chance_ends
from services.webhook.lanes import Lanes
from services.webhook.preparing import Preparing
from services.webhook.store import Hold, Store, endpoint_id
from shared.clock import Clock
from shared.errors import InvalidMessage
from shared.messages import SendWebhook


class Sends:
    """``test_url``: where webhooks under test go, if anywhere."""

    def __init__(self, store: Store, lanes: Lanes, preparing: Preparing, clock: Clock, test_url: str) -> None:
        self._store = store
        self._lanes = lanes
        self._preparing = preparing
        self._clock = clock
        self._test_url = test_url

    async def on_send(self, send: SendWebhook) -> None:
        """Where there is room it is begun at once, without another look at the table."""
        trigger, now = send.trigger, self._clock.now()
        if trigger.terms.webhook is None:
            raise InvalidMessage("a send of a webhook, of a rule that has none")
        test = self._preparing.is_test(trigger)
        url = (test and self._test_url) or trigger.terms.webhook.url
        endpoint = endpoint_id(url)
        entered = self._lanes.enter(endpoint, now)
        hold = self._lanes.hold(now) if entered else Hold("", now)
        delivery = None
        try:
            delivery = await self._store.add(trigger, url, hold, first_chance_ends(trigger), now)
        finally:
            if entered and delivery is None:
                self._lanes.leave(endpoint)
        if delivery:
            self._lanes.begin(delivery)
