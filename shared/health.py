"""The endpoints an orchestrator asks: ``/healthz``, ``/readyz`` and ``/metrics``.

Liveness watches only the process itself: a restart does not mend a database that is away. Readiness watches what the
service needs, and turns off first of all when it shuts down.
"""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Probe = Callable[[], bool]


class Readiness:
    """Ready when started, not stopping, and every probe says yes."""

    def __init__(self) -> None:
        self._probes: dict[str, Probe] = {"started": lambda: self._started, "running": lambda: not self._stopping}
        self._started = False
        self._stopping = False

    def check(self, name: str, probe: Probe) -> None:
        self._probes[name] = probe

    def started(self) -> None:
        self._started = True

    def stopping(self) -> None:
        self._stopping = True

    def missing(self) -> list[str]:
        return [name for name, probe in self._probes.items() if not probe()]


async def serve_health(readiness: Readiness, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Start serving; answers the runner to clean up and the port (of use where ``port`` is 0)."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        missing = readiness.missing()
        status = {"status": "not ready", "missing": missing} if missing else {"status": "ready"}
        return web.json_response(status, status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, runner.addresses[0][1]
