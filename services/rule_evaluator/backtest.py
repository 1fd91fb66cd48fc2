"""Back-tests against recorded history: read from the state service, played here, put to the throttle, told as it goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import structlog
from msgspec import Struct

from services.rule_evaluator.document import Rule, parse_document
from services.rule_evaluator.replay import Firing, Replay, live_from_the_beginning
from services.rule_evaluator.store import Store
from shared import subjects
from shared.bus import Bus
from shared.clock import Clock, Instant
from shared.policies import Forecast, Forecasted, ForecastFiring
from shared.rules import (
    Backtest,
    BacktestDone,
    BacktestFirings,
    BacktestProgress,
    BacktestRefused,
    BacktestTold,
    HistoryRead,
    LinksRead,
    PlayedFiring,
    ReadHistory,
    ReadLinks,
    RecordedEvent,
)

log = structlog.get_logger()

Tell = Callable[[BacktestTold], Awaitable[None]]

ASK_S = 30.0
TELL_EVERY_S = 1.0
PART = 200
"""Firings in one message."""
YIELD_EVERY = 200
"""Events after which others get their turn."""


class Counts(Struct):
    events: int = 0
    people: int = 0
    firings: int = 0


class Backtesting:
    """One back-test. It keeps the people who were linked with others until all partitions are read; the others are let go
    of one by one."""

    def __init__(self, bus: Bus, store: Store, clock: Clock, request: Backtest, tell: Tell) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._request = request
        self._tell = tell
        self._counts = Counts()
        self._until = request.until if request.until is not None else clock.now()
        self._told = 0.0
        self._waiting: list[Firing] = []
        self._partition = 0

    async def run(self) -> None:
        """Raises ``Unavailable`` if what it needs does not answer."""
        began = asyncio.get_running_loop().time()
        rules, errors = await self._rules()
        if errors or not rules:
            await self._tell(BacktestRefused(errors or ["no rules to test"]))
            return
        plan = live_from_the_beginning(rules)
        linked = await self._linked()
        together: dict[str, list[RecordedEvent]] = {}
        async for person, events in self._people():
            if (group := linked.get(person)) is not None:
                together.setdefault(group, []).extend(events)
                self._counts.events += len(events)
            else:
                await self._play(Replay(plan), events)
            await self._progress()
        for events in together.values():
            self._counts.events -= len(events)
            await self._play(Replay(plan), sorted(events, key=lambda event: (event.arrived, event.sequence)))
            await self._progress()
        await self._flush()
        seconds = asyncio.get_running_loop().time() - began
        await self._tell(BacktestDone(self._counts.events, self._counts.people, self._counts.firings, seconds))

    async def _rules(self) -> tuple[list[Rule], list[str]]:
        documents = list(self._request.documents)
        errors = []
        for name in self._request.rules:
            found = await self._store.get(name, 0)
            if found.summary is None or not found.document:
                errors.append(f"there is no rule {name}")
            else:
                documents.append(found.document)
        rules = []
        for document in documents:
            rule, wrong, _ = parse_document(document)
            errors += wrong
            if rule is not None:
                rules.append(rule)
        if len({rule.id for rule in rules}) < len(rules):
            errors.append("two rules have the same id")
        return rules, errors

    async def _linked(self) -> dict[str, str]:
        """For everybody who was ever linked with another: one name for all who were linked together."""
        groups: dict[str, str] = {}

        def root(key: str) -> str:
            while (other := groups.setdefault(key, key)) != key:
                key = other
            return key

        after = 0
        while True:
            read = await self._bus.request(subjects.HISTORY_LINKS, ReadLinks(after), LinksRead, timeout_s=ASK_S)
            for after, previous, person in read.links:  # noqa: B007 - the last one is where to go on
                groups[root(previous)] = root(person)
            if read.done:
                return {key: root(key) for key in groups}

    async def _people(self) -> AsyncIterator[tuple[str, list[RecordedEvent]]]:
        """Each person's own events, in the order of their arrival."""
        for partition in range(self._bus.partitions):
            self._partition = partition
            events: list[RecordedEvent] = []
            asked = ReadHistory(partition)
            while True:
                read = await self._bus.request(subjects.HISTORY_READ, asked, HistoryRead, timeout_s=ASK_S)
                for event in read.events:
                    if events and event.person != events[0].person:
                        yield events[0].person, events
                        events = []
                    events.append(event)
                if read.done:
                    break
                asked = ReadHistory(partition, read.events[-1].person, read.events[-1].n)
            if events:
                yield events[0].person, events
        self._partition = self._bus.partitions

    async def _play(self, replay: Replay, events: Iterable[RecordedEvent]) -> None:
        for recorded in events:
            if recorded.arrived > self._until:
                break
            self._counts.events += 1
            self._note(replay.take(recorded.event, recorded.arrived))
            if self._counts.events % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        self._note(replay.finish(self._until))
        self._counts.people += replay.people
        if len(self._waiting) >= PART:
            await self._flush()

    def _note(self, firings: Iterable[Firing]) -> None:
        since = self._request.since or 0
        self._waiting += [firing for firing in firings if since <= firing.fire.at <= self._until]

    async def _flush(self) -> None:
        """Tell the firings so far; all of a person go together, as the throttle's caps want them."""
        firings = sorted(self._waiting, key=lambda firing: firing.fire.at)
        self._waiting = []
        if not firings:
            return
        self._counts.firings += len(firings)
        decisions = await self._decisions(firings)
        told = [_told(firing, decision) for firing, decision in zip(firings, decisions, strict=True)]
        for start in range(0, len(told), PART):
            await self._tell(BacktestFirings(told[start : start + PART]))

    async def _decisions(self, firings: list[Firing]) -> list[tuple[str, str]]:
        if not self._request.throttle:
            return [("", "")] * len(firings)
        asked = Forecast([ForecastFiring(f.person, f.fire.rule, f.fire.at, f.fire.terms) for f in firings])
        answer = await self._bus.request(subjects.POLICY_FORECAST, asked, Forecasted, timeout_s=ASK_S)
        return answer.decisions

    async def _progress(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told < TELL_EVERY_S:
            return
        self._told = now
        counts = self._counts
        await self._tell(
            BacktestProgress(counts.events, counts.people, counts.firings, self._partition, self._bus.partitions)
        )


def _told(firing: Firing, decision: tuple[str, str]) -> PlayedFiring:
    because: list[tuple[str, str, Instant]] = [(event.id, event.name, event.timestamp) for event in firing.because]
    return PlayedFiring(firing.person, firing.fire.rule, firing.fire.at, because, *decision)
