"""The actor loop: one turn takes what arrived and who is due, asks for verdicts, commits once, publishes.

Nothing before the commit has an effect and everything after it can be repeated, so a crash anywhere loses nothing and
repeats nothing. Several groups, each with its share of the owned partitions, run side by side in one process.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection

import asyncpg
import nats.errors
import structlog

from services.state import actor as actors
from services.state import intake
from services.state.actor import Actor, Arrival
from services.state.evaluator import Evaluator
from services.state.intake import Turn
from services.state.outbox import Outbox
from services.state.partition import Partition
from services.state.store import Claim, Commit, Fenced, Loaded, Position, Saved, Store
from shared import db, metrics
from shared.bus import Bus, describe
from shared.clock import MINUTE, SECOND, Clock, Duration, Instant
from shared.errors import BusUnavailable, Unavailable
from shared.messages import Person, Step, Verdict

log = structlog.get_logger()

BATCH_STEPS = 1000
LINGER_S = 0.004
"""While messages keep coming, how long to wait for more: a commit costs much more than a message in it."""
LINGER_BELOW = 100
HORIZON = 5 * MINUTE
"""How far ahead timers are kept in memory."""
RETRY_FAILED = MINUTE
"""When a person's rules are tried again after their evaluation failed."""

_stored = metrics.STATE_EVENTS.labels("stored")
_duplicate = metrics.STATE_EVENTS.labels("duplicate")
_dead = metrics.STATE_EVENTS.labels("dead")


class Group:
    """Up to ``resident`` people are kept in memory. Nothing is written before ``lease`` was called."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        evaluator: Evaluator,
        outbox: Outbox,
        clock: Clock,
        history_limit: int,
        resident: int,
    ) -> None:
        self._store = store
        self._bus = bus
        self._evaluator = evaluator
        self._outbox = outbox
        self._clock = clock
        self._held: Callable[[], bool] = lambda: False
        self._on_lost: Callable[[], None] = lambda: None
        self._history_limit = history_limit
        self._resident = resident
        self._partitions: dict[int, Partition] = {}
        self._actors: OrderedDict[str, Loaded] = OrderedDict()
        self._loaded_until: Instant = 0
        self._limit = BATCH_STEPS
        self._busy_until = 0.0
        self._stopping = False
        self._work = asyncio.Event()
        self._turn = asyncio.Lock()

    def lease(self, held: Callable[[], bool], on_lost: Callable[[], None]) -> None:
        """``held`` says whether this process still surely owns what it claimed; ``on_lost`` is called after everything
        was dropped, to have it adopted anew."""
        self._held = held
        self._on_lost = on_lost

    @property
    def partitions(self) -> Collection[int]:
        return self._partitions.keys()

    @property
    def resident(self) -> int:
        return len(self._actors)

    # --- Ownership ----------------------------------------------------------------------------------------------------

    async def adopt(self, claims: Collection[Claim]) -> None:
        """Begin with partitions that were claimed. One that cannot be opened now is left for the next attempt."""
        opened = [p for p in await asyncio.gather(*(self._open(claim) for claim in claims)) if p is not None]
        if len(opened) < len(claims):
            log.warning("partitions_wait_for_nats", count=len(claims) - len(opened))
        if not opened:
            return
        numbers = [partition.id for partition in opened]
        async with self._turn:
            if not self._partitions:
                self._loaded_until = self._clock.now() + HORIZON
            self._partitions |= {partition.id: partition for partition in opened}
            await self._load_timers(numbers, None, self._loaded_until)
        await self._outbox.sweep(numbers)
        self._work.set()

    async def _open(self, claim: Claim) -> Partition | None:
        partition = Partition(self._bus, claim, self._work.set)
        try:
            await partition.open()
        except (nats.errors.Error, BusUnavailable, TimeoutError) as error:
            await partition.close()
            log.debug("partition_waits", partition=partition.id, **describe(error))
            return None
        return partition

    async def drop(self, partitions: Collection[int]) -> None:
        """Finish the turn in hand, then let go of ``partitions``."""
        async with self._turn:
            await self._drop(partitions)

    async def _drop(self, partitions: Collection[int]) -> None:
        gone = [self._partitions.pop(number) for number in partitions if number in self._partitions]
        for partition in gone:
            await partition.close()
        if gone:
            # Whoever owns them next writes; what is kept here may fall behind.
            self._actors.clear()

    def stop(self) -> None:
        """Do not wait for verdicts any longer: what was not committed is somebody else's."""
        self._stopping = True

    # --- Questions ----------------------------------------------------------------------------------------------------

    async def person(self, number: int, key: str) -> Person:
        """The person after everything the stream held when this was asked. Raises ``Unavailable`` if not ours."""
        partition = self._partitions.get(number)
        if partition is None:
            raise Unavailable(f"partition {number} is not held here")
        await partition.committed_through(await partition.last())
        if key in self._actors:
            return self._actors[key].actor.person(key)
        loaded = (await self._store.load([(number, key)])).get(key)
        if not self._held() or self._partitions.get(number) is not partition:
            raise Unavailable(f"partition {number} moves to another process")
        return (loaded.actor if loaded else Actor()).person(key)

    async def arm_overdue(self, overdue: Duration) -> int:
        """Arm every timer that is overdue and in nobody's heap; answers how many there were."""
        async with self._turn:
            found = 0
            rows = await self._store.due_between(list(self._partitions), None, self._clock.now() - overdue)
            for number, person, due in rows:
                if person not in self._partitions[number].timers:
                    self._partitions[number].timers.arm(person, due)
                    found += 1
        self._work.set()
        return found

    # --- The loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            await self._something_to_do()
            async with self._turn:
                try:
                    await self._take_turn()
                    continue
                except Fenced as error:
                    metrics.FENCED_WRITES.inc()
                    log.warning("commit_fenced", **describe(error))
                except (Unavailable, nats.errors.Error, *db.AWAY) as error:
                    log.warning("turn_abandoned", **describe(error))
                # The commit failed, or succeeded unheard: what counts is what PostgreSQL says. Everything is dropped
                # here and adopted anew at its committed checkpoint.
                await self._drop(list(self._partitions))
            self._on_lost()
            await asyncio.sleep(0.1)

    async def _take_turn(self) -> None:
        now = self._clock.now()
        if self._partitions and now >= self._loaded_until - HORIZON // 2:
            await self._load_timers(list(self._partitions), self._loaded_until, now + HORIZON)
            self._loaded_until = now + HORIZON
        await intake.ask_for_barriers(self._partitions.values(), now)
        turn = await intake.take(self._partitions.values(), self._limit)
        if not turn.partitions:
            return
        for received, reason in turn.unreadable:
            _dead.inc()
            await self._bus.dead_letter(reason, received.msg)
        try:
            await self._process(turn)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            await self._isolate(turn, error)
        else:
            self._limit = min(self._limit * 2, BATCH_STEPS)
            self._busy_until = asyncio.get_running_loop().time() + 4 * LINGER_S

    async def _isolate(self, turn: Turn, error: asyncpg.PostgresError) -> None:
        """Something in this turn can never be committed. Take one step a turn until it stands alone, then put it aside."""
        if len(turn.messages) + len(turn.due) > 1:
            log.error("commit_refused", steps=len(turn.messages), **describe(error))
            self._limit = 1
            raise Unavailable("one message at a time")
        for received in turn.messages:
            _dead.inc()
            await self._bus.dead_letter(f"cannot be committed: {error}", received.msg)
        for person in turn.due:
            log.error("timer_cannot_be_committed", person=person, **describe(error))
        await self._commit(Commit(self._positions(turn)), {}, turn)

    async def _something_to_do(self) -> None:
        """Until messages are there or a timer is due. When it is quiet a message is taken at once; when the last turn
        has only just ended, a little later, with those that follow it."""
        loop = asyncio.get_running_loop()
        while not self._waiting_messages():
            self._work.clear()
            wait_s = self._until_due()
            if wait_s <= 0:
                return
            try:
                async with asyncio.timeout(wait_s):
                    await self._work.wait()
            except TimeoutError:
                return
        if loop.time() < self._busy_until and self._waiting_messages() < LINGER_BELOW:
            await asyncio.sleep(max(0.0, min(LINGER_S, self._until_due())))

    def _waiting_messages(self) -> int:
        return sum(len(partition.reader) for partition in self._partitions.values())

    def _until_due(self) -> float:
        """Seconds until a timer is due; at most one, so that nothing depends on a wake-up call that was missed."""
        now = self._clock.now()
        earliest = now + SECOND
        for partition in self._partitions.values():
            due = partition.timers.next_due()
            if due is None:
                continue
            if due <= now and partition.barrier and partition.taken < partition.barrier.position:
                continue  # waits for messages that are known to be in the stream
            earliest = min(earliest, due)
        return (earliest - now) / SECOND

    async def _process(self, turn: Turn) -> None:
        await self._load([(turn.homes[key], key) for key in turn.people if key not in self._actors])
        steps: dict[str, list[Step]] = {}
        new: list[Arrival] = []
        for key in turn.people:
            self._actors.move_to_end(key)
            taken, accepted = actors.accept(self._actors[key].actor, turn.arrivals.get(key, ()))
            new += accepted
            if key in turn.until:
                taken = actors.with_timer(taken, turn.until[key])
            if taken:
                steps[key] = taken
        verdicts = await self._verdicts(steps)
        commit, kept = self._conclude(turn, steps, verdicts, new)
        await self._commit(commit, kept, turn)
        outcomes = sum(arrival.event.source == "beckon" for arrival in new)
        _stored.inc(len(new) - outcomes)
        metrics.STATE_OUTCOMES.inc(outcomes)
        _duplicate.inc(sum(map(len, turn.arrivals.values())) - len(new))

    async def _load(self, people: list[tuple[int, str]]) -> None:
        if not people:
            return
        loaded = await self._store.load(people)
        for _, key in people:
            self._actors[key] = loaded.get(key) or Loaded(Actor(), None)

    async def _verdicts(self, steps: dict[str, list[Step]]) -> dict[str, Verdict]:
        """Ask until answered: while no rule-evaluator is there events wait in the stream, and nothing is decided."""
        cases = [actors.case(self._actors[key].actor, key, taken) for key, taken in steps.items()]
        delay_s = 0.02
        while cases:
            try:
                return dict(zip(steps, await self._evaluator.evaluate(cases), strict=True))
            except Unavailable as error:
                if self._stopping or not self._held():
                    raise
                log.warning("evaluation_waits", cases=len(cases), **describe(error))
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 0.5)
        return {}

    def _conclude(
        self, turn: Turn, steps: dict[str, list[Step]], verdicts: dict[str, Verdict], new: list[Arrival]
    ) -> tuple[Commit, dict[str, Loaded]]:
        """Everything the turn made, and the actors as they are once it is committed."""
        now = self._clock.now()
        received = {(arrival.event.person, arrival.arrived): arrival.event.received for arrival in new}
        commit = Commit(self._positions(turn), events=new, fates=actors.fates(new))
        kept: dict[str, Loaded] = {}
        for key, taken in steps.items():
            before, stored = self._actors[key]
            verdict = verdicts[key]
            if verdict.error:
                log.error("evaluation_failed", person=key, error=verdict.error)
                verdict.wake = now + RETRY_FAILED
            after, remembered = actors.encode(actors.settle(before, taken, verdict, self._history_limit))
            due = actors.next_due(stored, verdict.wake, turn.until.get(key, now))
            kept[key] = Loaded(after, due)
            commit.actors.append(Saved(turn.homes[key], key, remembered, due))
            for fire in verdict.fires:
                came = 0 if fire.timer else received.get((key, fire.at), 0)
                commit.triggers.append((turn.homes[key], actors.trigger(key, fire, before, taken, came)))
        return commit, kept

    def _positions(self, turn: Turn) -> list[Position]:
        return [Position(p.id, p.epoch, p.taken, p.taken_time) for p in turn.partitions.values()]

    async def _commit(self, commit: Commit, kept: dict[str, Loaded], turn: Turn) -> None:
        if not self._held():
            raise Fenced("the lease could not be renewed in time")
        with metrics.STATE_COMMIT_S.time():
            await self._store.commit(commit)
        now = self._clock.now()
        for key, loaded in kept.items():
            self._actors[key] = loaded
            timers = turn.partitions[turn.homes[key]].timers
            if loaded.due is not None and loaded.due < self._loaded_until:
                timers.arm(key, loaded.due)
            else:
                timers.disarm(key)
        while len(self._actors) > self._resident:
            self._actors.popitem(last=False)
        for position in commit.positions:
            turn.partitions[position.id].applied(position.checkpoint)
        await self._outbox.publish([trigger for _, trigger in commit.triggers])
        _measure(commit, turn, now)

    async def _load_timers(self, partitions: Collection[int], start: Instant | None, end: Instant) -> None:
        """Bring timers of the next minutes into memory. ``start`` none: also everything that is overdue."""
        for number, person, due in await self._store.due_between(partitions, start, end):
            self._partitions[number].timers.arm(person, due)


def _measure(commit: Commit, turn: Turn, now: Instant) -> None:
    metrics.STATE_BATCH.observe(len(commit.events) + len(turn.due))
    for arrival in commit.events:
        metrics.EVENT_LATENCY_S.observe(max(0, now - arrival.arrived) / SECOND)
    for due in turn.due.values():
        metrics.TIMER_LATENESS_S.observe(max(0, now - due) / SECOND)
    for _, trigger in commit.triggers:
        metrics.TRIGGERS_FIRED.labels(trigger.rule).inc()
