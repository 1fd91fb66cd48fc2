"""``make demo``: a system of its own in a temporary folder, shoppers, mails, and whether all of it was as it must be."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import asyncpg
from rich.console import Console
from rich.markup import escape

from services.local.demo.evidence import Evidence, NotInTime
from services.local.demo.judge import conservation
from services.local.demo.play import Expectation, Play
from services.local.demo.shop import NotAccepted, Shop
from services.local.demo.show import Show
from services.local.process import ProcessFailed
from services.local.system import System
from shared.clock import SystemClock


def demo(out: Console) -> int:
    """Answers the exit code: 0 if every expectation was met. The folder is kept if one was not."""
    home = Path(tempfile.mkdtemp(prefix="beckon-demo-"))
    home.chmod(0o711)  # PostgreSQL may have to run as somebody else, who must get through
    met = False
    try:
        met = asyncio.run(_demo(home, out))
    except* (ProcessFailed, NotInTime, NotAccepted) as failed:
        for error in failed.exceptions:
            out.print(f"[bold red]The demo broke off:[/] {escape(str(error))}", soft_wrap=True)
    except* KeyboardInterrupt:
        out.print("Stopped.")
    if met:
        shutil.rmtree(home)
        return 0
    out.print(f"The logs are in {home / 'log'}", soft_wrap=True)
    return 1


async def _demo(home: Path, out: Console) -> bool:
    out.print("[bold]Beckon[/] on real servers of its own: NATS, PostgreSQL, six services and an inbox")
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        # No environment: embedded servers, and the rules, templates and policy that ship.
        system = System(home, {}, tasks)
        try:
            await system.start()
            out.print(f"  ready after {time.monotonic() - began:.1f} s, inbox at {system.doors.inbox}\n")
            expectations = await _play(system, out)
        finally:
            await system.stop()
    missed = [one for one in expectations if one.problems]
    out.print(f"  the whole run took {time.monotonic() - began:.1f} s\n")
    colour = "red" if missed else "green"
    out.print(f"[bold {colour}]demo: {len(expectations) - len(missed)} of {len(expectations)} expectations met[/]")
    return not missed


async def _play(system: System, out: Console) -> list[Expectation]:
    run, show = system.run_file(""), Show(out)
    database = await asyncpg.connect(run.database)
    try:
        async with aiohttp.ClientSession() as http:
            evidence = Evidence(http, run.inbox, database, show.mail)
            shop = Shop(http, run.tracker, run.write_key, f"{run.inbox}/pictures", SystemClock())
            watching = asyncio.create_task(evidence.watch(), name="watch the inbox")
            try:
                expectations = await Play(shop, evidence, _pid(system)).run()
            finally:
                watching.cancel()
            counts = conservation(await evidence.fired())
            expectations.append(_conserved(counts, len(evidence.mails)))
            show.expectations(expectations)
            show.figures(counts, await evidence.stamps())
    finally:
        await database.close()
    return expectations


def _conserved(counts: dict[str, int], mails: int) -> Expectation:
    found = [f"{counts['lost']} triggers without an end"] if counts["lost"] else []
    if counts["sent"] != mails:
        found.append(f"{counts['sent']} sent, but {mails} mails in the inbox")
    return Expectation("nothing", "is lost or doubled: every trigger has one end, every mail sent is one mail", found)


def _pid(system: System) -> Callable[[], int]:
    def mailer() -> int:
        pid = system.child("mailer").pid
        if pid is None:
            raise ProcessFailed("the mailer is not running")
        return pid

    return mailer
