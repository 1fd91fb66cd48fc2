"""``beckon simulate``: seeded shoppers, into a file or against a running system, at any speed."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from services.cli.failure import Failure
from services.cli.output import say
from services.cli.posting import Target, find_target, post, session
from services.simulate.shoppers import Played, play
from services.tracker.flaws import Flaw
from services.tracker.timestamps import MAX_AGE, parse_instant
from shared.clock import DAY, SECOND, Clock, Duration, Instant, SystemClock, rfc3339

BATCH = 200
"""Events in one request."""
TRUSTED = ("shop", "server")
"""Sources whose events a shop sends from its servers, with a secret key."""
GIVE_UP_S = 60.0
"""How long a tracker that is away is waited for."""


def simulate(
    people: Annotated[int, typer.Option(min=1, help="Shoppers.")] = 200,
    days: Annotated[float, typer.Option(min=0.01, help="Days of shopping.")] = 7,
    seed: Annotated[int, typer.Option(help="The same seed, the same shoppers.")] = 1,
    speed: Annotated[float, typer.Option(min=0, help="So many times as fast; 0: as fast as it goes.")] = 0,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="Into a file: when it begins; default: so that it ends now.")
    ] = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the events to a file, one a line.")] = None,
    tracker: Annotated[str, typer.Option(metavar="URL", help="Default: that of make up.")] = "",
    key: Annotated[str, typer.Option(help="A write key; default: that of make up.")] = "",
    secret_key: Annotated[str, typer.Option(help="For what a shop's servers send; default: that of make up.")] = "",
    time_lapse: Annotated[
        str, typer.Option(envvar="TIME_LAPSE", metavar="START@SPEED", help="The system's; default: that of make up.")
    ] = "",
) -> None:
    """Shoppers who look around, fill carts, sign in, buy and send back, on several devices.

    Against a running system time goes as the system's own: in a time-lapse as fast as that runs. Otherwise it is the past that
    is played, up to now.
    """
    span = int(days * DAY)
    with _progress() as progress:
        if out is not None:
            count = _into_file(out, seed, people, _start(start, span), span, progress)
            said = f"{count} events of {people} people in {out}"
        else:
            target = _target(tracker, key, secret_key, time_lapse)
            sent = asyncio.run(_against(target, seed, people, span, speed, progress))
            said = f"{sent} events of {people} people sent to {target.tracker}"
    say(said)


def _start(text: str, span: Duration) -> Instant:
    if not text:
        return SystemClock().now() - span
    try:
        return parse_instant("--start", text)
    except Flaw as flaw:
        raise Failure(flaw.reason, code=2) from None


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), TimeElapsedColumn(), console=console, disable=not console.is_terminal
    )


def _into_file(path: Path, seed: int, people: int, start: Instant, span: Duration, progress: Progress) -> int:
    task = progress.add_task("")
    count = 0
    try:
        with path.open("wb") as file:
            for count, (at, event) in enumerate(play(seed, people, start, span), 1):
                file.write(msgspec.json.encode({**event, "received_at": rfc3339(at)}) + b"\n")
                if count % 5000 == 0:
                    progress.update(task, description=f"{rfc3339(at)[:16]}  {count} events")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", code=2) from None
    return count


def _target(tracker: str, key: str, secret_key: str, time_lapse: str) -> Target:
    target = find_target(tracker, key, secret_key, time_lapse)
    if not target.tracker or not target.write_key:
        raise Failure("--tracker and --key are needed where make up does not run; or --out FILE", code=2)
    return target


async def _against(target: Target, seed: int, people: int, span: Duration, speed: float, progress: Progress) -> int:
    task = progress.add_task("")
    clock = SystemClock(target.lapse)
    if target.lapse.speed != 1:
        timed = _in_time(play(seed, people, clock.now(), span), clock)
    else:
        if span > MAX_AGE:
            raise Failure(f"--days {span / DAY:g} is more than the tracker takes: events of the last 30 days", code=2)
        timed = _at_speed(play(seed, people, clock.now() - span, span), clock, speed)
    sent = 0
    async with session() as http:
        async for batch in timed:
            for part, key in _by_key(batch, target):
                answer = await post(
                    http, f"{target.tracker}/v1/events", key, msgspec.json.encode(part), patience_s=GIVE_UP_S
                )
                if answer.rejected:
                    raise Failure(f"the tracker rejects an event: {answer.rejected[0].error}")
            sent += len(batch)
            progress.update(task, description=f"{rfc3339(batch[-1].at)[:16]}  {sent} events")
    return sent


async def _in_time(events: Iterator[Played], clock: Clock) -> AsyncIterator[list[Played]]:
    """As the system's clock goes."""
    batch: list[Played] = []
    for played in events:
        while played.at > clock.now():
            if batch:
                yield batch
                batch = []
            await asyncio.sleep(0.002)
        batch.append(played)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _at_speed(events: Iterator[Played], clock: Clock, speed: float) -> AsyncIterator[list[Played]]:
    """The past, so many times as fast, until it has caught up with the present."""
    began = time.monotonic()
    first: Instant | None = None
    batch: list[Played] = []
    for played in events:
        first = played.at if first is None else first
        wait_s = (played.at - first) / SECOND / speed - (time.monotonic() - began) if speed else 0.0
        if played.at > clock.now():
            break
        if batch and (wait_s > 0 or len(batch) == BATCH):
            yield batch
            batch = []
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        batch.append(played)
    if batch:
        yield batch


def _by_key(batch: list[Played], target: Target) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Runs of events that go with the same key, in order."""
    part: list[dict[str, Any]] = []
    last = ""
    for _, event in batch:
        trusted = event.get("context", {}).get("source") in TRUSTED
        key = (trusted and target.secret_key) or target.write_key
        if part and key != last:
            yield part, last
            part = []
        part.append(event)
        last = key
    if part:
        yield part, last
