"""A back-test of a million events with ten rules: from a file without servers, and from recorded history on real ones."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from services.cli.offline import EventFile, backtest, read_rules
from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from services.simulate.shoppers import play
from services.tracker.lines import read_line
from shared import identity, streams, subjects
from shared.bus import encode
from shared.clock import DAY, SECOND, Instant, rfc3339, to_datetime
from shared.identity import Identities
from shared.partition import partition_of
from shared.rules import Backtest, BacktestDone, BacktestTold
from tests.bench.rules import TYPICAL
from tests.support.stack import DATABASE_PASSWORDS, NATS_PASSWORDS, ROOT, USERS_CONF, Stack

PARTITIONS = 64
START = 1_790_000_000 * SECOND
SPAN = 30 * DAY

_decode = msgspec.msgpack.Decoder(BacktestTold).decode


def rules_file(folder: Path) -> Path:
    path = folder / "rules.yaml"
    texts = [(ROOT / f"examples/rules/{name}.yaml").read_text(encoding="utf-8") for name in TYPICAL]
    path.write_text("---\n".join(texts), encoding="utf-8")
    return path


def events_file(folder: Path, events: int) -> Path:
    path = folder / "events.ndjson"
    with path.open("wb") as file:
        for at, event in itertools.islice(play(3, events // 25, START, SPAN), events):
            file.write(msgspec.json.encode({**event, "received_at": rfc3339(at)}) + b"\n")
    return path


def offline(folder: Path, events: int) -> tuple[dict[str, float], Instant]:
    """The figures, and when the last event came."""
    rules, lines = read_rules(rules_file(folder)), events_file(folder, events)
    began = time.perf_counter()
    history = EventFile(lines)
    outcome = backtest(rules, history, None, None, lambda *_: None)
    seconds = time.perf_counter() - began
    figures: dict[str, float] = {
        "file_events": outcome.events,
        "file_people": outcome.people,
        "file_firings": len(outcome.firings),
        "file_seconds": round(seconds, 1),
    }
    return figures, history.last


async def recorded(folder: Path, events: int, until: Instant) -> dict[str, float]:
    """The same events as they would be recorded, in PostgreSQL, through ``rules.backtest``."""
    nats = await EmbeddedNats.start(folder / "nats", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
    postgres = await EmbeddedPostgres.start(folder / "postgres")
    await setup.prepare(postgres.url(), DATABASE_PASSWORDS)
    stack = Stack(folder, nats, postgres, "postgres")
    try:
        bus = await stack.bus("setup")
        await streams.declare(bus.nc.jetstream(timeout=10), partitions=PARTITIONS)
        for service in ("rule_evaluator", "state", "throttle"):
            await stack.start(service, PARTITIONS=str(PARTITIONS))
        await _record(stack.database_url(), folder / "events.ndjson", events)
        return await _ask(stack, until)
    finally:
        await stack.close()
        await nats.stop()
        await postgres.stop()


async def _record(url: str, lines: Path, events: int) -> None:
    connection = await asyncpg.connect(url)
    columns = (
        *("person", "id", "name", "happened_at", "arrived_at", "sequence", "source", "trusted", "user_id"),
        *("anonymous_id", "properties", "context", "n"),
    )
    rows, counts, seen = [], dict[str, int](), set[tuple[str, str]]()
    identities, links = Identities(), list[tuple[int, str, str, str, str, Any]]()
    try:
        with lines.open("rb") as file:
            for number, line in enumerate(itertools.islice(file, events), 1):
                event, received = read_line(line, number)
                if (event.person, event.id) in seen:
                    continue
                seen.add((event.person, event.id))
                if event.user_id is not None:
                    identities.knows(event.user_id)
                if (said := identity.tie(event, event.person)) and (link := identities.link(said)):
                    links.append((0, link[0], said.person, said.kind, event.id, to_datetime(received)))
                counts[event.person] = n = counts.get(event.person, 0) + 1
                properties = msgspec.json.encode(event.properties).decode()
                times = to_datetime(event.timestamp), to_datetime(received)
                who = event.user_id, event.anonymous_id
                what = event.person, event.id, event.name
                rows.append((*what, *times, number, event.source, event.trusted, *who, properties, "{}", n))
        await connection.copy_records_to_table(
            "events", schema_name="state", records=rows, columns=columns, timeout=3600
        )
        await connection.copy_records_to_table(
            "links",
            schema_name="state",
            records=[(*link, to_datetime(0)) for link in links],
            columns=("partition", "previous", "person", "kind", "event", "tied_at", "published_at"),
        )
        people = [(partition_of(person, PARTITIONS), person, b"\x90", None) for person in counts]
        await connection.copy_records_to_table(
            "actors", schema_name="state", records=people, columns=("partition", "person", "remembered", "next_due")
        )
        await connection.execute("VACUUM ANALYZE state.events, state.actors", timeout=3600)
    finally:
        await connection.close()


async def _ask(stack: Stack, until: Instant) -> dict[str, float]:
    operator = await stack.bus("operator")
    inbox = operator.nc.new_inbox()
    subscription = await operator.nc.subscribe(inbox)
    documents = [(ROOT / f"examples/rules/{name}.yaml").read_text(encoding="utf-8") for name in TYPICAL]
    began = time.perf_counter()
    await operator.nc.publish(subjects.RULES_BACKTEST, encode(Backtest(documents=documents, until=until)), inbox)
    while True:
        told = _decode((await subscription.next_msg(timeout=120)).data)
        if isinstance(told, BacktestDone):
            return {
                "recorded_events": told.events,
                "recorded_firings": told.firings,
                "recorded_seconds": round(time.perf_counter() - began, 1),
            }


async def measure(folder: Path, events: int, say: Callable[[str], None]) -> dict[str, float]:
    say(f"  {events} events from a file …")
    found, last = offline(folder, events)
    say("  the same, recorded …")
    found |= await recorded(folder, events, last)
    assert found["recorded_firings"] == found["file_firings"], "both play the same history"
    return found
