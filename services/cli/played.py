"""What a back-test prints: a line for each firing, a summary for each day."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from services.cli.output import plain
from shared.clock import DAY, Instant, rfc3339, to_datetime
from shared.rules import PlayedFiring

SENT, STOPPED = "send", "stopped"


class Played:
    """Prints firings as they come and counts them. ``as_json``: one JSON object a line on stdout and nothing else there."""

    def __init__(self, *, as_json: bool, quiet: bool = False) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._days: Counter[tuple[Instant, str, str]] = Counter()
        self._verdicts = False
        self.count = 0

    def add(self, firing: PlayedFiring) -> None:
        self.count += 1
        self._verdicts = self._verdicts or bool(firing.verdict)
        self._days[firing.at // DAY * DAY, firing.rule, firing.verdict] += 1
        if self._as_json:
            typer.echo(msgspec.json.encode(_object(firing)))
        elif not self._quiet:
            stopped = f"  [{firing.reason}]" if firing.verdict not in ("", SENT) else ""
            typer.echo(f"{rfc3339(firing.at)}  {firing.rule}  {firing.person}  because {_because(firing)}{stopped}")

    def summary(self, said: str) -> None:
        """To stderr where stdout is for programs."""
        console = Console(stderr=self._as_json, highlight=False)
        table = Table("day", "rule", "fired", box=None, pad_edge=False, header_style="bold")
        if self._verdicts:
            table.add_column("would be sent", justify="right")
        for day, rule in sorted({(day, rule) for day, rule, _ in self._days}):
            counts = {verdict: count for (d, r, verdict), count in self._days.items() if (d, r) == (day, rule)}
            row = [f"{to_datetime(day):%Y-%m-%d}", plain(rule), str(sum(counts.values()))]
            table.add_row(*row, *([str(counts.get(SENT, 0))] if self._verdicts else []))
        if table.row_count:
            console.print(table)
        console.print(said, markup=False)


def _object(firing: PlayedFiring) -> dict[str, object]:
    because = [{"event_id": id_, "event": name, "timestamp": rfc3339(at)} for id_, name, at in firing.because]
    found: dict[str, object] = {
        "person": firing.person,
        "rule": firing.rule,
        "at": rfc3339(firing.at),
        "because": because,
    }
    return found | ({"throttle": firing.verdict, "reason": firing.reason} if firing.verdict else {})


def _because(firing: PlayedFiring) -> str:
    names: Iterable[str] = (f"{name} {to_datetime(at):%m-%d %H:%M:%S}" for _, name, at in firing.because[-4:])
    return ", ".join(names) or "time passed"
