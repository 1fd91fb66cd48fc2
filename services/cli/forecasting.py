"""``beckon policy forecast FILE``: what a policy would have made of the triggers of the last days."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table, read, say
from shared import subjects
from shared.clock import SystemClock
from shared.durations import parse_duration
from shared.policies import Replay, Replayed

ANSWER_S = 120.0


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A policy.")],
    since: Annotated[str, typer.Option(metavar="DURATION", help="Of what came in the last so long.")] = "7d",
    as_json: Json = False,
) -> None:
    """What a policy would have stopped, put off and let through, beside what was sent."""
    try:
        begin = SystemClock().now() - parse_duration(since)
    except ValueError as error:
        raise Failure(f"--since: {error}", code=2) from None
    request = Replay(read(file), begin)
    told = run(lambda bus: ask(bus, "the throttle", subjects.POLICY_REPLAY, request, Replayed, timeout_s=ANSWER_S))
    if as_json:
        print_json(msgspec.to_builtins(told))
    elif not told.errors:
        _print(told, since)
    if told.errors:
        raise Failure("\n".join(f"{file}: {error}" for error in told.errors))


def _print(told: Replayed, since: str) -> None:
    say(f"{told.triggers} triggers in the last {since}: {told.sent} were sent, {told.would_send} would have been")
    if not told.triggers:
        return
    say(f"{told.gained} more would have been sent, {told.lost} of those sent would not have been")
    rows = [
        (one.part, one.says, _of(one.stopped, told.triggers), _of(one.put_off, told.triggers)) for one in told.parts
    ]
    print_table(("part", "says", "would have stopped", "put off"), rows, "")
    rules = [
        (one.rule, str(one.triggers), str(one.sent), str(one.would_send), _parts(one.stopped)) for one in told.rules
    ]
    print_table(("rule", "triggers", "sent", "would be sent", "stopped by"), rules, "")
    for note in _notes(told):
        say(note)


def _notes(told: Replayed) -> Iterator[str]:
    """What cannot be known."""
    if told.zones_unknown:
        yield (
            f"the time zone of {told.zones_unknown} of these is not on record, since the policy did not ask for it then:"
            " the default is taken"
        )
    if told.gained:
        yield "what would have become of those that were not sent is not known: all of them count towards the caps"


def _of(count: int, triggers: int) -> str:
    return f"{count} of {triggers}" if count else "-"


def _parts(stopped: dict[str, int]) -> str:
    return ", ".join(f"{part} {count}" for part, count in sorted(stopped.items())) or "-"
