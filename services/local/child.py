"""One program that is kept running: started again, with growing pauses, whenever it ends."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct

from services.local.plan import ADDRESSES, ROOT, Program
from services.local.process import Process, ProcessFailed, describe_exit, spawn

log = structlog.get_logger()

CANNOT_RUN = 2
"""The exit code by which a service says that it cannot run as it is configured."""
_LOOPS_AFTER = 3
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.2, 15.0
_LIVED_S = 30.0


class Report(Struct, frozen=True):
    """How a program is doing, for people."""

    name: str
    pid: int | None
    state: Literal["running", "waiting", "stopped"]
    restarts: int
    problem: str = ""
    """Why it last ended, with its last lines, while it is ``waiting`` to be started again."""


def restart_delay_s(ends_in_a_row: int) -> float:
    """How long to wait after the ``n``-th end, from 1, without a good run in between."""
    return min(_FIRST_DELAY_S * 2.0 ** (ends_in_a_row - 1), _LONGEST_DELAY_S)


class Child:
    """Runs ``program`` from ``run`` on until ``stop``. ``inherit``: descriptors that stay open in it."""

    def __init__(self, program: Program, logs: Path, inherit: Sequence[int]) -> None:
        self.program = program
        self._logs = logs
        self.ends_in_a_row = 0
        self._inherit = inherit
        self._restarts = 0
        self._process: Process | None = None
        self._problem = ""
        self._exit_code: int | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.exit_code is None else None

    @property
    def hopeless(self) -> str:
        """Why it will not come up, once that is clear: it cannot run as configured, or ends again and again."""
        return self._problem if self._exit_code == CANNOT_RUN or self.ends_in_a_row >= _LOOPS_AFTER else ""

    async def run(self) -> None:
        while not self._stopping:
            began = time.monotonic()
            self._process = launch(self.program, self._logs, self._inherit)
            code = await self._process.wait()
            if self._stopping:
                return
            self.ends_in_a_row = 1 if time.monotonic() - began > _LIVED_S else self.ends_in_a_row + 1
            self._exit_code = code
            self._problem = f"{self.program.name} {describe_exit(code)}\n{self._process.tail()}"
            delay_s = restart_delay_s(self.ends_in_a_row)
            log.error("process_ended", name=self.program.name, how=describe_exit(code), restart_in_s=delay_s)
            await asyncio.sleep(delay_s)
            self._restarts += 1

    def tail(self) -> str:
        """The last lines it wrote."""
        return self._process.tail() if self._process else ""

    async def stop(self, budget_s: float) -> None:
        """SIGTERM, then SIGKILL when ``budget_s`` is spent. It is not started again."""
        self._stopping = True
        if self._process is not None:
            await self._process.stop(budget_s=budget_s)

    def report(self) -> Report:
        state: Literal["running", "waiting", "stopped"] = "running" if self.pid else "waiting"
        if self._stopping and not self.pid:
            state = "stopped"
        problem = self._problem if state == "waiting" else ""
        return Report(self.program.name, self.pid, state, self._restarts, problem)


async def run_job(program: Program, logs: Path, inherit: Sequence[int], budget_s: float) -> None:
    """Run a program that ends by itself. Raises ``ProcessFailed`` if it does not, or not well."""
    process = launch(program, logs, inherit)
    try:
        async with asyncio.timeout(budget_s):
            code = await process.wait()
    except TimeoutError:
        raise ProcessFailed(f"{program.name} was not done within {budget_s:g} s\n{process.tail()}") from None
    finally:
        process.send(signal.SIGKILL)  # to nobody, if it has ended
    if code != 0:
        raise ProcessFailed(f"{program.name} {describe_exit(code)}\n{process.tail()}")


def launch(program: Program, logs: Path, inherit: Sequence[int]) -> Process:
    ours = {name: value for name, value in os.environ.items() if name not in ADDRESSES}
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    return spawn(
        program.name,
        [sys.executable, "-m", program.module],
        log=logs / f"{program.name}.log",
        env={**ours, **program.environ, "PYTHONPATH": path},
        inherit=inherit,
    )
