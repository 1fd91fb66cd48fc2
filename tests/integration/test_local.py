"""The whole system on this machine: up, down, killed, twice at once, on somebody else's servers."""

import asyncio
import json
import os
import re
import signal
import smtplib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from services.local.lock import Lock
from services.local.nats import EmbeddedNats
from services.local.plan import ADDRESSES, EXAMPLES
from services.local.ports import Ports
from services.local.postgres import EmbeddedPostgres
from services.local.process import Process, alive, spawn
from services.local.system import System

CLEAN = {name: value for name, value in os.environ.items() if name not in ADDRESSES}


def start(command: str, home: Path, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "services.local", command],
        env={**CLEAN, "BECKON_HOME": str(home), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and output. The output ends when the command does: nothing that it started keeps it open."""
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


def run(command: str, home: Path, **environ: str) -> tuple[int, str]:
    return finish(start(command, home, **environ))


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


def get_json(url: str) -> Any:
    return json.loads(get(url))


def until(what: str, happened: Callable[[], Any], within_s: float = 60) -> Any:
    deadline = time.monotonic() + within_s
    while not (result := happened()):
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        time.sleep(0.05)
    return result


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home with a space"
    yield home
    run("down", home)


def fill_cart(addresses: dict[str, str], person: str, due_in_s: float) -> None:
    cart = {"product_id": "mug", "name": "Stoneware mug", "price": 24.5, "currency": "EUR"}
    events = [
        {"user_id": person, "event": "identify", "properties": {"email": f"{person}@example.com"}},
        {"user_id": person, "event": "added_to_cart", "timestamp": time.time() - 1800 + due_in_s, "properties": cart},
    ]
    request = urllib.request.Request(
        f"{addresses['tracker']}/v1/events",
        json.dumps(events).encode(),
        {"Content-Type": "application/json", "X-Write-Key": addresses["write_key"]},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202


def mails_to(addresses: dict[str, str], person: str) -> list[dict[str, Any]]:
    mails = get_json(f"{addresses['inbox']}/api/mails?limit=1000")["mails"]
    return [mail for mail in mails if mail["recipients"] == [f"{person}@example.com"]]


def test_up_twice_at_once_killed_up_again_and_down(home: Path) -> None:
    endings = [finish(process) for process in [start("up", home), start("up", home)]]
    assert [code for code, _ in endings] == [0, 0], endings
    assert sorted("is up already" in output for _, output in endings) == [False, True]

    addresses = json.loads((home / "run.json").read_text())
    assert all(str(addresses[name]) in endings[0][1] for name in ("tracker", "console", "shop", "inbox", "write_key"))
    assert (home / "run.json").stat().st_mode & 0o777 == 0o600
    assert b"<title>Beckon</title>" in get(addresses["console"])
    assert b"Harbour Goods" in get(f"{addresses['shop']}/products/mug")
    config = get_json(f"{addresses['shop']}/config.json")
    assert config == {name: addresses[name] for name in ("tracker", "write_key", "inbox")}
    status = get_json(f"{addresses['console']}/api/status")
    assert addresses["secret_key"] not in json.dumps(status)
    processes = {process["name"]: process for process in status["processes"]}
    assert {process["state"] for process in processes.values()} == {"running"}

    # One that dies is started again, on the port it had.
    os.kill(processes["inbox"]["pid"], signal.SIGKILL)
    until("the inbox came back", lambda: _answers(f"{addresses['inbox']}/readyz"))

    # The supervisor is killed with a cart half way to its mail: nothing stays behind, and nothing is lost.
    fill_cart(addresses, "ada", due_in_s=3)
    pids = [process["pid"] for process in get_json(f"{addresses['console']}/api/status")["processes"]]
    os.kill(addresses["pid"], signal.SIGKILL)
    lock = asyncio.run(Lock.acquire(home / "lock", wait_s=10))
    assert not [pid for pid in pids if alive(pid)]
    lock.release()
    assert run("down", home) == (0, "Nothing is running.\n")

    assert run("up", home)[0] == 0
    addresses = json.loads((home / "run.json").read_text())
    (mail,) = until("the mail came", lambda: mails_to(addresses, "ada"))
    first_link = re.search(rb'href="([^"]+)"', get(f"{addresses['inbox']}/mails/{mail['id']}/html"))
    assert first_link is not None
    with urllib.request.urlopen(first_link[1].decode(), timeout=5) as answer:
        assert answer.url.startswith(addresses["shop"])
    assert run("status", home)[0] == 0

    code, output = run("down", home)
    assert (code, "Stopped after" in output) == (0, True), output
    assert not (home / "run.json").exists()
    assert run("status", home)[0] == 1
    assert len(list((home / "mails").glob("*.eml"))) == 1, "one mail, once"


def test_what_cannot_run_as_configured_is_told_by_up(home: Path) -> None:
    code, output = run("up", home, MAIL_FROM="nobody in particular")
    assert code == 1
    assert "MAIL_FROM" in output
    assert "mailer ended with exit code 2" in output
    assert run("down", home) == (0, "Nothing is running.\n")


def test_down_while_it_is_on_its_way_up(home: Path) -> None:
    up = start("up", home)
    until("the supervisor started", lambda: (home / "supervisor.pid").exists() and (home / "secrets.json").exists())
    assert run("down", home)[0] == 0
    assert finish(up)[0] == 1


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    nats = await EmbeddedNats.start(tmp_path / "given nats")
    postgres = await EmbeddedPostgres.start(tmp_path / "given postgres", fsync=False)
    yield {"NATS_URL": nats.url(), "DATABASE_URL": postgres.url(), "SMTP_URL": "smtp://127.0.0.1:9"}
    await nats.stop()
    await postgres.stop()


async def test_servers_that_are_given_are_used(tmp_path: Path, servers: dict[str, str]) -> None:
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(90):
        system = System(tmp_path / "home", servers, tasks)
        starting = asyncio.create_task(system.start())
        try:
            # The mailer is never ready, since nobody listens where the mails are to go; so this is as far as it gets.
            while not (tracker := _tracker(system)) or not await asyncio.to_thread(_answers, tracker):
                assert not starting.done(), starting.exception()
                await asyncio.sleep(0.05)
            run_file = system.run_file("")
            assert (run_file.nats, run_file.database, run_file.smtp) == tuple(servers.values())
            assert run_file.inbox == ""
            names = {report.name for report in system.reports()}
            assert names == {"tracker", "state", "rule-evaluator", "throttle", "mailer", "webhook"}
        finally:
            starting.cancel()
            await system.stop()


def _tracker(system: System) -> str:
    """Its health address, once it was started."""
    names = [report.name for report in system.reports()]
    return system.child("tracker").program.health if "tracker" in names else ""


class TestInbox:
    @pytest.fixture
    def ports(self) -> tuple[int, int]:
        ports = Ports()
        return ports.take(), ports.take()

    def start(self, folder: Path, ports: tuple[int, int], **environ: str) -> Process:
        ours = {"INBOX_FOLDER": str(folder / "mails"), "SMTP_PORT": str(ports[0]), "HTTP_PORT": str(ports[1])}
        pictures = {"PICTURES_DIR": str(EXAMPLES / "shop/pictures")}
        return spawn(
            "inbox",
            [sys.executable, "-m", "services.local.inbox"],
            log=folder / "inbox.log",
            env={**CLEAN, **ours, **pictures, **environ},
        )

    async def test_a_mail_is_shown_as_a_person_sees_it_and_survives(
        self, tmp_path: Path, ports: tuple[int, int]
    ) -> None:
        url = f"http://127.0.0.1:{ports[1]}"
        inbox = self.start(tmp_path, ports)
        until("the inbox is ready", lambda: _answers(f"{url}/readyz"))
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "shop@example.test", "ada@example.test", "Grüße"
        message.set_content(".a dot first\n")
        message.add_alternative("<html><head></head><script>alert(1)</script></html>", subtype="html")
        with smtplib.SMTP("127.0.0.1", ports[0]) as smtp:
            smtp.send_message(message)

        assert await inbox.stop() == 0
        inbox = self.start(tmp_path, ports)
        until("the inbox is ready", lambda: _answers(f"{url}/readyz"))
        listed = get_json(f"{url}/api/mails")
        assert (listed["total"], listed["mails"][0]["subject"]) == (1, "Grüße")
        assert get_json(f"{url}/api/mails/1")["text"].strip() == ".a dot first"
        with urllib.request.urlopen(f"{url}/mails/1/html", timeout=5) as answer:
            assert answer.headers["Content-Security-Policy"].startswith("sandbox allow-popups")
            assert "script-src" not in answer.headers["Content-Security-Policy"]
            assert b'<base target="_blank">' in answer.read()
        assert b"Subject: =?utf-8?" in get(f"{url}/mails/1/source")
        assert get(f"{url}/pictures/mug.png").startswith(b"\x89PNG")
        for page in ("/", "/pages/inbox.js", "/pages/style.css"):
            assert get(url + page)
        assert _status(f"{url}/api/mails/2") == 404
        assert _status(f"{url}/api/mails?after=x") == 400
        assert _status(f"{url}/pictures/../inbox.log") == 404
        await inbox.stop()

    async def test_a_bad_setting_is_named(self, tmp_path: Path, ports: tuple[int, int]) -> None:
        inbox = self.start(tmp_path, ports, KEEP_MAILS="0", PICTURES_DIR=str(tmp_path))
        assert await inbox.wait() == 1
        assert "beckon inbox: KEEP_MAILS must be at least 1" in inbox.tail()


def _answers(url: str) -> bool:
    return _status(url) == 200


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
