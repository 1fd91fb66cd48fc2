"""The order of events: first the one whose mail is held back, then everybody else at once."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from services.local.demo.evidence import Evidence, NotInTime, until
from services.local.demo.judge import problems
from services.local.demo.scenarios import CROWD, HASTY, LAMP, SHOPPERS, Did, Shopper
from services.local.demo.shop import Shop, Times

_PATIENCE_S = 15.0
_MARGIN_S = 1.0
"""How long a mail that must not come is given to come all the same."""

MALFORMED: dict[str, Any] = {"user_id": "mallory", "event": "added_to_cart", "timestamp": "the day before yesterday"}
XYZ: dict[str, Any] = {"user_id": "XYZ", "event": "cart_abandonment"}


class Expectation(Struct, frozen=True):
    """Met if there are no ``problems``."""

    who: str
    what: str
    problems: list[str]


class Play:
    """``mailer`` answers the process id of the mailer, which is paused for a moment."""

    def __init__(self, shop: Shop, evidence: Evidence, mailer: Callable[[], int]) -> None:
        self._shop = shop
        self._evidence = evidence
        self._mailer = mailer
        self._times: dict[str, Times] = {}

    async def run(self) -> list[Expectation]:
        """Play everything until it has come to its end. Raises ``NotAccepted`` or ``NotInTime``."""
        await self._buy_between_firing_and_sending()
        await asyncio.gather(*(self._visit(shopper) for shopper in (*SHOPPERS, *CROWD)))
        strangers = [await self._pixel(), await self._malformed()]
        with contextlib.suppress(NotInTime):  # what is missing is found below, one by one
            await until("everybody's mails came", self._all_mailed, _PATIENCE_S)
            await until("every trigger came to an end", self._all_ended, _PATIENCE_S)
        await asyncio.sleep(_MARGIN_S)
        return [await self._judge(shopper) for shopper in (HASTY, *SHOPPERS)] + strangers + [await self._judge_crowd()]

    async def _buy_between_firing_and_sending(self) -> None:
        async def fired() -> bool:
            return any(trigger.person == HASTY.key for trigger in await self._evidence.fired())

        mailer = self._mailer()
        os.kill(mailer, signal.SIGSTOP)
        try:
            await self._visit(HASTY)
            await until(f"the rule fired for {HASTY.name}", fired, _PATIENCE_S)
            await self._shop.visit(HASTY, (Did("purchased", product=LAMP),), first=False)
        finally:
            os.kill(mailer, signal.SIGCONT)

    async def _visit(self, shopper: Shopper) -> None:
        """Each act, once the mails of those before have come."""
        times = self._times.setdefault(shopper.key, {})
        for number, act in enumerate(shopper.acts):

            async def mailed(so_far: int = number) -> bool:
                return self._mails_to(shopper) >= so_far

            await until(f"{number} mails came for {shopper.name}", mailed, _PATIENCE_S)
            times |= await self._shop.visit(shopper, act, first=number == 0)

    async def _pixel(self) -> Expectation:
        await self._shop.show_pixel(XYZ)

        async def stored() -> bool:
            return await self._evidence.events_of(XYZ["user_id"]) == [XYZ["event"]]

        await until("the pixel's event was stored", stored, _PATIENCE_S)
        return Expectation("XYZ", "a pixel without a key: 43 bytes of GIF, and the event is in the history", [])

    async def _malformed(self) -> Expectation:
        status, answer = await self._shop.answer_to(MALFORMED)
        reason = str(answer.get("rejected") or answer.get("error"))
        found = [] if status == 400 and "timestamp" in reason else [f"answered {status}: {answer}"]
        if events := await self._evidence.events_of(MALFORMED["user_id"]):
            found.append(f"stored all the same: {events}")
        return Expectation("Mallory", "a malformed event: 400, and why", found)

    async def _judge(self, shopper: Shopper) -> Expectation:
        fired = [trigger for trigger in await self._evidence.fired() if trigger.person == shopper.key]
        summaries = [mail for mail in self._evidence.mails if mail.recipients == [shopper.email]]
        mails = [await self._evidence.read(mail) for mail in summaries]
        return Expectation(shopper.name, shopper.story, problems(shopper, self._times[shopper.key], mails, fired))

    async def _judge_crowd(self) -> Expectation:
        judged = [await self._judge(shopper) for shopper in CROWD]
        found = [f"{one.who}: {problem}" for one in judged for problem in one.problems]
        return Expectation("a crowd", f"{len(CROWD)} more leave full carts: each is reminded, once", found)

    async def _all_mailed(self) -> bool:
        return len(self._evidence.mails) >= sum(len(shopper.mailed) for shopper in (*SHOPPERS, *CROWD))

    async def _all_ended(self) -> bool:
        return all(trigger.outcome for trigger in await self._evidence.fired())

    def _mails_to(self, shopper: Shopper) -> int:
        return sum(mail.recipients == [shopper.email] for mail in self._evidence.mails)
