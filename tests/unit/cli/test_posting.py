"""Sending to a tracker that is busy, away, or none at all."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.cli import posting
from services.cli.failure import Failure
from services.cli.importer import Import, Reader, Refused
from services.cli.infile import open_rows
from services.cli.journal import begin, beside
from services.cli.posting import Answer, Target, find_target, post, session
from services.cli.rows import Kind
from services.tracker.events import Rejected
from shared.clock import Lapse, SystemClock

EVENTS = b'[{"event":"x"},{"event":"y"}]'


class Moody:
    """A server that answers one request after the other as it is told to, and then stores whatever comes."""

    def __init__(self) -> None:
        self.answers: list[web.Response] = []
        self.bodies: list[list[dict[str, Any]]] = []
        self.waits: list[str] = []
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        assert request.headers["Content-Encoding"] == "gzip"
        assert request.headers["X-Write-Key"] == "sk"
        self.bodies.append(json.loads(gzip.decompress(await request.read())))
        return (
            self.answers.pop(0) if self.answers else web.json_response({"accepted": len(self.bodies[-1])}, status=202)
        )

    async def post(self, patience_s: float = 60) -> Answer:
        async with session() as http:
            return await post(http, self.url, "sk", EVENTS, patience_s=patience_s, waiting=self.waits.append)

    async def refusal(self, patience_s: float = 60) -> str:
        with pytest.raises(Failure) as failure:
            await self.post(patience_s)
        return str(failure.value).replace(self.url, "URL")


@pytest.fixture
async def moody() -> AsyncIterator[Moody]:
    moody = Moody()
    runner = web.ServerRunner(web.Server(moody.answer, auto_decompress=False))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    moody.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield moody
    await runner.cleanup()


async def test_what_the_tracker_says_is_answered(moody: Moody) -> None:
    moody.answers.append(web.json_response({"accepted": 1, "rejected": [{"index": 1, "error": "no"}]}, status=202))
    assert await moody.post() == Answer(1, [Rejected(1, "no")])
    refused = [{"index": 0, "error": "no"}, {"index": 1, "error": "never"}]
    moody.answers.append(web.json_response({"error": "none", "accepted": 0, "rejected": refused}, status=400))
    assert await moody.post() == Answer(0, [Rejected(0, "no"), Rejected(1, "never")], "none")
    assert moody.bodies == [json.loads(EVENTS)] * 2


async def test_a_busy_tracker_is_asked_again_when_it_says(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "FIRST_PAUSE_S", 0.001)
    moody.answers = [
        web.json_response({"error": "too many events"}, status=429, headers={"Retry-After": "1"}),
        web.Response(text="<html>", status=502),
        web.json_response({"error": "full"}, status=503, headers={"Retry-After": "soon"}),
    ]
    assert (await moody.post()).accepted == 2
    assert moody.waits == [
        "the tracker answers 429 too many events",
        "the tracker answers 502",
        "the tracker answers 503 full",
    ]
    moody.answers = [web.json_response({"error": "busy"}, status=429, headers={"Retry-After": "100"})]
    assert await moody.refusal(10) == "URL does not take events: the tracker answers 429 busy", (
        "sooner than it was asked to"
    )


async def test_nobody_is_waited_for_for_ever(moody: Moody) -> None:
    moody.url = "http://127.0.0.1:9"
    assert (await moody.refusal(0.3)).startswith("URL does not take events: Cannot connect")
    assert moody.waits
    moody.url = "http://"
    assert (await moody.refusal()).startswith("URL: ")
    assert len(moody.waits) <= 2


@pytest.mark.parametrize("status", [200, 301, 401, 403, 404, 413, 500])
async def test_what_will_not_get_better_ends_it(moody: Moody, status: int) -> None:
    moody.answers.append(web.json_response({"error": "because"}, status=status, headers={"Location": "/"}))
    assert await moody.refusal() == f"URL: the tracker answers {status} because"
    assert moody.waits == []


# --- An import --------------------------------------------------------------------------------------------------------


async def test_what_only_the_tracker_refuses_is_rejected_with_its_row(moody: Moody, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "user_id,email,timestamp,event\n1,a@example.test,2024-01-01T00:00:00Z,x\n1,,soon,x\n1,,2024-01-01T00:00:00Z,z\n"
    )
    source = open_rows(path, Kind.EVENTS, {})
    told: list[Refused] = []
    work = Import(
        path,
        Reader(source, source.begin, SystemClock()),
        begin(path, [], source.begin),
        progress=lambda journal, position: None,
        refused=told.append,
        waiting=moody.waits.append,
    )
    both = [{"index": 0, "error": "event: not here"}, {"index": 1, "error": "event: nor this"}]
    moody.answers.append(web.json_response({"accepted": 1, "rejected": both}, status=202))
    await work.send(Target(moody.url, "", "sk", Lapse()), source, rate=0)
    assert [(one.row.number, one.reason.partition(":")[0]) for one in told] == [(2, "event"), (3, "timestamp")]
    assert (work.journal.rows, work.journal.events, work.journal.rejected) == (3, 1, 2)
    _, first, second = beside(path, "rejected").read_text().splitlines()
    assert first == '"line 2: event: not here",1,a@example.test,2024-01-01T00:00:00Z,x', (
        "once, though both its events were"
    )
    assert second.startswith('"line 3: timestamp: ')


async def test_a_rate_is_kept(moody: Moody, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"user_id":"1","event":"x","timestamp":0}\n' * 100)
    source = open_rows(path, Kind.EVENTS, {})
    work = Import(
        path,
        Reader(source, source.begin, SystemClock()),
        begin(path, [], source.begin),
        progress=lambda journal, position: None,
        refused=lambda refused: None,
        waiting=moody.waits.append,
    )
    before = SystemClock().now()
    await work.send(Target(moody.url, "", "sk", Lapse()), source, rate=500)
    assert SystemClock().now() - before > 190_000, "100 events at 500 a second"


# --- Where it is ------------------------------------------------------------------------------------------------------


def test_keys_of_make_up_are_for_its_own_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_target("", "", "", "") == Target("", "", "", Lapse())
    (tmp_path / ".beckon").mkdir()
    run = {
        "tracker": "http://127.0.0.1:1",
        "write_key": "w",
        "secret_key": "s",
        "time_lapse": "2026-01-01T00:00:00Z@60",
    }
    (tmp_path / ".beckon/run.json").write_text(json.dumps(run))
    here = Target("http://127.0.0.1:1", "w", "s", Lapse.parse("2026-01-01T00:00:00Z@60"))
    assert find_target("", "", "", "") == here
    assert find_target("http://127.0.0.1:1", "", "mine", "") == here._replace(secret_key="mine")
    assert find_target("https://elsewhere.example/", "", "", "") == Target("https://elsewhere.example", "", "", Lapse())
    with pytest.raises(Failure, match="--time-lapse: "):
        find_target("", "", "", "fast")
