"""``beckon import`` as a person runs it, against the real tracker and NATS, and with the services that remember."""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from shared import subjects
from shared.clock import MINUTE, SECOND, SystemClock, rfc3339
from shared.messages import Event
from shared.outcomes import IMPORTED
from shared.partition import partition_of
from shared.rules import PutRule, RulePut
from tests.support.command import Ran, beckon
from tests.support.people import person, triggers
from tests.support.stack import PARTITIONS, ROOT, Stack, until
from tests.support.tracker import SECRET, WRITE, Tracker

EVENTS = 20_000
UNACKNOWLEDGED = ConsumerConfig(ack_policy=AckPolicy.NONE)
BEGIN = 1_560_000_000
"""In 2019."""


def history(path: Path, count: int = EVENTS) -> Path:
    """Events of 500 people, one second apart."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            event = {"user_id": f"u{number % 500}", "event": "product_viewed", "timestamp": BEGIN + number}
            file.write(json.dumps(event | {"properties": {"number": number}}) + "\n")
    return path


async def bring(tracker: Tracker, path: Path, *options: str, key: str = SECRET) -> Ran:
    return await beckon(None, "import", str(path), "--tracker", tracker.url, "--key", key, *options)


class Running:
    """The command while it runs."""

    def __init__(self, path: Path, process: asyncio.subprocess.Process) -> None:
        self.path = path
        self.process = process

    def said(self) -> str:
        return self.path.with_name("stderr").read_text()

    async def has_stored(self, rows: int) -> None:
        async def check() -> bool:
            try:
                return bool(progress(self.path)["rows"] >= rows)
            except FileNotFoundError:
                return False

        await until(check, within_s=20, what=f"{rows} rows written down")

    async def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return await self.process.wait()


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(tracker: Tracker) -> AsyncIterator[Start]:
    """With the tracker and the key from the environment. Tests that run in the background may have been told to ignore SIGINT,
    as ``nohup`` does, and with them whatever they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    environment = {**os.environ, "TRACKER_URL": tracker.url, "SECRET_KEYS": f"sha256:{'0' * 64}, {SECRET}"}
    started: list[Running] = []

    async def start(path: Path, *options: str) -> Running:
        with path.with_name("stderr").open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.cli", "import", str(path), *options),
                cwd=ROOT,
                env=environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
            )
        started.append(Running(path, process))
        return started[-1]

    yield start
    for running in started:
        if running.process.returncode is None:
            await running.end(signal.SIGKILL)
    signal.signal(signal.SIGINT, before)


def progress(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_name(f"{path.name}.progress").read_bytes())
    return found


async def stored(stack: Stack) -> list[Event]:
    """As ``stack.messages``, for many."""
    js = (await stack.bus("setup")).nc.jetstream(timeout=5)
    count = (await js.stream_info(subjects.EVENTS)).state.messages
    subscription = await js.pull_subscribe("events.*.*", stream=subjects.EVENTS, config=UNACKNOWLEDGED)
    found: list[Event] = []
    while len(found) < count:
        found += [msgspec.msgpack.decode(msg.data, type=Event) for msg in await subscription.fetch(500, timeout=5)]
    await subscription.unsubscribe()
    return found


# --- Events -----------------------------------------------------------------------------------------------------------


async def test_killed_and_started_again_it_loses_and_doubles_nothing(
    tracker: Tracker, start: Start, tmp_path: Path
) -> None:
    path = history(tmp_path / "history.ndjson")
    for rows in (3_000, 9_000):
        running = await start(path, "--rate", "4000")
        await running.has_stored(rows)
        assert await running.end(signal.SIGKILL) == -signal.SIGKILL
        assert progress(path)["rows"] < EVENTS

    ended = await bring(tracker, path, "--json")
    assert (ended.code, ended.err) == (0, "")
    told = ended.json()
    assert (told["rows"], told["events"], told["rejected"], told["rejected_file"]) == (EVENTS, EVENTS, 0, None)

    events = await stored(tracker.stack)
    assert len(events) == len({event.id for event in events}) == EVENTS
    assert Counter(event.properties["number"] for event in events) == dict.fromkeys(range(EVENTS), 1)
    assert {(event.source, event.trusted) for event in events} == {(IMPORTED, True)}
    seen: dict[str, int] = {}
    for event in events:
        assert event.timestamp == (BEGIN + event.properties["number"]) * SECOND
        assert seen.get(event.person, -1) < event.properties["number"], "each person's in the order of the file"
        seen[event.person] = event.properties["number"]

    again = await bring(tracker, path)
    assert again == Ran(
        0,
        f"{path}: already imported, 20,000 rows, 20,000 events, 0 rows rejected; --restart imports it again\n",
        "",
    )
    assert (await bring(tracker, path, "--restart")).code == 0
    assert len(await stored(tracker.stack)) == EVENTS, "the same ids"


async def test_stopped_by_its_user_it_says_how_to_go_on_and_does(
    tracker: Tracker, start: Start, tmp_path: Path
) -> None:
    path = history(tmp_path / "history.ndjson")
    running = await start(path, "--rate", "500")
    await running.has_stored(1)
    assert await running.end(signal.SIGINT) == 130
    rows = progress(path)["rows"]
    assert running.said() == f"beckon: stopped after {rows:,} rows of {path}; the same command goes on from there\n"
    assert (await bring(tracker, path)).code == 0
    assert len(await stored(tracker.stack)) == EVENTS


async def test_a_tracker_that_goes_away_is_waited_for(tracker: Tracker, start: Start, tmp_path: Path) -> None:
    path = history(tmp_path / "history.ndjson", 10_000)
    running = await start(path, "--rate", "2000")
    await running.has_stored(1)
    assert tracker.service
    await tracker.service.stop()

    async def waits() -> bool:
        return "the tracker is waited for: " in running.said()

    await until(waits)
    await tracker.start()
    assert await asyncio.wait_for(running.process.wait(), 30) == 0
    assert running.said().count("\n") == 1, "said once"
    assert len({event.id for event in await stored(tracker.stack)}) == 10_000


async def test_rows_that_are_added_are_imported_alone(tracker: Tracker, tmp_path: Path) -> None:
    path = history(tmp_path / "history.ndjson", 10)
    assert (await bring(tracker, path)).code == 0
    with path.open("a") as file:
        file.write('{"user_id": "late", "event": "x", "timestamp": 0}\n')
    ended = await bring(tracker, path, "--json")
    assert (ended.json()["rows"], ended.json()["events"]) == (11, 11)
    assert [event.person for event in await stored(tracker.stack)][10:] == ["late"]
    path.write_text("another\n")
    refused = await bring(tracker, path)
    assert (refused.code, refused.out) == (2, "")
    assert "is not the file that" in refused.err


async def test_bad_rows_are_named_kept_and_can_be_mended(tracker: Tracker, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(
        "\ufeffOrder;Kunde;E-Mail;created;total\r\n"
        "1;17;Ada@Example.test;2019-12-31 14:05:00 +0100;12.50\r\n"
        "2;17;Ada@Example.test;31.12.2019;9\r\n"
        "3;;guest@example.test;2019-12-31T14:05:00Z;\r\n"
        '4;"open;x\r\n'.encode()
    )
    read = ("--event", "Order Completed", "--column", "Order=event_id", "--column", "Kunde=user_id")
    read += ("--column", "E-Mail=email", "--column", "created=timestamp")

    looked = await bring(tracker, path, *read, "--dry-run", "--json")
    assert looked.code == 1
    assert looked.json()["first"]["properties"] == {"total": 12.5}
    assert sorted(file.name for file in tmp_path.glob("orders*")) == ["orders.csv"]

    ended = await bring(tracker, path, *read)
    assert ended.code == 1
    assert ended.out.startswith(f"{path}: 4 rows, 3 events, 2 rows rejected, ")
    assert ended.err.splitlines() == [
        "orders.csv line 3: 'created' (timestamp): '31.12.2019' is neither RFC 3339 with a zone, like 2026-01-31T09:00:00Z,"
        " nor epoch seconds or milliseconds",
        "orders.csv line 5: cannot be read as CSV: unexpected end of data",
        f"beckon: 2 of 4 rows are rejected; mend them in {path}.rejected, under another name, and import that",
    ]
    mended = tmp_path / "mended.csv"
    rejected = path.with_name("orders.csv.rejected").read_text(encoding="utf-8")
    mended.write_text(
        rejected.replace("31.12.2019", "2019-12-31T12:00:00Z").replace(';"open;x', ";18;;2019-12-31T12:00:00Z;")
    )
    assert (await bring(tracker, mended, *read)).code == 0

    events = [(event.person, event.name, event.id) for event in await stored(tracker.stack) if event.name != "alias"]
    assert sorted(events) == [
        ("17", "purchased", "1"),
        ("17", "purchased", "2"),
        ("18", "purchased", "4"),
        ("guest@example.test", "purchased", "3"),
    ]


async def test_a_key_that_will_not_do_ends_it_at_once(tracker: Tracker, tmp_path: Path) -> None:
    path = history(tmp_path / "history.ndjson", 10)
    wrong = await bring(tracker, path, key="wrong")
    assert wrong.code == 1
    assert wrong.err.startswith(
        f"beckon: {tracker.url}/v1/import: the tracker answers 401 the write key is not known: "
    )
    public = await bring(tracker, path, key=WRITE)
    assert public == Ran(
        1,
        "",
        f"beckon: {tracker.url}/v1/import: the tracker answers 403 what is past is taken with a secret key only\n",
    )
    assert not path.with_name("history.ndjson.progress").exists()
    missing = await beckon(None, "import", str(path), "--tracker", tracker.url)
    assert (missing.code, missing.err.partition(",")[0]) == (2, "beckon: TRACKER_URL and SECRET_KEYS")


async def test_the_documented_examples_print_what_is_documented(tracker: Tracker, tmp_path: Path) -> None:
    text = (ROOT / "docs/import.md").read_text(encoding="utf-8")
    examples = re.findall(r"```sh\n(.*?)```\n```\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 4
    command = f'beckon() {{ {sys.executable} -m services.cli "$@" 2>&1; }}'
    for script, expected in examples:
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", f"{command}\n{script}"),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TRACKER_URL": tracker.url, "SECRET_KEYS": SECRET},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await shell.communicate()
        printed = re.sub(r"[\d.,]+ s, [\d,]+ events/s", "… s, … events/s", output.decode())
        assert printed.strip() == expected.strip()
    assert Counter(event.name for event in await stored(tracker.stack)) == {
        "purchased": 2,
        "alias": 2,  # 17 and her address are the same two in both files
        "identify": 3,
        "product_viewed": 1,
    }


# --- What comes of it -------------------------------------------------------------------------------------------------

RULES = """\
id: second
status: live
when: {event: purchased, count: {gte: 2}}
action: {email: {template: t}}
---
id: third
status: live
when: {event: purchased, count: {gte: 3}}
action: {email: {template: t}}
---
id: cart
status: live
when:
  all:
    - {event: added_to_cart, within: 24h}
    - {elapsed: 30m, since: added_to_cart}
    - {profile: city, eq: Ulm}
action: {email: {template: t}}
"""


async def test_history_and_customers_are_one_person_and_nobody_is_written_to(tracker: Tracker, tmp_path: Path) -> None:
    stack = tracker.stack
    evaluator, operator = await stack.start("rule_evaluator"), await stack.bus("operator")
    for document in RULES.split("---\n"):
        assert not (await operator.request(subjects.RULES_PUT, PutRule(document), RulePut)).errors
    state = await stack.start("state")

    async def known() -> bool:
        return state.metric("beckon_interest_revision") == 3 and bool(evaluator.logged("interest_announced"))

    await until(known)
    orders = tmp_path / "orders.csv"
    orders.write_text(
        "event,user_id,email,timestamp,total\n"
        "purchased,,ADA@example.test,2019-05-01T12:00:00Z,12.50\n"
        "purchased,17,,2020-05-01T12:00:00Z,20\n"
    )
    customers = tmp_path / "customers.csv"
    customers.write_text("user_id,email,first_name,city,orders\n17,Ada@Example.test,Ada,Ulm,2\n")
    assert (await bring(tracker, orders)).code == 0
    assert (await bring(tracker, customers, "--as", "profiles", "--column", "orders=orders:number")).code == 0

    async def one_person() -> bool:
        return len([event for event in (await person(stack, "17")).history if event.name == "purchased"]) == 2

    await until(one_person)
    for key in ("17", "ada@example.test"):
        ada = await person(stack, key)
        assert ada.profile == {"email": "Ada@Example.test", "first_name": "Ada", "city": "Ulm", "orders": 2}
        assert [event.name for event in ada.history][:2] == ["purchased", "purchased"]
    assert await stack.fetch("SELECT * FROM state.triggers") == []

    now = SystemClock().now()
    cart = {"user_id": "17", "event": "added_to_cart", "timestamp": rfc3339(now - 30 * MINUTE + SECOND)}
    assert (await tracker.post([{"user_id": "17", "event": "purchased"}, cart], key=SECRET))[0] == 202
    fired = await triggers(stack, 2)
    assert {(trigger.rule, trigger.person) for trigger in fired} == {("third", "17"), ("cart", "17")}
    assert partition_of("17", PARTITIONS) != partition_of("ada@example.test", PARTITIONS), "they came by different ways"
