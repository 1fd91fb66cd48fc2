"""Everything on one machine: servers, then the setup job, then the services; and the end of it, in reverse."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import aiohttp
import asyncpg
import structlog
from msgspec import Struct

from services.local import plan
from services.local.child import Child, Report, run_job
from services.local.kept import KeptServer
from services.local.keys import Keys, load_keys
from services.local.nats import EmbeddedNats
from services.local.plan import Doors, Servers
from services.local.ports import Ports
from services.local.postgres import EmbeddedPostgres
from services.local.process import ProcessFailed
from services.local.runfile import RunFile
from shared.clock import SystemClock

log = structlog.get_logger()

DATABASE = "beckon"
_SETUP_S = 90.0
_READY_S = 90.0
_PROBE_S = 0.05
_PORT_ATTEMPTS = 3
# What takes work in stops first, what the others ask stops last. All of a stage stop at the same time.
_STAGES = (("tracker", "shop"), ("state", "throttle", "mailer", "webhook"), ("rule-evaluator", "inbox"))


class Preferred(Struct, frozen=True):
    """Ports to be had if they are free; 0: any."""

    tracker: int = 0
    inbox: int = 0
    smtp: int = 0
    shop: int = 0


class System:
    """One installation with its data in ``home``. ``start`` returns when everything is ready to take traffic.

    ``environ`` may name servers to use instead of embedded ones (``plan.ADDRESSES``) and what to run (``RULES_DIR`` …).
    ``shop``: the sample shop runs as well. ``inherit``: descriptors that stay open in every process. ``tasks`` ends, and
    everything with it, if keeping a process running fails.
    """

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        tasks: asyncio.TaskGroup,
        *,
        preferred: Preferred = Preferred(),  # noqa: B008 - frozen
        shop: bool = False,
        inherit: Sequence[int] = (),
    ) -> None:
        self.home = home
        self.logs = home / "log"
        self.doors: Doors
        self.servers: Servers
        self.keys: Keys
        self.lapse = ""
        self._environ = environ
        self._tasks = tasks
        self._preferred = preferred
        self._shop = shop
        self._inherit = inherit
        self._kept: dict[str, KeptServer] = {}
        self._children: dict[str, Child] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._ports = Ports()

    async def start(self) -> None:
        """Raises ``ProcessFailed`` with the last lines of what does not come up; stop it then, too."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.keys = load_keys(self.home / "secrets.json")
        self.lapse = self._time_lapse()
        self.servers = Servers(await self._nats(), await self._database())
        await run_job(plan.setup_job(self.keys, self.servers), self.logs, self._inherit, _SETUP_S)
        for _ in range(_PORT_ATTEMPTS):
            try:
                await self._start_programs()
            except ProcessFailed as error:
                # Somebody took a port between our look and the program's: look again.
                if "address already in use" not in str(error).casefold():
                    raise
                await self._stop_programs()
            else:
                return
        raise ProcessFailed("the programs' ports were taken by others again and again")

    def _time_lapse(self) -> str:
        """Raises ``ProcessFailed`` if what is asked for is no time-lapse, or another one than before."""
        kept = self.home / "time-lapse"
        known = kept.read_text(encoding="utf-8").strip() if kept.exists() else ""
        try:
            lapse = plan.time_lapse(self._environ.get("TIME_LAPSE", ""), known, SystemClock().now())
        except ValueError as error:
            raise ProcessFailed(str(error)) from None
        if lapse:
            kept.write_text(lapse, encoding="utf-8")
        return lapse

    def child(self, name: str) -> Child:
        return self._children[name]

    def reports(self) -> list[Report]:
        kept = [server.report() for server in self._kept.values()]
        return kept + [child.report() for child in self._children.values()]

    def run_file(self, console: str) -> RunFile:
        """``console`` is the start page's address, which is somebody else's to serve."""
        return RunFile(
            tracker=self.doors.tracker,
            console=console,
            inbox=self.doors.inbox,
            nats=self.servers.nats("setup"),
            nats_operator=self.servers.nats("operator"),
            database=self.servers.database(""),
            smtp=self.doors.smtp,
            write_key=self.keys.write_key,
            secret_key=self.keys.secret_key,
            pid=os.getpid(),
            time_lapse=self.lapse,
            shop=self.doors.shop,
        )

    async def stop(self) -> None:
        """Let the services finish what they have in hand, stage by stage, then end the servers."""
        await self._stop_programs()
        for keeping in self._keeping:
            keeping.cancel()
        # Ended, before the servers are: none of them may just be starting one again.
        await asyncio.gather(*self._keeping, return_exceptions=True)
        for server in self._kept.values():
            await server.stop()

    async def _stop_programs(self) -> None:
        for stage in _STAGES:
            children = [self._children.pop(name) for name in stage if name in self._children]
            await asyncio.gather(*(child.stop(plan.SHUTDOWN_S + 2) for child in children))

    async def _nats(self) -> Callable[[str], str]:
        if given := self._environ.get("NATS_URL"):
            return lambda _: given
        server = await EmbeddedNats.start(
            self.home / "nats",
            users_conf=plan.USERS_CONF,
            passwords=self.keys.nats,
            logs=self.logs,
            inherit=self._inherit,
        )
        self._keep(KeptServer("nats", server))
        return server.url

    async def _database(self) -> Callable[[str], str]:
        admin = self._environ.get("DATABASE_URL", "")
        if not admin:
            server = await EmbeddedPostgres.start(self.home / "postgres", logs=self.logs, inherit=self._inherit)
            self._keep(KeptServer("postgres", server))
            await _create_database(server.url())
            admin = server.url(database=DATABASE)
        return lambda role: plan.database_url(admin, role, self.keys.database[role]) if role else admin

    async def _start_programs(self) -> None:
        self.doors = self._choose_doors()
        programs = plan.services(self.keys, self.servers, self.doors, self._environ, self._ports.take, self.lapse)
        if self.doors.inbox:
            programs.append(plan.inbox(self.home / "mails", self.doors))
        if self._shop:
            programs.append(plan.shop(self.keys, self.doors, self._ports.take()))
        for program in programs:
            child = self._children[program.name] = Child(program, self.logs, self._inherit)
            self._keeping.append(self._tasks.create_task(child.run(), name=f"keep {program.name}"))
        await self._until_ready()

    def _choose_doors(self) -> Doors:
        tracker_port = self._ports.take(self._preferred.tracker)
        shop_port = self._ports.take(self._preferred.shop) if self._shop else 0
        if smtp := self._environ.get("SMTP_URL"):
            return Doors(tracker_port, 0, smtp, shop_port)
        smtp_port = self._ports.take(self._preferred.smtp)
        inbox_port = self._ports.take(self._preferred.inbox)
        return Doors(tracker_port, inbox_port, f"smtp://127.0.0.1:{smtp_port}", shop_port)

    def _keep(self, kept: KeptServer) -> None:
        self._kept[kept.name] = kept
        self._keeping.append(self._tasks.create_task(kept.run(), name=f"keep {kept.name}"))

    async def _until_ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_S
        waiting = list(self._children.values())
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while waiting:
                waiting = [child for child in waiting if not await _is_ready(http, child.program.health)]
                if hopeless := next((child.hopeless for child in waiting if child.hopeless), ""):
                    raise ProcessFailed(hopeless)
                if loop.time() > deadline:
                    late = waiting[0]
                    raise ProcessFailed(f"{late.program.name} was not ready within {_READY_S:g} s\n{late.tail()}")
                await asyncio.sleep(_PROBE_S)


async def _is_ready(http: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with http.get(address) as answer:
            return answer.status == HTTPStatus.OK
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _create_database(admin: str) -> None:
    connection = await asyncpg.connect(admin)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
