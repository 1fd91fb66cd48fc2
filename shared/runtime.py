"""One service process: settings, logs, signals, readiness, supervised tasks, and an end one can read.

A service's ``main.py`` is a table of contents over this. A task that crashes ends the process non-zero: Kubernetes is the
next supervisor. On SIGTERM readiness turns off first; then the stop hooks run in the reverse order of their registration,
all within ``shutdown_s``; what is left is cancelled.
"""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import nats.errors
import nats.js.errors
import structlog
import uvloop

from shared import db, logs, signals, streams
from shared.bus import Bus, describe
from shared.clock import Clock, SystemClock
from shared.errors import StartError
from shared.health import Readiness, serve_health
from shared.settings import Common, SettingsError, load

log = structlog.get_logger()
S = TypeVar("S", bound=Common)
T = TypeVar("T")
Hook = Callable[[], Awaitable[None]]


class Runtime:
    def __init__(self, name: str, clock: Clock, tasks: asyncio.TaskGroup) -> None:
        self.name = name
        self.clock = clock
        self.stopping = asyncio.Event()
        self.readiness = Readiness()
        self._tasks = tasks
        self._running: set[asyncio.Task[Any]] = set()
        self._hooks: list[tuple[str, Hook]] = []

    def start(self, name: str, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``coro`` until the process ends. If it raises, the process ends with it."""
        task = self._tasks.create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def on_stop(self, name: str, hook: Hook) -> None:
        """Run ``hook`` at the end, before everything that was registered earlier."""
        self._hooks.append((name, hook))

    async def connect_bus(self, settings: Common) -> Bus:
        """Connect and wait until the streams are there. Raises ``StartError`` where waiting will not help."""
        bus = await self._until(
            "nats_unreachable", lambda: Bus.connect(settings.nats_url, self.name, settings.partitions)
        )
        self.on_stop("close nats", bus.close)
        self.start("watch nats", _end_with(bus))
        await self._until("streams_missing", lambda: streams.verify(bus.nc.jetstream(timeout=2), settings.partitions))
        self.readiness.check("nats", lambda: bus.connected)
        return bus

    async def open_pool(
        self, url: str, schema: str, migrations: Path, *, size: int = 8, settings: Mapping[str, str] | None = None
    ) -> asyncpg.Pool:
        """Connect, waiting while PostgreSQL is away, and migrate ``schema``."""
        pool = await db.open_pool(
            url, name=self.name, schema=schema, migrations=migrations, size=size, settings=settings
        )

        async def close() -> None:
            try:
                async with asyncio.timeout(3):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

        self.on_stop("close postgresql", close)
        watch = _PoolWatch(pool)
        self.readiness.check("postgresql", lambda: watch.answers)
        self.start("watch postgresql", watch.run())
        return pool

    async def _until(self, event: str, attempt: Callable[[], Awaitable[T]]) -> T:
        delay_s = 0.1
        while True:
            try:
                return await attempt()
            except (OSError, TimeoutError, nats.errors.Error, nats.js.errors.Error) as error:
                log.warning(event, retry_in_s=delay_s, **describe(error))
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 2.0)

    async def end(self, budget_s: float) -> None:
        """Run the hooks, last registered first. One that fails or takes too long does not keep the others."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + budget_s
        for name, hook in reversed(self._hooks):
            try:
                async with asyncio.timeout_at(deadline):
                    await hook()
            except TimeoutError:
                log.warning("stop_budget_spent", step=name)
            except (OSError, nats.errors.Error, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("stop_step_failed", step=name, **describe(error))
        for task in self._running:
            task.cancel()


async def _end_with(bus: Bus) -> None:
    await bus.lost()
    raise RuntimeError("NATS closed the connection for good")


class _PoolWatch:
    """Asks PostgreSQL for an answer every second, for readiness only."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.answers = True

    async def run(self) -> None:
        while True:
            try:
                await self._pool.execute("SELECT 1", timeout=3)
                self.answers = True
            except db.AWAY as error:
                if self.answers:
                    log.warning("postgresql_lost", **describe(error))
                self.answers = False
            await asyncio.sleep(1)


def main(name: str, settings: type[S], serve: Callable[[Runtime, S], Awaitable[None]]) -> None:
    """Run a service until a signal. Exit codes: 0 stopped, 1 crashed, 2 cannot run as configured."""
    try:
        loaded = load(settings)
    except SettingsError as error:
        for line in error.lines:
            print(f"beckon {name}: {line}", file=sys.stderr)  # noqa: T201 - before there are logs
        sys.exit(2)
    logs.configure(name, loaded.log_level)
    try:
        uvloop.run(run(name, loaded, serve))
    except StartError as error:
        print(f"beckon {name}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except BaseExceptionGroup as group:
        if refusals := _leaves(group, StartError):
            print(f"beckon {name}: {refusals[0]}", file=sys.stderr)  # noqa: T201
            sys.exit(2)
        for leaf in _leaves(group, BaseException):
            log.error("service_crashed", exc_info=leaf)
        sys.exit(1)


def _leaves(group: BaseException, kind: type[BaseException]) -> list[BaseException]:
    if isinstance(group, BaseExceptionGroup):
        return [leaf for part in group.exceptions for leaf in _leaves(part, kind)]
    return [group] if isinstance(group, kind) else []


async def run(name: str, settings: S, serve: Callable[[Runtime, S], Awaitable[None]]) -> None:
    """The life of a service: start, serve, stop."""
    async with asyncio.TaskGroup() as tasks:
        runtime = Runtime(name, SystemClock(settings.lapse), tasks)
        signals.heed(runtime.stopping)
        health, port = await serve_health(runtime.readiness, settings.health_host, settings.health_port)
        log.info("service_starting", health_port=port)
        try:
            if await _started_before_signal(runtime, serve(runtime, settings)):
                _collect_less()
                runtime.readiness.started()
                log.info("service_started")
                await runtime.stopping.wait()
            log.info("service_stopping")
            runtime.readiness.stopping()
        finally:
            await runtime.end(settings.shutdown_s)
            await health.cleanup()
    log.info("service_stopped")


def _collect_less() -> None:
    """Hardly anything here is cyclic garbage, and looking for it among a large live heap took a quarter of the state
    service's time. What was loaded at the start is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _started_before_signal(runtime: Runtime, serving: Coroutine[Any, Any, None] | Awaitable[None]) -> bool:
    """False if a signal came while the service was still waiting for what it needs."""
    start = asyncio.ensure_future(serving)
    stop = asyncio.create_task(runtime.stopping.wait(), name="stopping")
    try:
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            start.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await start
            return False
        await start
        return True
    finally:
        stop.cancel()
        if not start.done():
            start.cancel()
