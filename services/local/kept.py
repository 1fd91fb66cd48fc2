"""An embedded server that is kept running."""

import asyncio
from typing import Literal

import structlog

from services.local.child import Report, restart_delay_s
from services.local.lock import Locked
from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.local.process import ProcessFailed, describe_exit

log = structlog.get_logger()


class KeptServer:
    """Brings a server back, on its port and with its data, whenever it ends; until ``stop``."""

    def __init__(self, name: str, server: EmbeddedNats | EmbeddedPostgres) -> None:
        self.name = name
        self.server = server
        self._stopping = False
        self._restarts = 0
        self._problem = ""

    @property
    def pid(self) -> int | None:
        return self.server.pid if self.server.process.exit_code is None else None

    async def run(self) -> None:
        ends_in_a_row = 0
        while not self._stopping:
            code = await self.server.process.wait()
            if self._stopping:
                return
            ends_in_a_row += 1
            delay_s = restart_delay_s(ends_in_a_row)
            self._problem = f"{self.name} {describe_exit(code)}\n{self.server.process.tail()}"
            log.error("process_ended", name=self.name, how=describe_exit(code), restart_in_s=delay_s)
            await asyncio.sleep(delay_s)
            try:
                await self.server.restart()
            except (ProcessFailed, Locked) as error:
                log.error("server_not_restarted", name=self.name, error=str(error))
                continue
            ends_in_a_row = 0
            self._restarts += 1

    async def stop(self) -> None:
        self._stopping = True
        await self.server.stop()

    def report(self) -> Report:
        state: Literal["running", "waiting", "stopped"] = "running" if self.pid else "waiting"
        if self._stopping and not self.pid:
            state = "stopped"
        return Report(self.name, self.pid, state, self._restarts, self._problem if state == "waiting" else "")
