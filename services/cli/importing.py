"""``beckon import FILE``: a shop's history and its customers, from CSV or lines of JSON."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli import journal as journals
from services.cli import rows
from services.cli.failure import Failure
from services.cli.importer import Import, Reader, Refused
from services.cli.infile import open_rows
from services.cli.journal import Journal
from services.cli.output import Json, print_json, say
from services.cli.posting import find_target
from services.cli.rows import Kind, Wanted
from shared.clock import Clock, SystemClock, rfc3339

TOLD = 10
"""Rejected rows that are told at most; all of them stand in a file."""
INTERRUPTED = 130


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, or one JSON object a line; compressed or not.")],
    kind: Annotated[Kind, typer.Option("--as", help="What a row of a CSV is: an event, or a customer.")] = Kind.EVENTS,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FIELD", help="What a column is: 'E-Mail=email', 'Orders=orders:number', 'Notes='."),
    ] = None,
    event: Annotated[str, typer.Option(metavar="NAME", help="What happened, where no column says it.")] = "",
    tracker: Annotated[str, typer.Option(envvar="TRACKER_URL", metavar="URL", help="Default: that of make up.")] = "",
    key: Annotated[
        str, typer.Option(envvar="SECRET_KEYS", metavar="SECRET", help="A secret key; default: that of make up.")
    ] = "",
    rate: Annotated[float, typer.Option(min=0, help="Events a second at most; 0: as fast as it goes.")] = 0,
    restart: Annotated[bool, typer.Option("--restart", help="From the beginning, whatever is stored already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look at every row and send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring in events of the past, or customers. Ended at any time, it goes on where it was."""
    target = find_target(tracker, "", _secret(key), "")
    clock = SystemClock(target.lapse)
    source = open_rows(file, kind, _wanted(column or []), event, _written(file, clock))
    how = [f"--as {kind}", *(f"--column {each!r}" for each in sorted(column or [])), f"--event {event!r}"]
    journal = journals.begin(file, how, source.begin)
    if not dry_run:
        if not target.tracker or not target.secret_key:
            raise Failure(
                "TRACKER_URL and SECRET_KEYS, or --tracker and --key, are needed where make up does not run", code=2
            )
        how.append(f"--tracker {target.tracker}")
        journal = (None if restart else journals.resume(file, how)) or journal
    told = _Told(file, journal, dry_run=dry_run, as_json=as_json)
    if journal.done:
        told.already()
        return
    with told.bar:
        reader = Reader(source, journal.place, clock)
        work = Import(file, reader, journal, progress=told.progress, refused=told.refused, waiting=told.waiting)
        try:
            if dry_run:
                work.look()
            else:
                asyncio.run(work.send(target, source, rate))
        except KeyboardInterrupt:
            raise Failure(told.interrupted(work.journal), code=INTERRUPTED) from None
        except OSError as error:  # of the files beside it
            raise Failure(f"{error.filename or file}: {error.strerror or error}") from None
    told.summary(work.journal, work.first)
    if work.journal.rejected:
        raise told.failure(work.journal)


def _secret(keys: str) -> str:
    """The first one that is not there by its hash alone: ``SECRET_KEYS`` is what the tracker reads, too."""
    return next((key for each in keys.split(",") if (key := each.strip()) and not key.startswith("sha256:")), "")


def _wanted(options: list[str]) -> dict[str, Wanted]:
    try:
        return dict(map(rows.read_option, options))
    except ValueError as error:
        raise Failure(f"--column: {error}", code=2) from None


def _written(file: Path, clock: Clock) -> str:
    """When the file was: as of then its customers are what it says."""
    now = clock.now()
    return rfc3339(min(now, file.stat().st_mtime_ns // 1000) if file.exists() else now)


class _Told:
    """What is said of an import: on stderr how it goes on, on stdout how it ended."""

    def __init__(self, file: Path, journal: Journal, *, dry_run: bool, as_json: bool) -> None:
        self._file = file
        self._before = journal
        self._dry_run = dry_run
        self._as_json = as_json
        self._began = time.monotonic()
        self._refused = 0
        self._waits = False
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = BarColumn(), DownloadColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
        self.bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self.bar.add_task("", total=journal.size)

    def progress(self, journal: Journal, position: int) -> None:
        self._waits = False
        self.bar.update(self._task, completed=position, description=f"{self._rate(journal):,.0f} events/s")

    def refused(self, refused: Refused) -> None:
        self._refused += 1
        if self._refused <= TOLD:
            self._say(f"{self._file.name} line {refused.row.number}: {refused.reason}")
        elif self._refused == TOLD + 1:
            self._say("further rows are rejected without being told here")

    def waiting(self, reason: str) -> None:
        """Said once, until something goes on."""
        if not self._waits:
            self._say(f"the tracker is waited for: {reason}")
        self._waits = True

    def already(self) -> None:
        if self._as_json:
            self.summary(self._before, b"")
        else:
            say(f"{self._file}: already imported, {_counted(self._before)}; --restart imports it again")

    def interrupted(self, journal: Journal) -> str:
        return f"stopped after {journal.rows:,} rows of {self._file}; the same command goes on from there"

    def summary(self, journal: Journal, first: bytes) -> None:
        """``first``: the first event, of a dry run."""
        seconds = time.monotonic() - self._began
        if self._as_json:
            print_json(
                {
                    "file": str(self._file),
                    "dry_run": self._dry_run,
                    "already_imported": self._before.done,
                    "rows": journal.rows,
                    "events": journal.events,
                    "rejected": journal.rejected,
                    "rejected_file": self._rejected if journal.rejected and not self._dry_run else None,
                    "first": msgspec.Raw(first or b"null"),
                    "seconds": round(seconds, 3),
                }
            )
        elif self._dry_run:
            say(f"{self._file}: {_counted(journal)}; nothing was sent")
            say(f"the first: {first.decode()}")
        else:
            say(f"{self._file}: {_counted(journal)}, {seconds:.1f} s, {self._rate(journal):,.0f} events/s")

    def failure(self, journal: Journal) -> Failure:
        where = "" if self._dry_run else f"; mend them in {self._rejected}, under another name, and import that"
        return Failure(f"{journal.rejected:,} of {journal.rows:,} rows are rejected{where}")

    @property
    def _rejected(self) -> str:
        return str(journals.beside(self._file, "rejected"))

    def _rate(self, journal: Journal) -> float:
        """Of this run."""
        return (journal.events - self._before.events) / (time.monotonic() - self._began)

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)


def _counted(journal: Journal) -> str:
    return f"{journal.rows:,} rows, {journal.events:,} events, {journal.rejected:,} rows rejected"
