"""The set of rules as it moves from one revision to the next."""

from services.rule_evaluator.rules import RuleSet, Stored, assemble
from shared.messages import RuleState

TEXT = "id: r\nstatus: live\nwhen: {event: a}\naction: {email: {template: t}}\n"


def test_only_what_is_live_is_read_and_only_once() -> None:
    live = Stored("r", 3, TEXT, "live", 2, 1000)
    paused = Stored("p", 1, "never read", "paused", None, None)
    first = assemble(5, [live, paused], RuleSet(revision=-1))
    assert (list(first.live), list(first.stored), first.unreadable) == (["r"], ["r", "p"], ())
    rule = first.live["r"]
    assert (rule.version, rule.baseline, rule.live_since) == (3, 2, 1000)

    second = assemble(6, [live._replace(document="not looked at"), paused], first)
    assert second.live["r"] is rule
    third = assemble(7, [live._replace(version=4, document=TEXT)], second)
    assert third.live["r"].version == 4


def test_a_live_rule_that_cannot_be_read_is_set_aside() -> None:
    newer = Stored("r", 4, TEXT.replace("event", "horoscope"), "live", 4, 1000)
    rules = assemble(1, [newer], RuleSet(revision=-1))
    assert (rules.live, rules.unreadable[0].id, rules.unreadable[0].version) == ({}, "r", 4)
    assert rules.unreadable[0].errors[0].startswith("when.horoscope: is not a condition")


def test_a_state_of_a_later_version_shows_that_the_set_is_old() -> None:
    rules = assemble(1, [Stored("r", 3, TEXT, "live", 2, 1000), Stored("p", 1, "", "paused", None, None)], RuleSet(-1))
    assert not rules.is_older_than({})
    assert not rules.is_older_than({"r": RuleState(2, True, 0, 0), "p": RuleState(1, True, 0, 0)})
    assert rules.is_older_than({"r": RuleState(4, True, 0, 0)})
    assert rules.is_older_than({"r": RuleState(2, True, 0, 0), "unheard-of": RuleState(1, True, 0, 0)})
