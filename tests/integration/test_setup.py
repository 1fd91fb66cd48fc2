"""The setup job as a process, on servers that are bare, set up already, refusing, late or full."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.local.process import Process, spawn
from shared import streams, subjects
from shared.bus import Bus
from tests.support.stack import NATS_PASSWORDS, ROOT, USERS_CONF, until

ROLES = ("state", "rules", "throttle", "mailer", "webhook")
PASSWORDS = {role: f'{role}\'s "word" @/:%' for role in ROLES}
_numbers = itertools.count(1)


class Outcome(NamedTuple):
    code: int
    output: str

    def made(self) -> dict[str, str]:
        """What its log says of each thing: ``{"role state": "created", …}``."""
        events = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return {
            f"{kind} {event[kind]}": event["outcome"]
            for event in events
            for kind in ("role", "schema", "stream")
            if kind in event
        }


class Bare:
    """A PostgreSQL of this module's own (roles belong to a server, not to a database), a new database and a new NATS."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, nats: EmbeddedNats, database: str) -> None:
        self.folder = folder
        self.postgres = postgres
        self.nats = nats
        self.database = database

    def start(self, **environment: str) -> Process:
        ours = {
            "NATS_URL": self.nats.url("setup"),
            "DATABASE_URL": self.postgres.url(database=self.database),
            "SETUP_TIMEOUT_S": "20",
            **{f"{role.upper()}_DB_PASSWORD": password for role, password in PASSWORDS.items()},
        }
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PATH", "HOME", "COV", "VIRTUAL"))
        }
        return spawn(
            "setup",
            [sys.executable, "-m", "services.setup"],
            log=self.folder / f"setup-{next(_numbers)}.log",
            env={**kept, **ours, **environment},
            cwd=ROOT,
        )

    async def run(self, **environment: str) -> Outcome:
        process = self.start(**environment)
        return Outcome(await process.wait(), process.tail(200))

    async def connect(self, role: str, password: str | None = None) -> asyncpg.Connection:
        word = PASSWORDS[role] if password is None else password
        return await asyncpg.connect(self.postgres.url(role, self.database, password=word))

    async def execute(self, *statements: str) -> None:
        """As superuser."""
        await _execute(self.postgres, *statements, database=self.database)


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    server = asyncio.run(EmbeddedPostgres.start(tmp_path_factory.mktemp("setup"), fsync=False))
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def bare(tmp_path: Path, own_postgres: EmbeddedPostgres) -> AsyncIterator[Bare]:
    name = f"shop_{next(_numbers)}"
    await _execute(own_postgres, f"CREATE DATABASE {name}")
    nats = await EmbeddedNats.start(tmp_path / "nats", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
    yield Bare(tmp_path, own_postgres, nats, name)
    await nats.stop()
    roles = [f"DROP ROLE IF EXISTS {role}" for role in (*ROLES, "owner", "guest")]
    await _execute(own_postgres, f"DROP DATABASE {name} WITH (FORCE)", *roles)


async def _execute(postgres: EmbeddedPostgres, *statements: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(postgres.url(database=database))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_bare_servers_get_everything_and_a_second_run_changes_nothing(bare: Bare) -> None:
    first = await bare.run()
    things = [f"role {role}" for role in ROLES] + [f"schema {role}" for role in ROLES]
    things += ["stream DEAD", "stream KV_INTEREST", "stream SENDS", "stream TRIGGERS", "stream EVENTS"]
    assert first.code == 0, first.output
    assert first.made() == dict.fromkeys(things, "created")

    second = await bare.run()
    assert second.code == 0, second.output
    assert {what: made.partition(",")[0] for what, made in second.made().items()} == dict.fromkeys(things, "kept")


async def test_two_jobs_at_once_take_turns(bare: Bare) -> None:
    outcomes = await asyncio.gather(bare.run(), bare.run())
    assert [outcome.code for outcome in outcomes] == [0, 0], outcomes


async def test_a_role_may_use_its_own_schema_and_nothing_else(bare: Bare) -> None:
    await bare.run()
    mailer = await bare.connect("mailer")
    state = await bare.connect("state")
    guest = bare.postgres.url("guest", bare.database, password="x")
    await bare.execute("CREATE ROLE guest LOGIN PASSWORD 'x'")
    try:
        await mailer.execute("CREATE TABLE deliveries (id int)")
        assert await mailer.fetchval("SELECT count(*) FROM mailer.deliveries") == 0
        for statement in (
            "TABLE mailer.deliveries",
            "CREATE TABLE mailer.mine (id int)",
            "CREATE TABLE public.mine (id int)",
            "CREATE TEMPORARY TABLE mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            "ALTER ROLE mailer PASSWORD 'mine'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await state.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await asyncpg.connect(guest)
    finally:
        await mailer.close()
        await state.close()


async def test_a_role_cannot_keep_others_waiting(bare: Bare) -> None:
    await bare.run()
    state = await bare.connect("state")
    names = ("search_path", "idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
    assert [await state.fetchval(f"SHOW {name}") for name in names] == ["state", "5s", "5s", "30s"]
    await state.close()


async def test_running_it_with_a_new_password_rolls_that_out(bare: Bare) -> None:
    await bare.run()
    assert (await bare.run(STATE_DB_PASSWORD="another")).code == 0
    with pytest.raises(asyncpg.InvalidPasswordError):
        await bare.connect("state")
    await (await bare.connect("state", "another")).close()


async def test_the_owner_of_the_database_with_createrole_is_enough(bare: Bare) -> None:
    await bare.execute(
        "CREATE ROLE owner LOGIN CREATEROLE PASSWORD 'x'", f"ALTER DATABASE {bare.database} OWNER TO owner"
    )
    url = bare.postgres.url("owner", bare.database, password="x")
    for _ in range(2):
        outcome = await bare.run(DATABASE_URL=url)
        assert outcome.code == 0, outcome.output
    await (await bare.connect("rules")).close()
    # Or nothing of theirs could be removed after the test.
    await bare.execute("ALTER DATABASE " + bare.database + " OWNER TO postgres", "DROP OWNED BY owner CASCADE")


async def test_a_user_who_may_not_make_roles_is_told_what_it_takes(bare: Bare) -> None:
    await bare.execute("CREATE ROLE guest LOGIN PASSWORD 'x'")
    outcome = await bare.run(DATABASE_URL=bare.postgres.url("guest", bare.database, password="x"))
    assert outcome.code == 2
    assert "DATABASE_URL: permission denied" in outcome.output
    assert "superuser, or the owner of the database with CREATEROLE" in outcome.output
    assert "Traceback" not in outcome.output


async def test_a_role_that_may_more_or_a_schema_of_somebody_else_is_refused_and_nothing_is_made(bare: Bare) -> None:
    await bare.execute("CREATE ROLE throttle SUPERUSER")
    outcome = await bare.run()
    assert (outcome.code, "role throttle is there already" in outcome.output) == (2, True), outcome.output
    with pytest.raises(asyncpg.InvalidPasswordError):
        await bare.connect("state")

    await bare.execute("DROP ROLE throttle", "CREATE SCHEMA rules")
    outcome = await bare.run()
    assert (outcome.code, "schema rules is there already and belongs to postgres" in outcome.output) == (2, True)


async def test_what_cannot_be_done_as_configured_is_said_in_one_line(bare: Bare) -> None:
    assert (await bare.run()).code == 0
    for variable, value, told in (
        ("PARTITIONS", "32", "PARTITIONS is 32, but stream EVENTS was made for 64"),
        ("STREAM_REPLICAS", "3", "STREAM_REPLICAS above 1 needs a cluster"),
        ("EVENTS_MAX_BYTES", str(10**15), "must fit JetStream's max_file_store"),
        ("NATS_URL", "nowhere", "NATS_URL: expected nats://"),
        ("DATABASE_URL", "nowhere", "DATABASE_URL: invalid DSN"),
    ):
        outcome = await bare.run(**{variable: value})
        assert outcome.code == 2, outcome.output
        (line,) = [line for line in outcome.output.splitlines() if not line.startswith("{")]
        assert told in line


async def test_every_missing_variable_is_named(bare: Bare) -> None:
    outcome = await bare.run(NATS_URL="", MAILER_DB_PASSWORD="")
    assert outcome.code == 2
    assert [line.split()[2] for line in outcome.output.splitlines()] == ["NATS_URL", "MAILER_DB_PASSWORD"]


async def test_a_wrong_user_or_password_is_no_reason_to_wait(bare: Bare) -> None:
    for told, environment in (
        ("Authorization Violation", {"NATS_URL": bare.nats.url("setup").replace("password", "wrong")}),
        ("permissions violation", {"NATS_URL": bare.nats.url("tracker")}),
        ("password authentication failed", {"DATABASE_URL": bare.postgres.url("postgres", password="wrong")}),
        ("does not exist", {"DATABASE_URL": bare.postgres.url(database="elsewhere")}),
    ):
        outcome = await bare.run(**environment)
        assert (outcome.code, told in outcome.output) == (2, True), outcome.output


async def test_it_waits_for_servers_that_come_up_later(bare: Bare) -> None:
    await bare.nats.stop()
    await bare.postgres.stop()
    job = bare.start()

    async def waits_for(server: str) -> bool:
        return f'"server":"{server}"' in job.tail(200)

    await until(lambda: waits_for("PostgreSQL"), what="it waits for PostgreSQL")
    await bare.postgres.restart()
    await until(lambda: waits_for("NATS"), what="it waits for NATS")
    await bare.nats.restart()
    assert await job.wait() == 0, job.tail()


async def test_it_gives_up_on_a_server_that_does_not_come_up(bare: Bare) -> None:
    await bare.nats.stop()
    outcome = await bare.run(SETUP_TIMEOUT_S="1")
    assert outcome.code == 1
    assert outcome.output.splitlines()[-1].startswith("beckon setup: NATS did not come up in time")


async def test_new_sizes_are_applied_and_keep_what_is_there(bare: Bare) -> None:
    await bare.run()
    tracker = await Bus.connect(bare.nats.url("tracker"), "tracker", 64)
    setup = await Bus.connect(bare.nats.url("setup"), "setup", 64)
    try:
        await tracker.nc.jetstream().publish("events.0.site", b"x")
        outcome = await bare.run(EVENTS_MAX_BYTES="1000000")
        assert (outcome.made()["stream EVENTS"], outcome.made()["stream DEAD"]) == ("changed", "kept")
        info = await setup.nc.jetstream().stream_info(subjects.EVENTS)
        assert (info.config.max_bytes, info.state.messages) == (1_000_000, 1)
        assert (info.config.metadata or {})[streams.PARTITIONS_KEY] == "64"
    finally:
        await tracker.nc.close()
        await setup.nc.close()
