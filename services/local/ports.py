"""Ports for programs that must be told theirs."""

import errno
import random
import socket

# Below the range from which the kernel takes ports for outgoing connections, so that none of those can be in the way later.
_FREE = range(20_000, 32_000)
_ATTEMPTS = 200


class Ports:
    """Hands out ports of 127.0.0.1 that nobody listens on, each one once."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self, preferred: int = 0) -> int:
        """``preferred`` if it is free, else another. Raises ``OSError`` if there is none."""
        choice = random.Random()  # noqa: S311 - a port is no secret
        candidates = [preferred] if preferred else []
        candidates += (choice.choice(_FREE) for _ in range(_ATTEMPTS))
        for port in candidates:
            if port not in self._given and _is_free(port):
                self._given.add(port)
                return port
        raise OSError(errno.EADDRINUSE, "no free port found on 127.0.0.1")


def _is_free(port: int) -> bool:
    """Also of programs that listen on every address."""
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - only to see whether it is taken
        with socket.socket() as probe:
            # As the servers do: what is left of closed connections is not in their way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
