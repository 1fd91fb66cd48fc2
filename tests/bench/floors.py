"""What the parts can do alone on this machine, right now: the floors every figure of the product stands beside."""

import asyncio
import itertools
import multiprocessing
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec
import nats
import uvloop
from aiohttp import web
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from tests.support.load import send
from tests.support.ports import free_port

SECONDS = 5.0
PAYLOAD = os.urandom(250)


class EventIn(msgspec.Struct):
    """As the tracker's, for the bare handler to decode."""

    event: str
    user_id: str | None = None
    event_id: str | None = None
    timestamp: str | float | None = None
    properties: dict[str, object] = {}


def _serve_bare(port: int) -> None:
    decode = msgspec.json.Decoder(EventIn).decode

    async def handle(request: web.BaseRequest) -> web.Response:
        decode(await request.read())
        return web.Response(status=202, body=b'{"accepted":1,"rejected":[]}', content_type="application/json")

    async def run() -> None:
        runner = web.ServerRunner(web.Server(handle, access_log=None))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()

    uvloop.run(run())


@asynccontextmanager
async def bare_server() -> AsyncIterator[int]:
    """One aiohttp process that decodes the same struct and answers; its port."""
    port = free_port()
    server = multiprocessing.get_context("spawn").Process(target=_serve_bare, args=(port,), daemon=True)
    server.start()
    try:
        await _listens(port)
        yield port
    finally:
        server.terminate()
        server.join()


async def aiohttp_decodes() -> float:
    """Requests a second of the bare server, from the same load generator."""
    async with bare_server() as port:
        end = time.perf_counter() + SECONDS
        events = ({"user_id": f"u{n}", "event": "product_viewed", "event_id": str(n)} for n in itertools.count())
        sent = await send(port, "key", events, rate=0, until=lambda: time.perf_counter() > end)
        return len(sent.accepted) / SECONDS


async def _listens(port: int) -> None:
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise AssertionError("the bare server does not listen")


async def jetstream(folder: Path) -> tuple[float, float]:
    """Messages a second published, pipelined, each acknowledged; and pulled by 500 and acknowledged."""
    server = await EmbeddedNats.start(folder)
    try:
        nc = await nats.connect(server.url())
        js = nc.jetstream(timeout=10)
        await js.add_stream(StreamConfig(name="F", subjects=["f.*"]))
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            waiting = [await js.publish_async(f"f.{n % 64}", PAYLOAD) for n in range(500)]
            await asyncio.gather(*waiting)
            count += len(waiting)
        published = count / (time.perf_counter() - start)
        await js.add_consumer(
            "F", ConsumerConfig(durable_name="f", ack_policy=AckPolicy.EXPLICIT, max_ack_pending=5000)
        )
        subscription = await js.pull_subscribe_bind("f", stream="F")
        start, pulled = time.perf_counter(), 0
        while pulled < count and time.perf_counter() - start < SECONDS:
            for message in await subscription.fetch(500, timeout=5):
                await message.ack()
                pulled += 1
        consumed = pulled / (time.perf_counter() - start)
        await nc.close()
        return published, consumed
    finally:
        await server.stop()


async def postgresql_upserts(folder: Path) -> float:
    """Rows a second: one connection, 500 rows of 1 kB a transaction, fsync on."""
    server = await EmbeddedPostgres.start(folder)
    try:
        connection = await asyncpg.connect(server.url())
        await connection.execute(
            "CREATE TABLE f (id int, person text, data bytea, PRIMARY KEY (id, person)) WITH (fillfactor = 75)"
        )
        data, count, start = os.urandom(1000), 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            numbers = [(count + n) % 20_000 for n in range(500)]
            await connection.execute(
                "INSERT INTO f SELECT * FROM unnest($1::int[], $2::text[], $3::bytea[])"
                " ON CONFLICT (id, person) DO UPDATE SET data = excluded.data",
                [number % 64 for number in numbers],
                [f"person-{number}" for number in numbers],
                [data] * 500,
            )
            count += 500
        await connection.close()
        return count / (time.perf_counter() - start)
    finally:
        await server.stop()
