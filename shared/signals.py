"""How a process is told to end: SIGTERM by Kubernetes and by supervisors, SIGINT by a keyboard."""

import asyncio
import signal


def heed(stopping: asyncio.Event) -> asyncio.Event:
    """``stopping``, which is set once either comes."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
