"""A lock that also knows whether anything of an earlier run is still alive."""

import asyncio
import fcntl
import os
import time
from pathlib import Path


class Locked(Exception):
    """Somebody else holds the lock."""


class Lock:
    """An exclusive ``flock`` on a file. Children that inherit ``fd`` hold it too, and for as long as they live, so who
    gets the lock knows that nothing of an earlier run is left, however that ended. It is let go by closing the file,
    never by ``LOCK_UN``, which would take it from the children as well.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    async def acquire(cls, path: Path, *, wait_s: float = 0.0) -> "Lock":
        """Raises ``Locked`` if it is not free within ``wait_s``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return cls(fd)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    raise Locked(str(path)) from None
            except BaseException:
                os.close(fd)
                raise
            await asyncio.sleep(0.02)

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
