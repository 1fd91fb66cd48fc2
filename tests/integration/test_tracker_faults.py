"""The tracker on bad connections, and while NATS or what it needs is away: what is answered 202 is stored, and nothing else is."""

import asyncio
import os
import re
import shutil
import signal
from pathlib import Path

import aiohttp
import pytest

from shared import subjects
from tests.support.stack import ROOT, Stack, until
from tests.support.tracker import SECRET, WRITE, Tracker, added

# --- Bad connections --------------------------------------------------------------------------------------------------


async def exchange(tracker: Tracker, sent: bytes, *, close: bool = False) -> bytes:
    """What comes back on a connection of its own, until the tracker closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", tracker.port)
    writer.write(sent)
    if close:
        writer.close()
        return b""
    async with asyncio.timeout(15):
        answer = await reader.read()
    writer.close()
    return answer


HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Write-Key: wk_public\r\nContent-Type: application/json\r\n"


async def test_a_body_that_does_not_come_is_408_and_one_that_breaks_off_disturbs_nobody(idle_tracker: Tracker) -> None:
    service = await idle_tracker.start(BODY_TIMEOUT_S="0.3")
    waiting = asyncio.create_task(exchange(idle_tracker, HEAD + b"Content-Length: 100\r\n\r\n{"))
    await exchange(idle_tracker, HEAD + b"Content-Length: 100\r\n\r\n{", close=True)
    garbled = await exchange(idle_tracker, HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert b" 400 " in garbled.partition(b"\r\n")[0]
    assert (await idle_tracker.post(added()))[0] == 202
    assert b" 408 " in (await waiting).partition(b"\r\n")[0]
    assert "Traceback" not in service.process.tail(1000)


async def test_what_is_not_http_is_400_and_not_quoted_in_the_log(tracker: Tracker) -> None:
    for line in (b"GET /track?user_id=\xff HTTP/1.1", b"\x16\x03\x01\x02\x00", b"GET /" + b"x" * 9000 + b" HTTP/1.1"):
        answer = await exchange(tracker, line + b"\r\nHost: secret@example.test\r\n\r\n")
        assert b" 400 " in answer.partition(b"\r\n")[0]
    assert (await tracker.post(added()))[0] == 202
    assert tracker.service is not None
    log = tracker.service.process.tail(1000)
    assert "Traceback" not in log
    assert "user_id" not in log


# --- Faults -----------------------------------------------------------------------------------------------------------


async def test_without_nats_the_answer_is_503_in_time_and_it_recovers_with_nothing_stuck(idle_tracker: Tracker) -> None:
    service = await idle_tracker.start(PUBLISH_TIMEOUT_S="1")
    assert (await idle_tracker.post(added("before")))[0] == 202
    await idle_tracker.stack.nats.kill()

    async with asyncio.timeout(5):
        answers = await asyncio.gather(
            *(idle_tracker.post(added(f"during-{number}", event_id="e")) for number in range(50))
        )
    assert {status for status, _, _ in answers} == {503}
    assert {headers["Retry-After"] for _, _, headers in answers} == {"2"}
    status, headers = await idle_tracker.pixel("user_id=u&event=x")
    assert (status, headers["Retry-After"]) == (503, "2")
    assert await asyncio.to_thread(service.get, "/readyz") == (503, '{"status": "not ready", "missing": ["nats"]}')
    assert (await asyncio.to_thread(service.get, "/healthz"))[0] == 200

    await idle_tracker.stack.nats.restart()

    async def accepted() -> bool:
        return (await idle_tracker.post(added("after", event_id="e")))[0] == 202

    await until(accepted, within_s=5)
    retried = await asyncio.gather(
        *(idle_tracker.post(added(f"during-{number}", event_id="e")) for number in range(50))
    )
    assert {status for status, _, _ in retried} == {202}
    people = [event.person for event in await idle_tracker.stored()]
    assert sorted(people) == sorted(["before", "after", *(f"during-{number}" for number in range(50))])


async def test_a_full_stream_is_503_and_never_a_false_202(idle_tracker: Tracker) -> None:
    service = await idle_tracker.start(PUBLISH_TIMEOUT_S="0.3")
    bus = await idle_tracker.stack.bus("setup")
    js = bus.nc.jetstream()
    config = (await js.stream_info(subjects.EVENTS)).config
    config.max_bytes = 5000
    await js.update_stream(config)
    accepted = []
    for number in range(20):
        status, body, _ = await idle_tracker.post(added(f"u{number}", properties={"x": "y" * 500}))
        if status == 202:
            accepted.append(f"u{number}")
        else:
            assert (status, body["error"]) == (503, "maximum bytes exceeded")
            break
    else:
        pytest.fail("the stream never became full")
    assert [event.person for event in await idle_tracker.stored()] == accepted
    assert service.logged("events_not_stored")
    assert service.metric('beckon_tracker_requests_total{call="events",outcome="unavailable"}') == 1


async def test_nats_may_come_later_than_the_tracker(idle_tracker: Tracker) -> None:
    await idle_tracker.stack.nats.kill()
    settings = {"WRITE_KEYS": WRITE, "HTTP_PORT": str(idle_tracker.port)}
    service = await idle_tracker.stack.start("tracker", wait=False, **settings)

    async def waits() -> bool:
        return bool(service.logged("nats_error") or service.logged("nats_unreachable"))

    await until(waits)
    assert not await asyncio.to_thread(service.ready)
    await idle_tracker.stack.nats.restart()
    await until(lambda: asyncio.to_thread(service.ready))
    assert (await idle_tracker.post(added()))[0] == 202


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"WRITE_KEYS": ""}, "beckon tracker: WRITE_KEYS is not set (a list separated by commas)"),
        ({"WRITE_KEYS": "k", "SECRET_KEYS": "k"}, "beckon tracker: SECRET_KEYS: 1 of them stand in WRITE_KEYS as well"),
        ({"WRITE_KEYS": "k", "PARTITIONS": "17"}, "beckon tracker: PARTITIONS is 17"),
    ],
)
async def test_a_bad_environment_stops_it_with_one_line(stack: Stack, environment: dict[str, str], line: str) -> None:
    service = await stack.start("tracker", wait=False, **environment)

    async def ended() -> bool:
        return service.process.exit_code is not None

    await until(ended)
    assert service.process.exit_code == 2
    assert line in service.process.tail(5)


async def post_for_ever(tracker: Tracker, sender: int, accepted: set[str], stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        person = f"{sender}-{number}"
        number += 1
        try:
            status, _, _ = await tracker.post(added(person))
        except (aiohttp.ClientError, ConnectionError):
            await asyncio.sleep(0)  # refused while nobody listens
            continue
        if status == 202:
            accepted.add(person)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
async def test_no_accepted_event_is_lost_when_it_ends_under_load(tracker: Tracker, how: str) -> None:
    accepted: set[str] = set()
    stop = asyncio.Event()
    senders = [asyncio.create_task(post_for_ever(tracker, sender, accepted, stop)) for sender in range(20)]

    async def many(least: int) -> bool:
        return len(accepted) >= least

    await until(lambda: many(300))
    assert tracker.service is not None
    if how == "SIGTERM":
        assert await tracker.service.stop() == 0
    else:
        await tracker.service.kill()
    before = len(accepted)
    await tracker.start()
    await until(lambda: many(before + 300))
    stop.set()
    await asyncio.gather(*senders)
    stored = {event.person for event in await tracker.stored()}
    assert accepted - stored == set()


async def test_a_request_under_way_at_sigterm_is_answered(idle_tracker: Tracker) -> None:
    """NATS is paused, so the request is surely waiting for its acknowledgement when the signal comes."""
    tracker, service = idle_tracker, await idle_tracker.start(PUBLISH_TIMEOUT_S="10")
    tracker.stack.nats.process.send(signal.SIGSTOP)
    try:
        waiting = asyncio.create_task(tracker.post(added("u1")))

        async def taken() -> bool:
            return await asyncio.to_thread(service.metric, "beckon_tracker_batch_events_count") == 1

        await until(taken)
        stopping = asyncio.create_task(service.stop())

        async def told() -> bool:
            return bool(service.logged("service_stopping"))

        await until(told)
    finally:
        tracker.stack.nats.process.send(signal.SIGCONT)
    assert (await waiting)[0] == 202
    assert await stopping == 0
    assert [event.person for event in await tracker.stored()] == ["u1"]


async def test_metrics_count_what_happened_and_the_log_names_nobody(tracker: Tracker) -> None:
    await tracker.post([added("somebody@example.test"), 7])
    await tracker.post(added("somebody@example.test"), key="wrong")
    await tracker.pixel("user_id=somebody@example.test&event=x")
    service = tracker.service
    assert service is not None

    def metric(sample: str) -> float:
        return service.metric(f"beckon_tracker_{sample}")

    samples = {
        'requests_total{call="events",outcome="accepted"}': 1,
        'requests_total{call="events",outcome="unauthorised"}': 1,
        'requests_total{call="pixel",outcome="accepted"}': 1,
        'events_total{outcome="accepted"}': 2,
        'events_total{outcome="rejected"}': 1,
        "batch_events_count": 2,
        'stage_seconds_count{stage="taken"}': 1,
        'stage_seconds_count{stage="waited"}': 2,
        'stage_seconds_count{stage="stored"}': 2,
    }
    for sample, value in samples.items():
        assert await asyncio.to_thread(metric, sample) == value, sample
    assert "somebody" not in service.process.tail(1000)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_the_documented_examples_print_what_is_documented(tracker: Tracker, tmp_path: Path) -> None:
    text = (ROOT / "docs/tracker.md").read_text(encoding="utf-8")
    examples = re.findall(r"```sh\n(curl .*?)```\n```\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 7
    for command, expected in examples:
        shell = await asyncio.create_subprocess_exec(
            *("sh", "-c", command),
            cwd=tmp_path,
            env={**os.environ, "TRACKER": tracker.url, "WRITE_KEY": WRITE, "SECRET_KEY": SECRET},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await shell.communicate()
        assert output.decode().strip() == expected.strip()
