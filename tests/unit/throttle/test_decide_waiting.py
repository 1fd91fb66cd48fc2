"""Triggers that are put off, and triggers that compete: given a policy and what was sent, expect when and why."""

from typing import Any

import pytest

from services.throttle.decide import Decision, Deferral, Sent, Standing, decide, decide_together, settle
from services.throttle.hours import Hours, Zone
from services.throttle.policy import Cap, Policy, Quiet, Spacing, Window
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant, rfc3339
from shared.messages import EmailAction, Terms, Trigger

MIDNIGHT = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z, a Thursday."""
NIGHT = Quiet(Hours(21 * 60, 8 * 60), exempt=("receipt",))
MORNING = MIDNIGHT + 8 * HOUR


def fired(
    rule: str = "cart", category: str = "nudge", priority: int = 0, at: Instant = MIDNIGHT, **more: Any
) -> Trigger:
    terms = Terms(EmailAction("t"), category=category, priority=priority)
    return Trigger(f"{rule}-{at}", "ada", rule, 1, at, terms, **more)


def sent(ago: int, now: Instant, rule: str = "win-back", category: str = "nudge") -> Sent:
    return Sent(rule, category, now - ago)


class TestQuietHours:
    def test_it_waits_for_the_morning(self) -> None:
        verdict = decide(fired(), Standing(), Policy((), NIGHT), MIDNIGHT)
        assert verdict == Deferral(MORNING, "quiet_hours", "quiet hours: 21:00 to 08:00 UTC")

    def test_by_the_persons_own_zone_else_the_default(self) -> None:
        policy = Policy((), NIGHT, zone=Zone("timezone", "Europe/Berlin"))
        assert decide(fired(), Standing(), policy, MIDNIGHT) == Deferral(
            MORNING - HOUR, "quiet_hours", "quiet hours: 21:00 to 08:00 Europe/Berlin"
        )
        assert decide(fired(), Standing(zone="Asia/Tokyo"), policy, MIDNIGHT) == Decision("send", MIDNIGHT)

    def test_an_exempt_category_is_sent(self) -> None:
        assert decide(fired(category="receipt"), Standing(), Policy((), NIGHT), MIDNIGHT).outcome == "send"

    def test_or_drops_it(self) -> None:
        quiet = Quiet(NIGHT.hours, then="drop")
        decision = decide(fired(), Standing(), Policy((), quiet), MIDNIGHT)
        assert decision == Decision("suppressed", MIDNIGHT, "quiet hours: 21:00 to 08:00 UTC", "quiet_hours")

    def test_what_expires_before_the_morning_ends_at_once(self) -> None:
        decision = decide(fired(expires=MORNING - HOUR), Standing(), Policy((), NIGHT), MIDNIGHT)
        reason = "quiet hours: 21:00 to 08:00 UTC; until 2026-01-01T08:00:00Z, 1h after it expires"
        assert decision == Decision("expired", MIDNIGHT, reason, "quiet_hours")
        assert isinstance(decide(fired(expires=MORNING), Standing(), Policy((), NIGHT), MIDNIGHT), Deferral)

    def test_caps_are_asked_in_the_morning_and_not_before(self) -> None:
        policy = Policy((Cap(1, 10 * HOUR, "all"),), NIGHT)
        assert isinstance(decide(fired(), Standing([sent(4 * HOUR, MIDNIGHT)]), policy, MIDNIGHT), Deferral)
        assert decide(fired(), Standing([sent(12 * HOUR, MORNING)]), policy, MORNING) == Decision("send", MORNING)

    def test_who_wants_no_mail_is_told_at_once(self) -> None:
        decision = decide(fired(), Standing(suppressed="complaint"), Policy((), NIGHT), MIDNIGHT)
        assert decision == Decision("suppressed", MIDNIGHT, "suppressed: complaint", "consent")


class TestWindows:
    OFFICE = Hours(9 * 60, 18 * 60, frozenset(range(5)))
    LUNCH = Hours(12 * 60, 13 * 60)
    POLICY = Policy((), windows=(Window(OFFICE), Window(LUNCH, ("nudge", "news"))))

    @pytest.mark.parametrize(
        ("category", "hour", "opens"), [("nudge", 10, 12), ("nudge", 12, 12), ("other", 10, 10), ("other", 7, 9)]
    )
    def test_a_category_leaves_in_its_own_windows_and_any_other_in_the_rest(
        self, category: str, hour: int, opens: int
    ) -> None:
        now = MIDNIGHT + hour * HOUR
        verdict = decide(fired(category=category), Standing(), self.POLICY, now)
        until = verdict.until if isinstance(verdict, Deferral) else now
        assert until == MIDNIGHT + opens * HOUR

    def test_the_reason_names_them(self) -> None:
        verdict = decide(fired(), Standing(), self.POLICY, MIDNIGHT)
        assert verdict == Deferral(
            MIDNIGHT + 12 * HOUR, "windows", "outside the sending windows for category nudge, UTC"
        )

    def test_the_zone_is_asked_for_only_where_it_matters(self) -> None:
        policy = Policy((), NIGHT, (Window(self.LUNCH, ("news",)),))
        assert [policy.asks_zone(category) for category in ("nudge", "news", "receipt")] == [True, True, False]
        fixed = Policy((), NIGHT, zone=Zone(None, "Europe/Berlin"))
        assert not fixed.asks_zone("nudge")
        assert not Policy(()).asks_zone("nudge")


class TestSpacing:
    POLICY = Policy((), spacing=Spacing(4 * HOUR))

    @pytest.mark.parametrize(("ago", "waits"), [(0, 4 * HOUR), (HOUR, 3 * HOUR), (4 * HOUR - 1, 1), (4 * HOUR, 0)])
    def test_the_next_mail_waits_for_what_is_left(self, ago: int, waits: int) -> None:
        verdict = decide(fired(), Standing([sent(ago, MORNING), sent(9 * HOUR, MORNING)]), self.POLICY, MORNING)
        reason = f"spacing: 4h between mails; rule win-back was sent at {rfc3339((MORNING - ago) // SECOND * SECOND)}"
        assert verdict == (Deferral(MORNING + waits, "spacing", reason) if waits else Decision("send", MORNING))

    def test_per_category_others_do_not_count(self) -> None:
        policy = Policy((), spacing=Spacing(4 * HOUR, "category", "drop"))
        assert decide(fired(), Standing([sent(HOUR, MORNING, category="news")]), policy, MORNING).outcome == "send"
        dropped = decide(fired(), Standing([sent(HOUR, MORNING)]), policy, MORNING)
        assert isinstance(dropped, Decision)
        assert (dropped.outcome, dropped.by) == ("suppressed", "spacing")
        assert dropped.reason.startswith("spacing: 4h between mails in category nudge; rule win-back was sent at ")

    def test_a_cap_is_asked_first_since_no_waiting_helps(self) -> None:
        policy = Policy((Cap(1, DAY, "all"),), spacing=Spacing(4 * HOUR))
        decision = decide(fired(), Standing([sent(HOUR, MORNING)]), policy, MORNING)
        assert isinstance(decision, Decision)
        assert decision.by == "caps[0]"

    def test_a_policy_looks_back_as_far_as_its_spacing(self) -> None:
        assert self.POLICY.horizon == 4 * HOUR
        assert Policy((Cap(1, DAY, "all"),), spacing=Spacing(4 * HOUR)).horizon == DAY


class TestPriority:
    POLICY = Policy((Cap(1, DAY, "all"),))

    def test_the_most_important_wins_and_of_equals_the_one_that_fired_first(self) -> None:
        triggers = [
            fired("late", priority=5, at=MIDNIGHT + 2),
            fired("low", priority=-1, at=MIDNIGHT),
            fired("early", priority=5, at=MIDNIGHT + 1),
        ]
        verdicts = decide_together(triggers, Standing(), self.POLICY, MORNING)
        assert [trigger.rule for trigger, _ in verdicts] == ["early", "late", "low"]
        lost = Decision("suppressed", MORNING, "cap: 1 per 24h overall; rule early (priority 5) came first", "caps[0]")
        assert [verdict for _, verdict in verdicts] == [Decision("send", MORNING), lost, lost]

    def test_what_is_stopped_for_another_reason_takes_no_place(self) -> None:
        important, other = fired("vip", "unwanted", 9), fired("browse")
        verdicts = decide_together([other, important], Standing(unwanted=["unwanted"]), self.POLICY, MORNING)
        assert [verdict.by for _, verdict in verdicts] == ["consent", ""]

    def test_with_spacing_the_loser_waits(self) -> None:
        policy = Policy((), spacing=Spacing(HOUR))
        (_, first), (_, second) = decide_together([fired("a"), fired("b", priority=1)], Standing(), policy, MORNING)
        assert first == Decision("send", MORNING)
        reason = "spacing: 1h between mails; rule b (priority 1) came first"
        assert second == Deferral(MORNING + HOUR, "spacing", reason)


@pytest.mark.parametrize(
    ("open_until", "expires", "until"),
    [
        (None, None, MIDNIGHT + 2 * SECOND),
        (MIDNIGHT + SECOND, None, MIDNIGHT + SECOND),
        (None, MIDNIGHT + MINUTE, MIDNIGHT + 2 * SECOND),
        (None, MIDNIGHT + SECOND, None),
    ],
)
def test_a_trigger_settles_with_those_that_settle_already_unless_it_would_expire(
    open_until: Instant | None, expires: Instant | None, until: Instant | None
) -> None:
    policy = Policy((), settle=2 * SECOND)
    deferral = settle(fired(expires=expires), policy, open_until, MIDNIGHT)
    assert deferral == (None if until is None else Deferral(until, "settle"))
