"""A real PostgreSQL from its wheel, on 127.0.0.1, without Unix sockets (their paths may have 107 bytes at most)."""

import secrets
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from services.local.lock import Lock
from services.local.process import Process, ProcessFailed, spawn
from services.local.unprivileged import Account, account_for, installation

SUPERUSER = "postgres"
_PORT_ATTEMPTS = 5
_STATUS_LINE = 7


class EmbeddedPostgres:
    """A running server. ``stop`` and ``kill`` end it; ``restart`` brings it back on the same port with the same data."""

    def __init__(
        self,
        folder: Path,
        *,
        fsync: bool,
        max_connections: int,
        account: Account | None,
        logs: Path | None,
        inherit: Sequence[int],
    ) -> None:
        self._folder = folder.resolve()
        self._fsync = fsync
        self._max_connections = max_connections
        self._logs = logs or self._folder
        self._inherit = inherit
        self._account = account or account_for(self._folder)
        self._install = installation(self._account)
        self._process: Process
        self._lock: Lock
        self._password = ""
        self.port = 0

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        port: int = 0,
        fsync: bool = True,
        max_connections: int = 100,
        account: Account | None = None,
        logs: Path | None = None,
        inherit: Sequence[int] = (),
    ) -> "EmbeddedPostgres":
        """Start on the cluster in ``folder``, which is made if need be; ``port`` 0 takes a free one.

        ``fsync=False`` is for tests: the cluster does not survive a power failure. ``account``: whom it runs as,
        if not ``account_for(folder)``; ``logs``: where its log goes, ``folder`` if not given; ``inherit``: see ``spawn``.
        Raises ``ProcessFailed``, also where the port is taken, and ``Locked`` if another server keeps the folder for more
        than 10 s.
        """
        server = cls(folder, fsync=fsync, max_connections=max_connections, account=account, logs=logs, inherit=inherit)
        await server._start(port)
        return server

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def process(self) -> Process:
        return self._process

    def url(self, role: str | None = None, database: str = "postgres", *, password: str = "") -> str:
        """The address for ``role`` with its ``password``; without a role, for the superuser."""
        word = password if role else self._password
        login = quote(role or SUPERUSER) + (f":{quote(word, safe='')}" if word else "")
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database)}"

    async def stop(self) -> None:
        """Cut the connections, write everything down, end."""
        await self._process.stop(signal.SIGINT, budget_s=30)
        self._lock.release()

    async def kill(self) -> None:
        """As a crash would. Its children notice by themselves, a moment later: waits until the last of them has."""
        await self._process.kill()
        self._lock.release()
        (await Lock.acquire(self._folder / "lock", wait_s=10)).release()

    async def restart(self) -> None:
        """Start again after ``stop``, ``kill`` or a crash; stops it first if it runs."""
        await self.stop()
        await self._start(self.port)

    async def _start(self, port: int) -> None:
        self._lock = await Lock.acquire(self._folder / "lock", wait_s=10)
        try:
            data = await self._cluster()
            for attempt in range(1, _PORT_ATTEMPTS + 1):
                self.port = port or free_port()
                try:
                    await self._launch(data)
                    return
                except ProcessFailed as error:
                    # Somebody may have taken the free port in the meantime.
                    if port or attempt == _PORT_ATTEMPTS or "Address already in use" not in str(error):
                        raise
        except BaseException:
            self._lock.release()
            raise

    async def _cluster(self) -> Path:
        """The data folder, made by initdb on the first start. A half-made one never gets the name."""
        home = self._account.home
        password_file = home / "superuser-password"
        data = home / "data"
        if not data.exists():
            unfinished = home / "data.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            password_file.write_text(secrets.token_hex(16))
            self._account.give(password_file)
            await self._initdb(unfinished, password_file)
            unfinished.rename(data)
        self._password = password_file.read_text()
        # Nothing of an earlier run is alive, says the lock; its process id may belong to somebody else by now.
        (data / "postmaster.pid").unlink(missing_ok=True)
        return data

    async def _initdb(self, data: Path, password_file: Path) -> None:
        initdb = spawn(
            "initdb",
            [
                *self._account.prefix,
                self._install / "bin/initdb",
                *("--pgdata", data, "--username", SUPERUSER, "--pwfile", password_file, "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions"),
                *(() if self._fsync else ("--no-sync",)),
            ],
            log=self._logs / "initdb.log",
            inherit=[self._lock.fd, *self._inherit],
            user=self._account.uid,
            cwd=self._account.home,
        )
        if await initdb.wait() != 0:
            raise ProcessFailed(f"initdb failed\n{initdb.tail()}")

    async def _launch(self, data: Path) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "max_connections": self._max_connections,
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
        }
        self._process = spawn(
            "postgres",
            [
                *self._account.prefix,
                *(self._install / "bin/postgres", "-D", data),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            log=self._logs / "postgres.log",
            inherit=[self._lock.fd, *self._inherit],
            # An immediate shutdown: its children end with it, and the next start replays the log.
            death_signal=signal.SIGQUIT,
            user=self._account.uid,
            cwd=self._account.home,
        )
        await self._process.ready(lambda: self._is_ready(data / "postmaster.pid"), budget_s=60)

    def _is_ready(self, lock_file: Path) -> bool:
        """As ``pg_ctl --wait`` finds it out: the status is on the eighth line of the server's lock file."""
        try:
            lines = lock_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > _STATUS_LINE and lines[0] == str(self.pid) and lines[_STATUS_LINE].strip() == "ready"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
