"""Why a rule holds for a person or does not, part by part, when that will change, and what would prevent it. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from services.rule_evaluator.code import Look, look
from services.rule_evaluator.conditions import Combination, Condition, Not
from services.rule_evaluator.counting import EventCount, Sequence
from services.rule_evaluator.document import FOREVER, Rule
from services.rule_evaluator.view import NEVER, Selector, Slots, View, key_of
from shared.clock import Instant
from shared.messages import HistoryEvent, Person, RuleState
from shared.rules import Explained, Reason, RuleExplained

NAMED = 10
"""Events that are named for one condition at most, the latest."""
LOOKS = 1000
"""So many changes ahead it is looked when a rule turns true. It never took more than a few."""
_LAST_N = 2**31


class Known(NamedTuple):
    """A rule as it stands. ``live_since`` is none if it is not live."""

    rule: Rule
    version: int
    status: str
    live_since: Instant | None


def explain(known: Known, person: Person, remembered: RuleState | None, at: Instant) -> RuleExplained:
    """How the rule looks at the person at ``at``, before which everything in their history had arrived."""
    rule = known.rule
    told = Explaining(rule, person, at)
    fired = [instant for _, instant in remembered.fired] if remembered is not None else []
    reentry = rule.reentry or 0
    last = fired[-1] if fired else None
    blocked = last is not None and at - last < reentry
    turns_true = told.turns_true()
    return RuleExplained(
        rule=rule.id,
        version=known.version,
        name=rule.name,
        status=known.status,
        when=told.tree(),
        live_since=known.live_since,
        turns_true=turns_true,
        unless=told.unless(turns_true) if turns_true is not None else [],
        not_before=last + reentry if last is not None and blocked and reentry != FOREVER else None,
        never_again=blocked and reentry == FOREVER,
        fired=fired,
    )


class Explaining:
    def __init__(self, rule: Rule, person: Person, at: Instant) -> None:
        self._rule = rule
        self._person = person
        self._at = at
        self._slots = Slots()
        self._look = self._compiled(rule.when)
        self._view = self._new_view()

    def _compiled(self, condition: Condition) -> Look:
        return look([condition.code(self._slots)], decisive=True)

    def _new_view(self) -> View:
        return View(self._slots, self._person.profile, self._person.history, self._at)

    # --- The tree -----------------------------------------------------------------------------------------------------

    def tree(self) -> Explained:
        return self._explained(self._rule.when, msgspec.json.decode(self._rule.condition))

    def _explained(self, condition: Condition, written: Mapping[str, Any]) -> Explained:
        one = self._compiled(condition)
        self._view.reserve()
        holds, change = one(self._view, self._at)
        change = min(change, self._view.next_ahead())
        told = Explained(text="", holds=holds, changes=change if change != NEVER else None)
        if isinstance(condition, Combination):
            told.text = "any of" if condition.decisive else "all of"
            documents = written["any" if condition.decisive else "all"]
            told.parts = [self._explained(*pair) for pair in zip(condition.conditions, documents, strict=True)]
        elif isinstance(condition, Not):
            told.text = "not"
            told.parts = [self._explained(condition.condition, written["not"])]
        else:
            told.text = shown(written)
            events = {event.n: event for event in condition.because(self._view, self._at, wanted=holds)}
            told.reasons, told.found = self._reasons(list(events.values())), self._found(condition)
        return told

    def _reasons(self, events: list[HistoryEvent]) -> list[Reason]:
        latest = sorted(events, key=key_of)[-NAMED:]
        return [Reason(event.name, event.timestamp, event.source) for event in latest]

    def _found(self, condition: Condition) -> str:
        if isinstance(condition, EventCount):
            return f"{condition.counted(self._view, self._at):g}"
        if isinstance(condition, Sequence):
            return f"{condition.matched(self._view, self._at)[1]} of {len(condition.steps)} steps"
        return ""

    # --- The future ---------------------------------------------------------------------------------------------------

    def turns_true(self) -> Instant | None:
        """When ``when`` turns from false to true, if nothing happens until then."""
        view = self._new_view()
        return self._next_true(view, self._at)

    def _next_true(self, view: View, t: Instant, until: Instant = NEVER) -> Instant | None:
        holds, change = self._look(view, t)
        for _ in range(LOOKS):
            t = min(change, view.next_ahead())
            if t == NEVER or t > until:
                return None
            held = holds
            view.mature(t)
            holds, change = self._look(view, t)
            if holds and not held:
                return t
        return None

    def unless(self, turns_true: Instant) -> list[str]:
        """The events one of which, if it happened now or just before, would keep it from turning true then."""
        names = sorted(self._rule.concerns.names)
        return [name for name in names if not self._still(turns_true, Selector(name))] + (
            ["any activity"] if self._rule.concerns.activity and not self._still(turns_true, Selector(None)) else []
        )

    def _still(self, turns_true: Instant, happens: Selector) -> bool:
        return all(self._still_if(turns_true, happens, at) for at in {self._at, turns_true - 1})

    def _still_if(self, turns_true: Instant, happens: Selector, at: Instant) -> bool:
        """As if such an event, passing whatever test it is put to, happened at that instant."""
        view = self._new_view()
        view.reserve()
        _, change = self._look(view, self._at)
        while (t := min(change, view.next_ahead())) <= at:  # up to then all goes as it goes
            view.mature(t)
            _, change = self._look(view, t)
        event = HistoryEvent(_LAST_N, "if", happens.name or "activity", at, at, {})
        for slot, selector in enumerate(self._slots.selectors):
            series = view.series[slot] or view.fill(slot)
            concerned = happens.name is None and selector.name is None
            if concerned or (happens.name is not None and selector.concerns(happens.name)):
                series.add(event, key_of(event))
        return self._next_true(view, at, turns_true) == turns_true


def shown(written: Any) -> str:
    """A condition as one would write it on a line."""
    if isinstance(written, Mapping):
        return ", ".join(f"{key}: {_inside(value)}" for key, value in _in_order(written))
    return _inside(written)


def _in_order(written: Mapping[str, Any]) -> list[tuple[str, Any]]:
    heads = ("event", "elapsed", "sequence", "profile")
    return sorted(written.items(), key=lambda item: (item[0] not in heads, item[0]))


def _inside(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{shown(value)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inside, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
