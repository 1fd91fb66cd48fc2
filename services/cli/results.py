"""``beckon results [RULE]``: what rules came to, from firing to purchase."""

from typing import Annotated, Any

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table
from shared import subjects
from shared.bus import Bus
from shared.clock import Duration, SystemClock
from shared.durations import parse_duration
from shared.rules import GetResults, ResultsFound, RuleResults

ANSWER_S = 60.0


def results(
    rule: Annotated[str, typer.Argument(metavar="[RULE]", help="Only this rule.")] = "",
    since: Annotated[str, typer.Option(metavar="DURATION", help="Of what fired in the last so long.")] = "30d",
    window: Annotated[str, typer.Option(metavar="DURATION", help="For how long a purchase counts.")] = "7d",
    as_json: Json = False,
) -> None:
    """What came of each rule: sent, opened, clicked, bought, and how much more than those held out."""
    now = SystemClock().now()
    request = GetResults(now - _duration("--since", since), _duration("--window", window), rule)
    found = run(lambda bus: _ask(bus, request))
    if as_json:
        print_json([msgspec.to_builtins(each) | {"lift": lift(each)} for each in found])
        return
    columns = (
        "rule",
        "variant",
        "fired",
        "sent",
        "opened",
        "by machine",
        "clicked",
        "unsubscribed",
        "purchases",
        "revenue",
        "lift",
    )
    print_table(columns, map(_row, found), "nothing fired")


async def _ask(bus: Bus, request: GetResults) -> list[RuleResults]:
    answer = await ask(bus, "the state service", subjects.RESULTS_GET, request, ResultsFound, timeout_s=ANSWER_S)
    return answer.rules


def _duration(option: str, text: str) -> Duration:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", code=2) from None


def lift(found: RuleResults) -> float | None:
    """By which share more of those mailed bought than of those held out; none if nobody of those did."""
    if not found.sent or not found.held_out_bought:
        return None
    return (found.sent_bought / found.sent) / (found.held_out_bought / found.held_out) - 1


def _row(found: RuleResults) -> list[str]:
    numbers: list[Any] = [found.fired, found.sent, found.opened, found.opened_by_machine, found.clicked]
    revenue = ", ".join(f"{total:,.2f} {currency}".strip() for currency, total in sorted(found.revenue.items()))
    more = lift(found)
    numbers += [found.unsubscribed, found.conversions, revenue or "-", "-" if more is None else f"{more:+.0%}"]
    return [found.rule, found.variant or "-", *map(str, numbers)]
