"""PostgreSQL: the pool, the migrations, the queries beside a store."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import asyncpg
import structlog

from shared.errors import StartError

log = structlog.get_logger()
T = TypeVar("T")

_HEADED = re.compile(r"^-- name: (\w+)\b.*$", re.MULTILINE)
MIGRATION_S = 3600.0

_NUMBERED = re.compile(r"^(\d{3})_\w+\.sql$")


AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection on which the server has said farewell and which is not closed yet
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
)
"""What PostgreSQL being away, going away or held up looks like. Worth repeating."""


def queries(path: Path) -> dict[str, str]:
    """The statements of a ``.sql`` file by name. Each is headed ``-- name: decide  What it is for``."""
    text = path.read_text(encoding="utf-8")
    heads = list(_HEADED.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {head.group(1): text[head.end() : end].strip() for head, end in zip(heads, ends, strict=True)}


async def migrate(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy, schema: str, folder: Path) -> int:
    """Run the numbered files of ``folder`` that ``schema`` has not seen, a transaction each; answers how many ran.

    Replicas that start together wait for each other on an advisory lock. A file that was edited after it ran is refused
    (``StartError``): write a new one.
    """
    # A migration may take long, and whoever waits for it as well.
    await connection.execute("SET lock_timeout = 0; SET statement_timeout = 0")
    await connection.execute("SELECT pg_advisory_lock(hashtext($1))", f"beckon.{schema}", timeout=MIGRATION_S)
    try:
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {schema}.migrations"
            " (number int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, ran_at timestamptz DEFAULT now())"
        )
        rows = await connection.fetch(f"SELECT number, checksum FROM {schema}.migrations")  # noqa: S608 - our own name
        return await _run_missing(connection, schema, folder, {row["number"]: row["checksum"] for row in rows})
    finally:
        await connection.execute("SELECT pg_advisory_unlock(hashtext($1))", f"beckon.{schema}")
        await connection.execute("RESET lock_timeout; RESET statement_timeout")


async def _run_missing(
    connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy, schema: str, folder: Path, seen: dict[int, str]
) -> int:
    ran = 0
    for path in sorted(folder.glob("*.sql")):  # noqa: ASYNC240 - at start, before anything else runs
        match = _NUMBERED.match(path.name)
        if match is None:
            raise StartError(f"migration {path.name} of schema {schema}: expected a name like 001_what.sql")
        number, text = int(match.group(1)), path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if number in seen:
            if seen[number] != checksum:
                raise StartError(f"migration {path.name} of schema {schema} was edited after it ran; write a new one")
            continue
        async with connection.transaction():
            await connection.execute(text, timeout=MIGRATION_S)
            await connection.execute(
                f"INSERT INTO {schema}.migrations (number, name, checksum) VALUES ($1, $2, $3)",  # noqa: S608
                number,
                path.name,
                checksum,
            )
        log.info("migration_ran", schema=schema, migration=path.name)
        ran += 1
    return ran


async def _reset_if_needed(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> None:
    """The pool would ask the server to forget the session's state after every statement, a round trip each. Nothing here
    leaves any behind, but for a transaction that broke off."""
    if connection.is_in_transaction():
        await connection.reset()


async def insist(call: Callable[[], Awaitable[T]], waits: str) -> T:
    """The answer of a call that must come to pass, however long PostgreSQL is away. ``waits``: the log event that says so."""
    wait_s = 0.1
    while True:
        try:
            return await call()
        except AWAY as error:
            log.warning(waits, retry_in_s=wait_s, error=str(error) or type(error).__name__)
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, 2.0)


async def open_pool(
    url: str, *, name: str, schema: str, migrations: Path, size: int, settings: Mapping[str, str] | None = None
) -> asyncpg.Pool:
    """A pool on a migrated schema. Waits, and says so each few seconds, while PostgreSQL is away. ``settings``: of each
    session."""
    delay_s = 0.1
    while True:
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=size,  # a login takes 20 ms of computing (SCRAM); no message should wait for one
                max_size=size,
                max_inactive_connection_lifetime=0,
                reset=_reset_if_needed,
                command_timeout=30,
                timeout=5,
                server_settings={"application_name": f"beckon-{name}", **(settings or {})},
            )
            try:
                async with pool.acquire() as connection:
                    await migrate(connection, schema, migrations)
            except BaseException:
                pool.terminate()
                raise
        # An address that is none is a ClientConfigurationError, which is also an InterfaceError: asked for before AWAY.
        except (ValueError, asyncpg.InvalidCatalogNameError, asyncpg.ClientConfigurationError) as error:
            raise StartError(f"DATABASE_URL: {error}") from None
        except AWAY as error:
            log.warning("postgresql_unreachable", error=str(error) or type(error).__name__, retry_in_s=delay_s)
        except (asyncpg.InvalidSchemaNameError, asyncpg.InvalidAuthorizationSpecificationError) as error:
            # The setup job makes roles and schemas; it may still be on its way.
            log.warning("postgresql_not_set_up", schema=schema, error=str(error), retry_in_s=delay_s)
        else:
            return pool
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, 2.0)
