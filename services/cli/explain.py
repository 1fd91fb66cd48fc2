"""``beckon explain PERSON [RULE]``: why a rule fired for a person, or did not, and what comes next."""

from typing import Annotated, Any

import msgspec
import typer
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import ENDLESS, Json, print_json, say, shown
from shared import streams, subjects
from shared.bus import Bus
from shared.clock import Instant, rfc3339
from shared.durations import words
from shared.messages import GetPerson, PastTrigger, PersonFound
from shared.partition import partition_of
from shared.policies import GetWaiting, WaitingFound, Waits
from shared.rules import Explain, Explained, RuleExplained, RulesExplained

TRIGGERS = 5
"""Past triggers that are shown of a rule."""


def explain(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A user_id or an anonymous_id.")],
    rule: Annotated[str, typer.Argument(metavar="[RULE]", help="Only this rule.")] = "",
    as_json: Json = False,
) -> None:
    """Each rule part by part: is it true, because of which events, when will it change; and what became of past triggers."""
    found, told, waits = run(lambda bus: _ask(bus, person, rule))
    if rule and not told:
        raise Failure(f"there is no rule {rule}")
    if as_json:
        print_json(_as_json(found, told, waits))
        return
    key = found.person.key
    say(f"{person} turned out to be {key}" if key != person else key)
    if found.aliases:
        say(f"also known as {', '.join(found.aliases)}")
    if not found.person.history and not found.person.profile:
        say("nothing is known of this person")
    for one in told:
        _print(one, [trigger for trigger in found.triggers if trigger.rule == one.rule], waits, found.at)


async def _ask(bus: Bus, person: str, rule: str) -> tuple[PersonFound, list[RuleExplained], dict[str, Waits]]:
    """The last: what waits of the person's triggers, by trigger."""
    try:
        partitions = await streams.partitions(bus.nc.jetstream(timeout=5))
    except NotFoundError:
        raise Failure("there is no stream EVENTS: has the setup job run?") from None
    subject = subjects.people_get(partition_of(person, partitions))
    found = await ask(bus, "the state service", subject, GetPerson(person, whole=True), PersonFound)
    request = Explain(found.person, found.rules, found.at, rule)
    answer = await ask(bus, "the rule-evaluator", subjects.RULES_EXPLAIN, request, RulesExplained)
    return found, answer.rules, await _waits(bus, found)


async def _waits(bus: Bus, found: PersonFound) -> dict[str, Waits]:
    """Asked only about what is on its way. All else is told without the throttle, too."""
    if all(trigger.outcome is not None for trigger in found.triggers):
        return {}
    request = GetWaiting([found.person.key, *found.aliases])
    try:
        answer = await ask(bus, "the throttle", subjects.POLICY_WAITING, request, WaitingFound)
    except Failure:
        return {}
    return {waits.trigger: waits for waits in answer.triggers}


def _print(one: RuleExplained, triggers: list[PastTrigger], waits: dict[str, Waits], at: Instant) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = ENDLESS
    console.print()
    console.print(Text.assemble((one.rule, "bold"), f"  {one.name}  ({one.status}, version {one.version})"))
    tree = Tree(_label(one.when, at), guide_style="dim")
    _grow(tree, one.when, at)
    console.print(tree)
    say(_outlook(one, at))
    for trigger in triggers[:TRIGGERS]:
        say(f"  fired {shown(trigger.at)}: {_fate(trigger, waits.get(trigger.id))}")


def _grow(tree: Tree, told: Explained, at: Instant) -> None:
    for part in told.parts:
        _grow(tree.add(_label(part, at)), part, at)


def _label(told: Explained, at: Instant) -> Text:
    mark = ("✓ ", "green") if told.holds else ("✗ ", "red")
    text = Text.assemble(mark, told.text)
    if told.found:
        text.append(f"   found {told.found}", "cyan")
    if told.reasons:
        names = ", ".join(
            f"{reason.event} {shown(reason.timestamp)}" + (f" ({reason.source})" if reason.source else "")
            for reason in told.reasons[-3:]
        )
        more = len(told.reasons) - 3
        text.append(f"   because {f'{more} more, ' if more > 0 else ''}{names}", "dim")
    if told.changes is not None:
        text.append(f"   changes in {words(told.changes - at)}", "yellow")
    return text


def _outlook(one: RuleExplained, at: Instant) -> str:
    """In one sentence, what comes next."""
    blocked = ""
    if one.never_again:
        blocked = "; it has fired, and may not again"
    elif one.not_before is not None:
        blocked = f"; it fired lately, and may not again for {words(one.not_before - at)}"
    if one.when.holds:
        return f"  holds now{blocked}"
    if one.turns_true is None:
        return f"  does not hold, and time alone will not change that{blocked}"
    unless = f" unless {' or '.join(one.unless)}" if one.unless else ""
    if (one.not_before is not None and one.turns_true < one.not_before) or one.never_again:
        return f"  would turn true in {words(one.turns_true - at)}{unless}{blocked}"
    verb = "fires" if one.status in ("live", "test") else f"would fire, were it not {one.status},"
    return f"  {verb} in {words(one.turns_true - at)}{unless}"


def _fate(trigger: PastTrigger, waits: Waits | None) -> str:
    if trigger.outcome is None:
        return f"waits until {shown(waits.due)}, {waits.reason or waits.by}" if waits else "on its way"
    return trigger.outcome + (f", {trigger.reason}" if trigger.reason else "")


def _as_json(found: PersonFound, told: list[RuleExplained], waits: dict[str, Waits]) -> dict[str, Any]:
    return {
        "person": found.person.key,
        "at": rfc3339(found.at),
        "aliases": found.aliases,
        "profile": found.person.profile,
        "rules": [_rule_json(one) for one in told],
        "triggers": [
            {
                "id": trigger.id,
                "person": trigger.person,
                "rule": trigger.rule,
                "version": trigger.version,
                "at": rfc3339(trigger.at),
                "outcome": trigger.outcome,
                "reason": trigger.reason,
                "waits_until": rfc3339(waits[trigger.id].due) if trigger.id in waits else None,
            }
            for trigger in found.triggers
        ],
    }


def _rule_json(one: RuleExplained) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(one)
    for name in ("live_since", "turns_true", "not_before"):
        told[name] = rfc3339(told[name]) if told[name] is not None else None
    told["fired"] = [rfc3339(at) for at in one.fired]
    told["when"] = _part_json(one.when)
    return told


def _part_json(told: Explained) -> dict[str, Any]:
    return {
        "text": told.text,
        "holds": told.holds,
        "found": told.found,
        "changes": rfc3339(told.changes) if told.changes is not None else None,
        "reasons": [
            {"event": reason.event, "timestamp": rfc3339(reason.timestamp), "source": reason.source}
            for reason in told.reasons
        ],
        "parts": [_part_json(part) for part in told.parts],
    }
