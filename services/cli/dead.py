"""``beckon dead list``."""

from typing import Annotated, Any

import typer
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from services.cli.connection import run
from services.cli.output import Json, print_json, print_table, shown
from shared import subjects
from shared.bus import Bus
from shared.clock import from_datetime, rfc3339

app = typer.Typer()


@app.callback()
def group() -> None:
    """Keeps ``list`` a command of its own although it is the only one."""


@app.command("list")
def list_dead(
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest.")] = 50, as_json: Json = False
) -> None:
    """What was put aside, by whom and why, the latest last."""
    letters = run(lambda bus: _latest(bus, limit))
    if as_json:
        print_json([{**letter, "at": letter["at"] and rfc3339(letter["at"])} for letter in letters])
        return
    rows = [
        (str(letter["number"]), shown(letter["at"]), letter["service"], letter["subject"], letter["reason"])
        for letter in letters
    ]
    print_table(("number", "at", "service", "subject", "reason"), rows, "no dead letters")


async def _latest(bus: Bus, limit: int) -> list[dict[str, Any]]:
    js = bus.nc.jetstream(timeout=5)
    state = (await js.stream_info(subjects.DEAD)).state
    letters: list[dict[str, Any]] = []
    for number in range(state.last_seq, max(state.first_seq, 1) - 1, -1):
        if len(letters) == limit:
            break
        try:
            letters.append(_letter(await js.get_msg(subjects.DEAD, number)))
        except NotFoundError:
            continue  # taken out meanwhile
    return letters[::-1]


def _letter(message: RawStreamMsg) -> dict[str, Any]:
    headers = message.headers or {}
    return {
        "number": message.seq,
        "at": from_datetime(message.time) if message.time else None,
        "service": (message.subject or "").removeprefix("dead."),
        "subject": headers.get("Beckon-Subject", ""),
        "reason": headers.get("Beckon-Reason", ""),
        "bytes": len(message.data or b""),
    }
