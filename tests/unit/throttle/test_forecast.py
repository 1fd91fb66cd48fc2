"""What a policy would have let through: firings of the past in order, and a decision for each."""

import itertools
from collections.abc import Iterable

from services.throttle.decide import Decision, held_out
from services.throttle.forecast import forecast
from services.throttle.policy import DEFAULT, Cap, Policy
from shared.clock import DAY, HOUR, SECOND, Instant, rfc3339
from shared.messages import EmailAction, Terms
from shared.policies import ForecastFiring

NOON = 1_760_000_000 * SECOND


def firing(
    at: Instant, person: str = "ada", rule: str = "cart", category: str = "nudge", holdout: float = 0.0
) -> ForecastFiring:
    return ForecastFiring(person, rule, at, Terms(EmailAction("t"), category=category, holdout=holdout))


def outcomes(policy: Policy, firings: Iterable[ForecastFiring]) -> list[str]:
    return [decision.outcome for decision in forecast(policy, firings)]


def test_no_firings_no_decisions() -> None:
    assert forecast(DEFAULT, []) == []


def test_without_caps_everything_is_sent() -> None:
    assert outcomes(Policy(()), [firing(NOON + second) for second in range(20)]) == ["send"] * 20


def test_each_decision_is_made_at_the_instant_of_its_firing() -> None:
    first, second = forecast(DEFAULT, [firing(NOON), firing(NOON + HOUR)])
    assert first == Decision("send", NOON)
    reason = f"cap: 1 per 24h for rule cart; rule cart was sent at {rfc3339(NOON)}"
    assert second == Decision("suppressed", NOON + HOUR, reason, "caps[0]")


def test_a_cap_of_a_rule_counts_that_rule_only() -> None:
    policy = Policy((Cap(1, DAY, "rule"),))
    firings = [firing(NOON), firing(NOON + 1, rule="win-back"), firing(NOON + 2), firing(NOON + 3, rule="win-back")]
    assert outcomes(policy, firings) == ["send", "send", "suppressed", "suppressed"]


def test_a_cap_of_a_category_counts_that_category_only() -> None:
    policy = Policy((Cap(2, DAY, "category"),))
    firings = [
        firing(NOON),
        firing(NOON + 1, rule="win-back"),
        firing(NOON + 2, rule="vip", category="service"),
        firing(NOON + 3, rule="browse"),
        firing(NOON + 4, rule="post-purchase", category="service"),
    ]
    assert outcomes(policy, firings) == ["send", "send", "send", "suppressed", "send"]


def test_a_cap_of_all_counts_everything() -> None:
    firings = [firing(NOON + number, rule=f"rule-{number}", category=f"c-{number}") for number in range(4)]
    decisions = forecast(Policy((Cap(3, DAY, "all"),)), firings)
    assert [decision.outcome for decision in decisions] == ["send", "send", "send", "suppressed"]
    assert decisions[3].reason.startswith("cap: 3 per 24h overall; rule rule-2 was sent at ")


def test_a_window_rolls_and_is_open_at_its_old_end() -> None:
    firings = [firing(NOON), firing(NOON + DAY - 1), firing(NOON + DAY), firing(NOON + 2 * DAY)]
    assert outcomes(DEFAULT, firings) == ["send", "suppressed", "send", "send"]


def test_only_what_would_have_been_sent_takes_a_place() -> None:
    policy = Policy((Cap(1, DAY, "rule"),))
    hours = [0, 20, 24, 40, 48]
    assert outcomes(policy, [firing(NOON + hour * HOUR) for hour in hours]) == [
        "send",
        "suppressed",
        "send",
        "suppressed",
        "send",
    ]


def test_a_long_window_still_counts_what_a_short_one_has_forgotten() -> None:
    policy = Policy((Cap(1, DAY, "rule"), Cap(3, 7 * DAY, "all")))
    decisions = forecast(policy, [firing(NOON + day * DAY) for day in range(9)])
    assert [decision.outcome for decision in decisions] == ["send"] * 3 + ["suppressed"] * 4 + ["send"] * 2
    assert {decision.reason.partition(";")[0] for decision in decisions[3:7]} == {"cap: 3 per 7d overall"}


def test_people_have_caps_of_their_own() -> None:
    firings = [firing(NOON + number, person) for number, person in enumerate(["ada", "bob", "ada", "bob", "eve"])]
    assert outcomes(DEFAULT, firings) == ["send", "send", "suppressed", "suppressed", "send"]


def test_who_is_held_out_is_told_and_takes_no_place() -> None:
    people = [f"person-{number}" for number in range(50)]
    held = [person for person in people if held_out("cart", person, 0.5)]
    assert 0 < len(held) < 50
    for person in people:
        first, second = outcomes(DEFAULT, [firing(NOON, person, holdout=0.5), firing(NOON + 1, person)])
        assert (first, second) == (("held_out", "send") if person in held else ("send", "suppressed"))


def test_two_at_the_same_instant_come_first_come_first_served() -> None:
    policy = Policy((Cap(1, DAY, "all"),))
    for order in itertools.permutations(["one", "two", "three"]):
        assert outcomes(policy, [firing(NOON, rule=rule) for rule in order]) == ["send", "suppressed", "suppressed"]


def test_there_is_a_decision_for_each_firing_in_the_order_of_the_firings() -> None:
    firings = [firing(NOON + number, f"p{number % 7}", f"rule-{number % 3}") for number in range(100)]
    decisions = forecast(DEFAULT, iter(firings))
    assert [decision.at for decision in decisions] == [one.at for one in firings]
    assert {decision.outcome for decision in decisions} == {"send", "suppressed"}
