"""Real servers for every test that wants them: PostgreSQL once, a database and a NATS server each time."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from tests.support.ports import free_port
from tests.support.stack import DATABASE_PASSWORDS, NATS_PASSWORDS, USERS_CONF, Stack
from tests.support.tracker import Tracker

# Collecting the garbage of thousands of tests takes half a second at times, in whichever test it happens. What must not take
# long is measured by itself, in processor time.
settings.register_profile("beckon", deadline=None)
settings.load_profile("beckon")

_TEMPLATE = "beckon_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server, with a database set up as the setup job does it, to copy from."""
    server = asyncio.run(_start_postgres(tmp_path_factory.mktemp("postgres")))
    yield server
    asyncio.run(server.stop())


async def _start_postgres(folder: Path) -> EmbeddedPostgres:
    server = await EmbeddedPostgres.start(folder, fsync=False, max_connections=300)
    await _execute(server, f"CREATE DATABASE {_TEMPLATE}")
    await setup.prepare(server.url(database=_TEMPLATE), DATABASE_PASSWORDS)
    return server


async def _execute(server: EmbeddedPostgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(autouse=True)
def _watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watching which lines the processes of a test reach takes half as long again; those marked ``unwatched`` reach what
    others do as well."""
    if request.node.get_closest_marker("unwatched"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The name of a database of this test's own."""
    name = f"test_{next(_numbers)}"
    await _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
    yield name
    await _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[EmbeddedNats]:
    """A server of this test's own, with a user per service."""
    server = await EmbeddedNats.start(tmp_path / "nats", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
    yield server
    await server.stop()


@pytest.fixture
async def stack(
    tmp_path: Path, nats_server: EmbeddedNats, postgres: EmbeddedPostgres, database: str
) -> AsyncIterator[Stack]:
    """Both servers with the streams declared; services are started by the test."""
    stack = Stack(tmp_path, nats_server, postgres, database)
    await stack.declare_streams()
    yield stack
    await stack.close()


@pytest.fixture
async def idle_tracker(stack: Stack) -> AsyncIterator[Tracker]:
    """Not started yet."""
    tracker = Tracker(stack, free_port())
    yield tracker
    await tracker.http.close()


@pytest.fixture
async def tracker(idle_tracker: Tracker) -> Tracker:
    await idle_tracker.start()
    return idle_tracker
