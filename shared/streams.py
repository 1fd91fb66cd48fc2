"""The JetStream streams, declared in one place.

``services.setup`` calls ``declare``; every other service calls ``verify`` at its start and waits until that passes.

========  =======================================  ============================================
stream    subjects                                 keeps
========  =======================================  ============================================
EVENTS    ``events.<partition>.site|outcome``      7 days, for readers that come back by position
TRIGGERS  ``triggers.<partition>``                 until the throttle has decided
SENDS     ``sends.email``, ``sends.webhook``       until delivered
DEAD      ``dead.<service>``                       30 days
========  =======================================  ============================================

Beside them stands the key-value bucket INTEREST: what the rules in force need to know of people, the latest word only.

A stream that is full refuses new messages (``discard: new``): the publisher gets an error at once and nothing that was
acknowledged goes away. That rules out scheduled messages, which the server allows only with ``discard: old``: what must
wait is given back with a delay instead. ``allow_direct`` stays off: a direct get may be answered by a replica that lags behind, and the
state service asks for the last message of a partition in order to know that it has read everything.
"""

import contextlib
from typing import Literal, TypeAlias

from msgspec import Struct
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from shared import subjects
from shared.errors import StartError

PARTITIONS_KEY = "beckon.partitions"
DAY_S = 86_400.0
DUPLICATE_WINDOW_S = 120.0
MIB = 2**20

_NO_ROOM, _NOT_CLUSTERED = 10047, 10074
_HINTS = {
    _NO_ROOM: "the sum of the *_MAX_BYTES must fit JetStream's max_file_store",
    _NOT_CLUSTERED: "STREAM_REPLICAS above 1 needs a cluster",
}

Outcome: TypeAlias = Literal["created", "changed", "kept"]


class Sizes(Struct, frozen=True):
    """Bytes that each stream may take. JetStream reserves them: their sum must fit its ``max_file_store``."""

    events: int = 2048 * MIB
    triggers: int = 256 * MIB
    sends: int = 256 * MIB
    dead: int = 256 * MIB


def declarations(partitions: int, replicas: int = 1, sizes: Sizes = Sizes()) -> list[StreamConfig]:  # noqa: B008 - frozen
    """The streams in the order in which they are made: EVENTS, which ``verify`` looks for, comes last."""
    return [
        _stream(subjects.DEAD, ["dead.*"], sizes.dead, replicas, max_age=30 * DAY_S),
        _bucket(replicas),
        _work_queue(subjects.SENDS, [subjects.SENDS_EMAIL, subjects.SENDS_WEBHOOK], sizes.sends, replicas),
        _work_queue(subjects.TRIGGERS, [subjects.ALL_TRIGGERS], sizes.triggers, replicas),
        _stream(
            subjects.EVENTS,
            ["events.*.*"],
            sizes.events,
            replicas,
            max_age=7 * DAY_S,
            metadata={PARTITIONS_KEY: str(partitions)},
        ),
    ]


async def declare(
    js: JetStreamContext,
    *,
    partitions: int,
    replicas: int = 1,
    sizes: Sizes = Sizes(),  # noqa: B008 - frozen
) -> dict[str, Outcome]:
    """Make the streams, or bring them up to date; answers what was done to each. Repeating it changes nothing.

    Raises ``StartError`` if EVENTS was made for another number of partitions, or if the server refuses a stream (no room,
    fewer servers than replicas, a property that cannot be changed); ``nats.errors.Error`` or
    ``nats.js.errors.Error`` if JetStream does not answer.
    """
    with contextlib.suppress(NotFoundError):  # the first start
        await verify(js, partitions)
    return {config.name or "": await _declare(js, config) for config in declarations(partitions, replicas, sizes)}


async def verify(js: JetStreamContext, partitions: int) -> None:
    """Raises ``NotFoundError`` while the streams are not there yet, and ``StartError`` if they were made for another
    number of partitions: a person would be looked for in the wrong one."""
    info = await js.stream_info(subjects.EVENTS)
    made_for = (info.config.metadata or {}).get(PARTITIONS_KEY)
    if made_for != str(partitions):
        raise StartError(
            f"PARTITIONS is {partitions}, but stream {subjects.EVENTS} was made for {made_for or 'an unknown number'}:"
            " the number is fixed at the first start, set it to that"
        )


async def partitions(js: JetStreamContext) -> int:
    """The number of partitions everything was set up with. Raises ``NotFoundError``."""
    info = await js.stream_info(subjects.EVENTS)
    return int((info.config.metadata or {}).get(PARTITIONS_KEY, "64"))


def _stream(
    name: str,
    stream_subjects: list[str],
    max_bytes: int,
    replicas: int,
    *,
    max_age: float,
    retention: RetentionPolicy = RetentionPolicy.LIMITS,
    metadata: dict[str, str] | None = None,
) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=stream_subjects,
        retention=retention,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=max_bytes,
        max_age=max_age,
        num_replicas=replicas,
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_atomic=True,
        metadata=metadata,
    )


def _bucket(replicas: int) -> StreamConfig:
    """A key-value bucket as NATS ADR-8 lays it down."""
    return StreamConfig(
        name=subjects.INTEREST_STREAM,
        subjects=[f"$KV.{subjects.INTEREST}.>"],
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=16 * MIB,
        max_msgs_per_subject=1,
        duplicate_window=DUPLICATE_WINDOW_S,
        num_replicas=replicas,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
    )


def _work_queue(name: str, stream_subjects: list[str], max_bytes: int, replicas: int) -> StreamConfig:
    return _stream(name, stream_subjects, max_bytes, replicas, max_age=0, retention=RetentionPolicy.WORK_QUEUE)


async def _declare(js: JetStreamContext, config: StreamConfig) -> Outcome:
    try:
        try:
            current = (await js.stream_info(config.name or "")).config
        except NotFoundError:
            await js.add_stream(config)
            return "created"
        if not _differs(current, config):
            return "kept"
        await js.update_stream(config)
        return "changed"
    except APIError as error:
        if error.code == 400 or error.err_code in _HINTS:
            hint = _HINTS.get(error.err_code or 0)
            raise StartError(f"stream {config.name}: {error.description}" + (f" ({hint})" if hint else "")) from None
        raise


def _differs(current: StreamConfig, wanted: StreamConfig) -> bool:
    """Whether a declared property is otherwise on the server, which adds properties and metadata of its own."""
    for name, value in vars(wanted).items():
        there = getattr(current, name)
        if name == "metadata":
            if not (value or {}).items() <= (there or {}).items():
                return True
        elif value is not None and value != there:
            return True
    return False
