"""The real servers and the real service processes, for tests."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import asyncpg
import msgspec
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.local.process import Process, spawn
from shared import streams, subjects
from shared.bus import Bus
from shared.messages import Event
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
USERS_CONF = ROOT / "k8s/base/nats-users.conf"
NATS_PASSWORDS = {
    user: f"password-of-{user}".replace("-", "")
    for user in ("setup", "tracker", "state", "rule_evaluator", "throttle", "mailer", "webhook", "operator")
}
DATABASE_PASSWORDS = {role: f"password-of-{role}" for role in ("state", "rules", "throttle", "mailer", "webhook")}
SCHEMAS = {
    "state": "state",
    "rule_evaluator": "rules",
    "throttle": "throttle",
    "mailer": "mailer",
    "webhook": "webhook",
}
PARTITIONS = 16

T = TypeVar("T")


class DeadLetter(NamedTuple):
    reason: str
    subject: str
    data: bytes


async def until(condition: Callable[[], Awaitable[T]], *, within_s: float = 10.0, what: str = "") -> T:
    """The first truthy answer of ``condition``. Fails, saying what it last was, when the time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not (answer := await condition()):
        if loop.time() > deadline:
            raise AssertionError(f"not within {within_s} s: {what or condition} (last: {answer!r})")
        await asyncio.sleep(0.02)
    return answer


class Service:
    """A running service process."""

    def __init__(self, name: str, process: Process, log: Path, health_port: int) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.health_port = health_port

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its health endpoints; (0, "") if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, sample: str) -> float:
        """The value of a line of ``/metrics``; 0 if it is not there."""
        for line in self.get("/metrics")[1].splitlines():
            if line.rpartition(" ")[0] == sample:
                return float(line.rpartition(" ")[2])
        return 0.0

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of that event."""
        lines = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and f'"{event}"' in line:
                parsed = json.loads(line)
                if parsed.get("event") == event:
                    lines.append(parsed)
        return lines

    async def stop(self) -> int:
        return await self.process.stop(budget_s=25)

    async def kill(self) -> None:
        await self.process.kill()


class Stack:
    """NATS and a database of its own, with every address the services want."""

    def __init__(self, folder: Path, nats: EmbeddedNats, postgres: EmbeddedPostgres, database: str) -> None:
        self.folder = folder
        self.nats = nats
        self.postgres = postgres
        self.database = database
        self.services: list[Service] = []
        self.buses: dict[str, Bus] = {}

    async def declare_streams(self) -> None:
        bus = await self.bus("setup")
        await streams.declare(bus.nc.jetstream(timeout=5), partitions=PARTITIONS)

    def database_url(self, role: str | None = None) -> str:
        """For ``role``; without one, for the superuser."""
        if role is None:
            return self.postgres.url(database=self.database)
        return self.postgres.url(role, self.database, password=DATABASE_PASSWORDS[role])

    def environment(self, service: str) -> dict[str, str]:
        found = {
            "NATS_URL": self.nats.url(service),
            "PARTITIONS": str(PARTITIONS),
            "LOG_LEVEL": "info",
        }
        if service in SCHEMAS:
            found["DATABASE_URL"] = self.database_url(SCHEMAS[service])
        return found

    async def bus(self, user: str) -> Bus:
        """The test's connection under the NATS user of a service."""
        if user not in self.buses:
            self.buses[user] = await Bus.connect(self.nats.url(user), user.replace("_", "-"), PARTITIONS)
        return self.buses[user]

    async def start(self, service: str, *, wait: bool = True, **environment: str) -> Service:
        """Start ``python -m services.<service>`` and wait until it is ready."""
        port = free_port()
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "COV", "VIRTUAL"))
        }
        # Of no use here, and reading the machine's certificates costs a fifth of a service's start.
        kept["SSL_CERT_FILE"], kept["SSL_CERT_DIR"] = os.devnull, os.devnull
        number = len(self.services)
        log = self.folder / f"{service}-{number}.log"
        process = spawn(
            f"{service}-{number}",
            [sys.executable, "-m", f"services.{service}"],
            log=log,
            env={**kept, **self.environment(service), "HEALTH_PORT": str(port), **environment},
            cwd=ROOT,
        )
        started = Service(service, process, log, port)
        self.services.append(started)
        if wait:
            await self.ready(started)
        return started

    async def ready(self, service: Service) -> None:
        async def check() -> bool:
            if (code := service.process.exit_code) is not None:
                raise AssertionError(f"{service.name} ended with {code}:\n{service.process.tail(40)}")
            return await asyncio.to_thread(service.ready)

        try:
            await until(check, within_s=20, what=f"{service.name} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{service.process.tail(40)}") from None

    async def publish(self, *events: Event) -> None:
        """As the tracker, and whoever reports outcomes, does."""
        bus = await self.bus("setup")
        failures = await bus.publish_many([bus.event_message(event) for event in events], timeout_s=20)
        assert not any(failures), failures

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """As superuser, on this test's database."""
        connection = await asyncpg.connect(self.database_url())
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def messages(self, stream: str, type_: type[T]) -> list[T]:
        """Everything a stream holds now, decoded."""
        return [msgspec.msgpack.decode(message.data or b"", type=type_) for message in await self.raw(stream)]

    async def dead_letters(self) -> list[DeadLetter]:
        letters = []
        for message in await self.raw(subjects.DEAD):
            headers = message.headers or {}
            letters.append(DeadLetter(headers["Beckon-Reason"], headers["Beckon-Subject"], message.data or b""))
        return letters

    async def raw(self, stream: str) -> list[RawStreamMsg]:
        js = (await self.bus("setup")).nc.jetstream(timeout=5)
        state = (await js.stream_info(stream)).state
        found = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1):
            with contextlib.suppress(NotFoundError):  # taken meanwhile
                found.append(await js.get_msg(stream, sequence))
        return found

    async def keep_streams(self) -> None:
        """NATS starts again, and what it holds is kept aside."""
        now, then = self._streams()
        await self.nats.stop()
        shutil.copytree(now, then)
        await self.nats.restart()

    async def lose_streams(self) -> None:
        """NATS starts again with what was kept: whatever it has acknowledged since is gone."""
        now, then = self._streams()
        await self.nats.stop()
        shutil.rmtree(now)
        shutil.copytree(then, now)
        await self.nats.restart()

    def _streams(self) -> tuple[Path, Path]:
        return self.folder / "nats" / "jetstream", self.folder / "older"

    async def close(self) -> None:
        for service in reversed(self.services):
            if service.process.exit_code is None:
                service.process.send(signal.SIGCONT)  # SIGCONT: a paused process would not hear the next signal
                await service.process.stop(budget_s=10)
        for bus in self.buses.values():
            await bus.nc.close()
