"""Answering requests: endpoints of a NATS micro service, seen by ``nats micro ls``."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import nats.micro
import structlog
from msgspec import Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.micro.request import ERROR_CODE_HEADER, ERROR_HEADER, Request
from nats.micro.service import ServiceConfig

from shared import db, metrics
from shared.bus import Bus, describe, encode
from shared.errors import RequestRefused, Unavailable
from shared.runtime import Runtime

log = structlog.get_logger()

VERSION = "0.1.0"

_AWAY = "503"

Handler = Callable[[Any], Awaitable[Struct]]


class Endpoint(NamedTuple):
    """``handler`` takes a ``request`` struct and answers a struct. Raise ``RequestRefused`` to say no, with the reason."""

    subject: str
    request: type[Struct]
    handler: Handler


async def serve_endpoints(runtime: Runtime, bus: Bus, service: str, endpoints: list[Endpoint]) -> None:
    """Serve in a queue group of the service's name: each request goes to one replica."""
    micro = await nats.micro.add_service(bus.nc, ServiceConfig(name=service, version=VERSION, queue_group=service))
    for endpoint in endpoints:
        respond = _responder(bus, endpoint)

        async def handle(request: Request, respond: Callable[[bytes], Awaitable[_Answer]] = respond) -> None:
            answer = await respond(request.data)
            if answer.refusal:
                await request.respond_error(answer.code, answer.refusal)
            else:
                await request.respond(answer.data)

        name = endpoint.subject.replace(".", "-")
        await micro.add_endpoint(name=name, subject=endpoint.subject, handler=handle, queue_group=service)
    runtime.on_stop(f"stop answering as {service}", micro.stop)


class Stream(NamedTuple):
    """A request that is answered by many messages over time. ``handler`` tells each through the function it is given."""

    subject: str
    request: type[Struct]
    handler: Callable[[Any, Callable[[Struct], Awaitable[None]]], Awaitable[None]]


async def serve_stream(runtime: Runtime, bus: Bus, service: str, stream: Stream) -> None:
    """Serve in a queue group of the service's name, one request after the other: such work is long, and no hurry."""
    decode = msgspec.msgpack.Decoder(stream.request).decode
    waiting: asyncio.Queue[Msg] = asyncio.Queue()

    async def answer(msg: Msg) -> None:
        async def tell(told: Struct) -> None:
            await bus.nc.publish(msg.reply, encode(told))

        try:
            await stream.handler(decode(msg.data), tell)
        except (msgspec.DecodeError, RequestRefused) as error:
            await _refuse(bus, msg, "400", str(error))
        except (Unavailable, *db.AWAY) as error:
            log.warning("request_cannot_be_served", subject=stream.subject, **describe(error))
            await _refuse(bus, msg, _AWAY, str(error) or type(error).__name__)
        except Exception as error:  # a bug: the asker is told, and the service lives on
            log.exception("request_failed", subject=stream.subject)
            await _refuse(bus, msg, "500", f"{type(error).__name__}: {error}")

    async def work() -> None:
        while True:
            msg = await waiting.get()
            try:
                await answer(msg)
            except NatsError as error:
                log.warning("answer_lost", subject=stream.subject, **describe(error))

    subscription = await bus.nc.subscribe(stream.subject, queue=service, cb=waiting.put)
    runtime.start(f"serve {stream.subject}", work())
    runtime.on_stop(f"stop serving {stream.subject}", subscription.unsubscribe)


async def _refuse(bus: Bus, msg: Msg, code: str, reason: str) -> None:
    await bus.nc.publish(msg.reply, headers={ERROR_HEADER: _line(reason), ERROR_CODE_HEADER: code})


async def serve_subject(bus: Bus, endpoint: Endpoint) -> Subscription:
    """Serve one more subject, that comes and goes (a partition's). Requests are answered side by side.

    No queue group: who asks is heard by every process that serves the subject, and takes the first answer. So a process
    that is paused, and not yet known to be, does not swallow every other request. One that cannot answer stays silent.
    """
    respond = _responder(bus, endpoint)
    running: set[asyncio.Task[None]] = set()

    async def answer(msg: Msg) -> None:
        result = await respond(msg.data)
        if result.code == _AWAY:
            return
        headers = {ERROR_HEADER: result.refusal, ERROR_CODE_HEADER: result.code} if result.refusal else None
        try:
            await bus.nc.publish(msg.reply, result.data, headers=headers)
        except NatsError as error:
            log.warning("answer_lost", subject=endpoint.subject, **describe(error))

    async def handle(msg: Msg) -> None:
        task = asyncio.create_task(answer(msg), name=f"answer {endpoint.subject}")
        running.add(task)
        task.add_done_callback(running.discard)

    return await bus.nc.subscribe(endpoint.subject, cb=handle)


class _Answer(NamedTuple):
    data: bytes = b""
    code: str = ""
    refusal: str = ""


def _responder(bus: Bus, endpoint: Endpoint) -> Callable[[bytes], Awaitable[_Answer]]:
    decode = msgspec.msgpack.Decoder(endpoint.request).decode
    label = endpoint.subject.rstrip("0123456789").rstrip(".")
    served = {
        outcome: metrics.REQUESTS_SERVED.labels(label, outcome) for outcome in ("done", "refused", "away", "failed")
    }

    async def respond(data: bytes) -> _Answer:
        try:
            answer = _Answer(encode(await endpoint.handler(decode(data))))
        except msgspec.DecodeError as error:
            served["refused"].inc()
            return _Answer(code="400", refusal=_line(f"{endpoint.subject}: {error}"))
        except RequestRefused as error:
            served["refused"].inc()
            return _Answer(code="400", refusal=_line(error.reason))
        except (Unavailable, *db.AWAY) as error:
            served["away"].inc()
            log.warning("request_cannot_be_served", subject=endpoint.subject, **describe(error))
            return _Answer(code=_AWAY, refusal=_line(f"{endpoint.subject}: {error or type(error).__name__}"))
        except Exception as error:  # a bug: the asker is told, and the service lives on
            served["failed"].inc()
            log.exception("request_failed", subject=endpoint.subject)
            return _Answer(code="500", refusal=_line(f"{endpoint.subject}: {type(error).__name__}: {error}"))
        served["done"].inc()
        return answer

    return respond


def _line(text: str) -> str:
    return " ".join(text.split())[:1000]
