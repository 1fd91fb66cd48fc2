"""Ports for servers of a test."""

import socket
from collections import deque

_kept: deque[socket.socket] = deque(maxlen=100)


def free_port() -> int:
    """Nobody else is given it before its server listens: it stays bound, and not listened at, which only one who asks for
    this very port, and for SO_REUSEADDR as servers do, may pass over."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    if len(_kept) == _kept.maxlen:
        _kept[0].close()
    _kept.append(holder)
    return int(holder.getsockname()[1])
