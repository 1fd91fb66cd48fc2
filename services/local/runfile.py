"""``run.json``: where everything is, for people, tools and tests. It is there exactly while the system is ready."""

from pathlib import Path

import msgspec
from msgspec import Struct

from services.local.keys import write_private

PID_FILE = "supervisor.pid"
RUN_FILE = "run.json"


class RunFile(Struct, frozen=True):
    """Addresses and keys. ``nats`` and ``database`` are the administrator's; ``nats_operator`` is for the command line.
    ``inbox`` is empty where the mails go to a server of yours."""

    tracker: str
    console: str
    inbox: str
    nats: str
    nats_operator: str
    database: str
    smtp: str
    write_key: str
    secret_key: str
    pid: int
    """The supervisor."""
    time_lapse: str = ""
    """As in ``TIME_LAPSE``, if time does not run as it does elsewhere."""
    shop: str = ""
    """The sample shop, where it runs."""


def write_run_file(path: Path, run: RunFile) -> None:
    write_private(path, msgspec.json.format(msgspec.json.encode(run)) + b"\n")


def read_run_file(path: Path) -> RunFile | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunFile)
    except FileNotFoundError:
        return None
