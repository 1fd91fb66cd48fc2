"""``beckon rules backtest``: what rules would have done, with a file of events or with what Beckon has recorded."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from nats.aio.msg import Msg
from nats.micro.request import ERROR_HEADER
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.cli.connection import run
from services.cli.failure import Failure
from services.cli.offline import EventFile, backtest, distinct, read_policy, read_rules
from services.cli.output import Json, read
from services.cli.played import Played
from services.tracker.flaws import Flaw
from services.tracker.timestamps import parse_instant
from shared import markup, subjects
from shared.bus import Bus, encode
from shared.clock import Instant
from shared.rules import Backtest, BacktestDone, BacktestFirings, BacktestProgress, BacktestRefused, BacktestTold

SILENT_S = 60.0
"""A back-test tells how far it is each second. After so long without a word its replica is gone."""

_decode = msgspec.msgpack.Decoder(BacktestTold).decode


def command(
    rules: Annotated[
        list[str], typer.Argument(metavar="RULES...", help="Files of rules; without --events also ids of stored ones.")
    ],
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Events, one JSON object a line; no server is needed then.")
    ] = None,
    until: Annotated[str, typer.Option(metavar="TIME", help="RFC 3339; default: the last event, or now.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Tell only firings from then on.")] = "",
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --events: what this policy would have let through.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the summary.")] = False,
    as_json: Json = False,
) -> None:
    """What the rules would have done: each firing, and a summary for each day."""
    bounds = _instant("--since", since), _instant("--until", until)
    played = Played(as_json=as_json, quiet=quiet)
    with _progress() as progress:
        if events is not None:
            said = _offline(rules, events, policy, bounds, played, progress)
        elif policy is not None:
            raise Failure("--policy goes with --events: recorded history is put to the policy in force", code=2)
        else:
            said = run(lambda bus: _recorded(bus, _request(rules, *bounds), played, progress))
    played.summary(said)


def _instant(option: str, text: str) -> Instant | None:
    try:
        return parse_instant(option, text) if text else None
    except Flaw as flaw:
        raise Failure(flaw.reason, code=2) from None


def _progress() -> Progress:
    """On stderr, where it disturbs nobody, and only where somebody looks."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _offline(
    rules: list[str],
    events: Path,
    policy: Path | None,
    bounds: tuple[Instant | None, Instant | None],
    played: Played,
    progress: Progress,
) -> str:
    parsed = distinct([rule for path in rules for rule in read_rules(Path(path))], ", ".join(rules))
    task = progress.add_task("events")
    outcome = backtest(
        parsed,
        EventFile(events),
        bounds[1],
        read_policy(policy) if policy is not None else None,
        lambda count, of: progress.update(task, completed=count, total=of),
    )
    for firing in outcome.firings:
        if firing.at >= (bounds[0] or 0):
            played.add(firing)
    return f"{played.count} firings in {outcome.events} events of {outcome.people} people"


def _request(rules: list[str], since: Instant | None, until: Instant | None) -> Backtest:
    request = Backtest(since=since, until=until)
    for rule in rules:
        path = Path(rule)
        if path.is_file():
            try:
                request.documents += markup.load_all(read(path))
            except markup.MarkupError as error:
                raise Failure(f"{path}: {error}", code=2) from None
        elif path.suffix:
            raise Failure(f"{path}: no such file", code=2)
        else:
            request.rules.append(rule)
    return request


async def _recorded(bus: Bus, request: Backtest, played: Played, progress: Progress) -> str:
    task = progress.add_task("partitions")
    waiting: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = bus.nc.new_inbox()
    await bus.nc.subscribe(inbox, cb=waiting.put)
    await bus.nc.publish(subjects.RULES_BACKTEST, encode(request), inbox)
    while True:
        match await _next(waiting):
            case BacktestProgress() as told:
                description = f"{told.events} events, {told.firings} firings; partitions"
                progress.update(task, description=description, completed=told.partitions, total=told.of_partitions)
            case BacktestFirings(firings=firings):
                for firing in firings:
                    played.add(firing)
            case BacktestRefused(errors=errors):
                raise Failure("\n".join(errors))
            case BacktestDone() as done:
                return f"{done.firings} firings in {done.events} events of {done.people} people, {done.seconds:.1f} s"


async def _next(waiting: "asyncio.Queue[Msg]") -> BacktestTold:
    try:
        async with asyncio.timeout(SILENT_S):
            msg = await waiting.get()
    except TimeoutError:
        raise Failure(f"the rule-evaluator has not said a word for {SILENT_S:g} s") from None
    if msg.headers and msg.headers.get("Status") == "503":
        raise Failure("the rule-evaluator does not answer: it is not running")
    if msg.headers and (refusal := msg.headers.get(ERROR_HEADER)):
        raise Failure(f"the rule-evaluator says no: {refusal}")
    told: BacktestTold = _decode(msg.data)
    return told
