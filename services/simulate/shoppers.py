"""A model of a shop's visitors: what they do, as the events a site would send, in the order they are sent. Pure.

Who they are is in ``people``, what they do in a visit in ``visits``, what is sold in ``products``. The chances there are
set so that over a month about 15 % of all visits end with a purchase (13 % over a day, 17 % over three months, when loyal
customers weigh more), as in the public data set "Online Shoppers Purchasing Intention" of the UCI repository: 1,908 of
12,330 sessions (https://archive.ics.uci.edu/dataset/468; Sakar et al., Neural Computing and Applications 31, 2019,
https://doi.org/10.1007/s00521-018-3523-0). No other figure of the model is taken from data.

One core makes 100,000 to 150,000 events in a second.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from services.simulate.people import Shopper, chance, new_shopper
from services.simulate.visits import Sent, Visit
from shared.clock import Duration, Instant


class Played(NamedTuple):
    """``event`` as ``POST /v1/events`` takes it, sent ``at`` an instant that is never before its ``timestamp``.

    An event that is sent twice is the same object both times; do not change it.
    """

    at: Instant
    event: dict[str, Any]


def play(seed: int, people: int, start: Instant, span: Duration) -> Iterator[Played]:
    """All that ``people`` shoppers send from ``start`` on and before ``start + span``, in the order of ``at``.

    The same arguments give the same events, and a person's do not depend on how many people there are. Everybody comes
    for the first time at some instant of the span, so towards its end more is going on; what would be sent later is left out.
    A person's ``event_id``s are ``SEED-PERSON-COUNT``, the person counted from 0 and the event from 1.

    What is kept in memory grows with the people that may come again, not with the events.
    """
    end = start + span
    visits = [(start + chance(seed, number, "first").randrange(span), number) for number in range(people)]
    heapify(visits)
    away: dict[int, Shopper] = {}
    waiting: list[Sent] = []
    while visits:
        begins, number = heappop(visits)
        yield from _due(waiting, begins)
        shopper = away.pop(number, None) or new_shopper(seed, number)
        visit = Visit(shopper, begins)
        visit.play()
        for sent in visit.sent:
            if sent[0] < end:
                heappush(waiting, sent)
        again = visit.next_visit()
        if again is not None and again < end:
            away[number] = shopper
            heappush(visits, (again, number))
    yield from _due(waiting, end)


def _due(waiting: list[Sent], until: Instant) -> Iterator[Played]:
    """What is sent before ``until``: no visit that begins then, or later, can send anything earlier."""
    while waiting and waiting[0][0] < until:
        at, _, _, event = heappop(waiting)
        yield Played(at, event)
