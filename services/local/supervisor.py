"""The process behind ``make up``: a system, its start page, and the signals that end it."""

import asyncio
import os
import sys
from pathlib import Path

import structlog
from aiohttp import web

from services.local.console import application
from services.local.process import ProcessFailed
from services.local.runfile import PID_FILE, RUN_FILE, write_run_file
from services.local.system import Preferred, System
from services.local.web import serve
from shared import logs, signals

log = structlog.get_logger()

PREFERRED = Preferred(tracker=8080, inbox=8025, smtp=1025, shop=8001)
CONSOLE_PORT = 8000


def supervise(home: Path, lock: int) -> int:
    """Run until SIGTERM or SIGINT. ``lock`` is the descriptor of the home's lock, which every child keeps open as well.

    Answers the exit code. While the system is ready, ``run.json`` is there.
    """
    logs.configure("local", "info")
    (home / PID_FILE).write_text(str(os.getpid()))
    exit_code = 0
    try:
        asyncio.run(_supervise(home, lock))
    except* ProcessFailed as failed:
        print(*failed.exceptions, sep="\n", file=sys.stderr)
        exit_code = 1
    return exit_code


async def _supervise(home: Path, lock: int) -> None:
    stopping = signals.heed(asyncio.Event())
    run_file = home / RUN_FILE
    async with asyncio.TaskGroup() as tasks:
        system = System(home, os.environ, tasks, preferred=PREFERRED, shop=True, inherit=[lock])
        try:
            if not await _started_before(stopping, system):
                return
            page, address = await _serve_console(system)
            write_run_file(run_file, system.run_file(address))
            log.info("system_ready", console=address)
            await stopping.wait()
            await page.cleanup()
        finally:
            run_file.unlink(missing_ok=True)
            await system.stop()
    log.info("system_stopped")


async def _serve_console(system: System) -> tuple[web.AppRunner, str]:
    app = application(system)
    try:
        page = await serve(app, CONSOLE_PORT)
    except OSError:  # somebody else's
        page = await serve(app, 0)
    return page, f"http://127.0.0.1:{page.addresses[0][1]}"


async def _started_before(stopping: asyncio.Event, system: System) -> bool:
    """False if the signal to stop came first."""
    starting = asyncio.create_task(system.start(), name="start")
    stop = asyncio.create_task(stopping.wait(), name="stop")
    await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return False
    await starting
    return True
