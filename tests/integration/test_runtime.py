"""How a service process starts, waits, stops and fails, on the real thing."""

import asyncio
import json
import os
import select
import signal
from pathlib import Path

import asyncpg
import pytest

from shared import db
from shared.errors import StartError
from tests.support.ports import free_port
from tests.support.stack import Service, Stack, until

ALL = ("tracker", "state", "rule_evaluator", "throttle", "mailer", "webhook")


async def missing(service: Service) -> list[str]:
    status, body = await asyncio.to_thread(service.get, "/readyz")
    return list(json.loads(body)["missing"]) if status == 503 else []


@pytest.mark.parametrize("service", ALL)
async def test_without_settings_it_says_which_and_ends(stack: Stack, service: str) -> None:
    started = await stack.start(service, wait=False, NATS_URL="", PARTITIONS="many", SMTP_URL="", WRITE_KEYS="")
    assert await started.process.wait() == 2
    lines = started.process.tail().splitlines()
    assert f"beckon {service.replace('_', '-')}: NATS_URL is not set (a text)" in lines
    assert f"beckon {service.replace('_', '-')}: PARTITIONS: 'many' is not a whole number" in lines


async def test_it_waits_for_a_nats_that_is_not_there_yet(stack: Stack) -> None:
    await stack.nats.stop()
    state = await stack.start("state", wait=False)

    async def says_so() -> bool:
        return bool(state.logged("nats_unreachable"))

    await until(says_so)
    assert (await asyncio.to_thread(state.get, "/healthz"))[0] == 200
    assert "started" in await missing(state)
    await stack.nats.restart()
    await until(lambda: asyncio.to_thread(state.ready))


async def test_it_waits_for_a_postgresql_that_is_not_there_yet(stack: Stack) -> None:
    state = await stack.start("state", wait=False, DATABASE_URL=f"postgresql://state:x@127.0.0.1:{free_port()}/beckon")

    async def says_so() -> bool:
        return bool(state.logged("postgresql_unreachable"))

    await until(says_so)
    assert "started" in await missing(state)
    assert await state.stop() == 0


async def test_it_waits_for_streams_that_are_not_declared_yet(stack: Stack) -> None:
    js = (await stack.bus("setup")).nc.jetstream()
    await js.delete_stream("EVENTS")
    state = await stack.start("state", wait=False)

    async def says_so() -> bool:
        return bool(state.logged("streams_missing"))

    await until(says_so)
    await stack.declare_streams()
    await until(lambda: asyncio.to_thread(state.ready))


async def test_readiness_names_what_went_away_and_comes_back(stack: Stack) -> None:
    state = await stack.start("state")
    await stack.nats.kill()

    async def unready() -> bool:
        return "nats" in await missing(state)

    await until(unready)
    assert (await asyncio.to_thread(state.get, "/healthz"))[0] == 200
    await stack.nats.restart()
    await until(lambda: asyncio.to_thread(state.ready))


async def test_a_signal_ends_it_cleanly_and_readiness_goes_first(stack: Stack) -> None:
    state = await stack.start("state")
    state.process.send(signal.SIGTERM)
    assert await state.process.wait() == 0
    events = [json.loads(line)["event"] for line in state.log.read_text().splitlines() if line.startswith("{")]
    assert "service_stopping" in events
    assert events[-1] == "service_stopped"


async def test_an_address_that_is_none_ends_it_with_one_line(stack: Stack) -> None:
    state = await stack.start("state", wait=False, DATABASE_URL="mysql://nowhere")
    assert await state.process.wait() == 2
    assert "beckon state: DATABASE_URL: " in state.process.tail()


# --- PostgreSQL goes away ---------------------------------------------------------------------------------------------


async def test_a_connection_on_which_the_server_said_farewell_is_away(stack: Stack) -> None:
    """The farewell has been read and the end of the connection not yet: found where a claim broke in that moment, and what
    an SMTP server had answered was not stored."""
    pool = await asyncpg.create_pool(stack.database_url("state"), min_size=1, max_size=1)
    async with pool.acquire() as connection:
        process = connection.get_server_pid()
        socket = connection._transport.get_extra_info("socket")
    os.kill(process, signal.SIGTERM)
    select.select([socket], [], [], 10)  # it arrives, while nobody reads
    for _ in range(2):  # turns of the loop: the farewell is seen, then read; the end would come in the next
        await asyncio.sleep(0)
    with pytest.raises(db.AWAY) as raised:
        await pool.fetchval("SELECT 1")
    assert raised.type is asyncpg.InternalClientError
    await pool.close()


# --- Migrations -------------------------------------------------------------------------------------------------------


async def migrate(stack: Stack, folder: Path) -> None:
    pool = await db.open_pool(stack.database_url("state"), name="t", schema="state", migrations=folder, size=1)
    await pool.close()


async def test_migrations_run_once_and_in_order(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_first.sql").write_text("CREATE TABLE state.a (n int);")
    await migrate(stack, folder)
    (folder / "002_second.sql").write_text("ALTER TABLE state.a ADD COLUMN m int;")
    await migrate(stack, folder)
    await migrate(stack, folder)
    rows = await stack.fetch("SELECT name FROM state.migrations ORDER BY number")
    assert [row["name"] for row in rows] == ["001_first.sql", "002_second.sql"]


async def test_an_edited_migration_is_refused(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_first.sql").write_text("CREATE TABLE state.a (n int);")
    await migrate(stack, folder)
    (folder / "001_first.sql").write_text("CREATE TABLE state.a (n bigint);")
    with pytest.raises(StartError, match=r"001_first\.sql of schema state was edited after it ran"):
        await migrate(stack, folder)


async def test_a_migration_that_fails_leaves_nothing_behind(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_first.sql").write_text("CREATE TABLE state.a (n int); SELECT nonsense;")
    with pytest.raises(Exception, match="nonsense"):
        await migrate(stack, folder)
    assert (
        await stack.fetch("SELECT 1 FROM information_schema.tables WHERE table_schema = 'state' AND table_name = 'a'")
        == []
    )


async def test_a_migration_without_a_number_is_refused(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "first.sql").write_text("SELECT 1;")
    with pytest.raises(StartError, match=r"first.sql of schema state: expected a name like 001_what.sql"):
        await migrate(stack, folder)


def test_queries_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "queries.sql"
    path.write_text("-- name: one  The first\nSELECT 1\n\n-- name: two  The second\nSELECT\n  2\n")
    assert db.queries(path) == {"one": "SELECT 1", "two": "SELECT\n  2"}
