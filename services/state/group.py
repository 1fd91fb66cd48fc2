"""The actor loop: one turn takes what arrived and who is due, asks for verdicts, commits once, publishes.

Nothing before the commit has an effect and everything after it can be repeated, so a crash anywhere loses nothing and
repeats nothing. Several groups, each with its share of the owned partitions, run side by side in one process.
"""

import asyncio
from collections.abc import Callable, Collection

import asyncpg
import nats.errors
import structlog

from services.state import intake, work
from services.state.actor import Actor, Limits
from services.state.evaluator import Evaluator
from services.state.intake import Turn
from services.state.interest import Following
from services.state.judge import Judge
from services.state.outbox import Outbox
from services.state.partition import Partition
from services.state.residents import Residents
from services.state.rows import Claim, Commit, Fenced, Position
from services.state.store import Store
from services.state.work import Done
from shared import db, metrics
from shared.bus import Bus, describe
from shared.clock import MINUTE, SECOND, Clock, Duration, Instant, Lapse
from shared.errors import BusUnavailable, Unavailable

log = structlog.get_logger()

BATCH_STEPS = 1000
LINGER_S = 0.004
"""While messages keep coming, how long to wait for more: a commit costs much more than a message in it."""
LINGER_BELOW = 100
HORIZON = 5 * MINUTE
"""How far ahead timers are kept in memory."""
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
        following: Following,
        limits: Limits,
        resident: int,
        lapse: Lapse = Lapse(),  # noqa: B008 - frozen
    ) -> None:
        self._store = store
        self._bus = bus
        self._outbox = outbox
        self._clock = clock
        self._following = following
        self._limits = limits
        self._lapse = lapse
        self._horizon = HORIZON * lapse.speed
        self._held: Callable[[], bool] = lambda: False
        self._on_lost: Callable[[], None] = lambda: None
        self._residents = Residents(store, resident)
        self._judge = Judge(store, evaluator, following, self._residents, limits)
        self._partitions: dict[int, Partition] = {}
        self._loaded_until: Instant = 0
        self._limit = BATCH_STEPS
        self._busy_until = 0.0
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
        return len(self._residents.people)

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
                self._loaded_until = self._clock.now() + self._horizon
            self._partitions |= {partition.id: partition for partition in opened}
            self._following.at_least(max(claim.swept or 0 for claim in claims))
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
            self._residents.clear()

    def stop(self) -> None:
        """Do not wait for verdicts any longer: what was not committed is somebody else's."""
        self._judge.stop()

    # --- Questions ----------------------------------------------------------------------------------------------------

    async def actor(self, number: int, key: str) -> Actor:
        """The person after everything the stream held when this was asked. Raises ``Unavailable`` if not ours."""
        partition = self._partitions.get(number)
        if partition is None:
            raise Unavailable(f"partition {number} is not held here")
        await partition.committed_through(await partition.last())
        if (resident := self._residents.people.get(key)) is not None:
            return resident.actor
        loaded = (await self._store.load([(number, key)])).get(key)
        if not self._held() or self._partitions.get(number) is not partition:
            raise Unavailable(f"partition {number} moves to another process")
        return loaded.actor if loaded else Actor()

    async def arm_overdue(self, overdue: Duration) -> int:
        """Arm every timer that is overdue and in nobody's heap; answers how many there were."""
        async with self._turn:
            found = 0
            late = self._clock.now() - overdue * self._lapse.speed
            rows = await self._store.due_between(list(self._partitions), None, late)
            for number, person, due in rows:
                if person not in self._partitions[number].timers:
                    self._partitions[number].timers.arm(person, due)
                    found += 1
        self._work.set()
        return found

    # --- Sweeps -------------------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until the turn in hand, if there is one, is over."""
        async with self._turn:
            pass

    def epoch(self, number: int) -> int:
        """Raises ``Fenced`` if the partition is not held any longer."""
        if number not in self._partitions or not self._held():
            raise Fenced(f"partition {number} is not held here")
        return self._partitions[number].epoch

    def rearmed(self, number: int, key: str, due: Instant | None) -> None:
        """The timer was set outside the loop. If a turn in hand still sets it by what it knew, that is early at worst."""
        if number not in self._partitions:
            return
        self._arm(self._partitions[number], key, due)
        self._residents.rearm(key, due)
        self._work.set()

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
        if astray := [partition.id for partition in self._partitions.values() if partition.reader.astray]:
            raise Unavailable(f"the stream has not what was read of partitions {astray}")
        if self._partitions and now >= self._loaded_until - self._horizon // 2:
            await self._load_timers(list(self._partitions), self._loaded_until, now + self._horizon)
            self._loaded_until = now + self._horizon
        await intake.ask_for_barriers(self._partitions.values(), now)
        turn = await intake.take(self._partitions.values(), self._limit, self._lapse)
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
        positions = [Position(p.id, p.epoch, p.taken, p.taken_time) for p in turn.partitions.values()]
        await self._commit(Done(Commit(positions), {}, [], {}), turn)

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
        earliest = now + SECOND * self._lapse.speed
        for partition in self._partitions.values():
            due = partition.timers.next_due()
            if due is None:
                continue
            if due <= now and partition.barrier and partition.taken < partition.barrier.position:
                continue  # waits for messages that are known to be in the stream
            earliest = min(earliest, due)
        return (earliest - now) / (SECOND * self._lapse.speed)

    async def _process(self, turn: Turn) -> None:
        begun, verdicts, memory = await self._judge.turn(turn, self._held)
        done = work.conclude(begun, self._residents.people, verdicts, memory, self._limits, self._clock.now())
        for key, error in done.failed.items():
            log.error("evaluation_failed", person=key, error=error)
        await self._outbox.forward(done.sent)
        await self._commit(done, turn)
        outcomes = sum(stored.event.source == "beckon" for stored in done.commit.events)
        _stored.inc(len(done.commit.events) - outcomes)
        metrics.STATE_OUTCOMES.inc(outcomes)
        _duplicate.inc(sum(map(len, turn.arrivals.values())) - len(done.commit.events) - len(done.sent))

    async def _commit(self, done: Done, turn: Turn) -> None:
        if not self._held():
            raise Fenced("the lease could not be renewed in time")
        with metrics.STATE_COMMIT_S.time():
            links = await self._store.commit(done.commit)
        now = self._clock.now()
        self._residents.keep(done.kept)
        for key, loaded in done.kept.items():
            self._arm(turn.partitions[turn.homes[key]], key, loaded.due)
        for position in done.commit.positions:
            turn.partitions[position.id].applied(position.checkpoint)
        await self._outbox.put([trigger for _, trigger in done.commit.triggers])
        await self._outbox.tell(links)
        self._measure(done, turn, now)

    def _arm(self, partition: Partition, key: str, due: Instant | None) -> None:
        if due is not None and due < self._loaded_until:
            partition.timers.arm(key, due)
        else:
            partition.timers.disarm(key)

    async def _load_timers(self, partitions: Collection[int], start: Instant | None, end: Instant) -> None:
        """Bring timers of the next minutes into memory. ``start`` none: also everything that is overdue."""
        for number, person, due in await self._store.due_between(partitions, start, end):
            self._partitions[number].timers.arm(person, due)

    def _measure(self, done: Done, turn: Turn, now: Instant) -> None:
        metrics.STATE_BATCH.observe(len(done.commit.events) + len(turn.due))
        work.measure(done, turn, now, lambda kind, late: _LATE[kind].observe(max(0, self._lapse.real(late)) / SECOND))
        for _, trigger in done.commit.triggers:
            metrics.TRIGGERS_FIRED.labels(trigger.rule).inc()


_LATE = {"event": metrics.EVENT_LATENCY_S, "timer": metrics.TIMER_LATENESS_S}
