"""A policy over what was decided: against a model that goes through time second by second, and what is told of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from services.throttle.decide import Decision, Deferral, Sent, Standing, decide_together
from services.throttle.forecast import Firing, Played, play
from services.throttle.hours import Hours, Zone, is_open
from services.throttle.policy import Cap, Policy, Quiet, Spacing, Window
from services.throttle.replay import Past, described, replay
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant
from shared.messages import EmailAction, Terms, Trigger
from shared.policies import PartReplayed, Replayed, RuleReplayed

MIDNIGHT = 1_767_225_600 * SECOND


def firing(
    at: Instant,
    person: str = "ada",
    rule: str = "cart",
    *,
    category: str = "nudge",
    priority: int = 0,
    aliases: tuple[str, ...] = (),
    expires: Instant | None = None,
    fixed: Decision | None = None,
    ended: Instant | None = None,
    zone: str = "",
) -> Firing:
    terms = Terms(EmailAction("t"), category=category, priority=priority)
    return Firing(person, rule, at, terms, aliases, expires, fixed, ended, zone)


# --- Against the model ------------------------------------------------------------------------------------------------


def stepped(policy: Policy, firings: list[Firing]) -> list[tuple[str, Instant]]:
    """The outcome and the second of each firing, found by going through all seconds one after the other: who is due is
    decided together with who else is, then comes what arrives."""
    ended: dict[int, tuple[str, Instant]] = {}
    due: dict[int, tuple[Instant, bool]] = {}
    sent: list[tuple[str, Sent, Instant | None]] = []

    def names(number: int) -> set[str]:
        return {firings[number].person, *firings[number].aliases}

    def family(number: int) -> set[int]:
        members, grown = set[int](), {number}
        while members != grown:
            members = set(grown)
            grown |= {other for other in due for member in members if names(other) & names(member)}
        return members

    def decide(numbers: set[int], known: set[str], now: Instant) -> None:
        sends = [
            s for who, s, end in sent if who in known and s.at > now - policy.horizon and (end is None or end > now)
        ]
        triggers = [
            Trigger(
                str(10_000 + n),
                firings[n].person,
                firings[n].rule,
                0,
                firings[n].at,
                firings[n].terms,
                expires=firings[n].expires,
            )
            for n in numbers
        ]
        for trigger, verdict in decide_together(triggers, Standing(sends), policy, now):
            number = int(trigger.id) - 10_000
            if isinstance(verdict, Deferral):
                due[number] = verdict.until, False
                continue
            due.pop(number, None)
            ended[number] = verdict.outcome, now
            if verdict.outcome == "send":
                send = Sent(trigger.rule, trigger.terms.category, now)
                sent.append((trigger.person, send, firings[number].ended))

    now, last = firings[0].at, firings[-1].at
    while now <= last or due:
        for number in sorted(due):
            if number in due and due[number][0] == now:
                members = family(number)
                decide({n for n in members if due[n][0] <= now}, set().union(*map(names, members)), now)
        for number, one in enumerate(firings):
            if one.at == now:
                if policy.settle:
                    open_until = [due[n][0] for n in family(number) - {number} if due[n][1]]
                    until = min(open_until, default=now + policy.settle)
                    if one.expires is None or one.expires >= until:
                        due[number] = until, True
                        continue
                decide({number}, names(number), now)
        now += SECOND
    return [ended[number] for number in range(len(firings))]


policies = st.builds(
    Policy,
    st.lists(
        st.builds(Cap, st.integers(1, 2), st.integers(1, 90).map(SECOND.__mul__), st.sampled_from(["rule", "all", "category"])),
        max_size=2,
    ).map(tuple),
    st.none() | st.builds(Quiet, st.builds(Hours, st.just(0), st.integers(1, 2)), st.sampled_from([(), ("c0",)]), st.sampled_from(["defer", "drop"])),
    st.sampled_from([(), (Window(Hours(1, 1439), ("c1",)),)]),
    st.just(Zone()),
    st.none() | st.builds(Spacing, st.integers(1, 60).map(SECOND.__mul__), st.sampled_from(["all", "category"]), st.sampled_from(["defer", "drop"])),
    st.integers(0, 5).map(SECOND.__mul__),
)  # fmt: skip


@st.composite
def some_firings(draw: st.DrawFn) -> list[Firing]:
    made = []
    for at in sorted(draw(st.lists(st.integers(0, 100), min_size=1, max_size=14))):
        came = MIDNIGHT + at * SECOND
        person = draw(st.sampled_from("abc"))
        made.append(
            firing(
                came,
                person,
                draw(st.sampled_from(["r0", "r1"])),
                category=draw(st.sampled_from(["c0", "c1"])),
                priority=draw(st.integers(0, 2)),
                aliases=draw(st.sampled_from([(), ("a",), ("d",)])) if person != "a" else (),
                expires=draw(st.sampled_from([None, came, came + draw(st.integers(1, 150)) * SECOND])),
                ended=draw(st.sampled_from([None, None, came + draw(st.integers(1, 30)) * SECOND])),
            )
        )
    return made


@settings(max_examples=300, deadline=None)
@given(policy=policies, firings=some_firings())
def test_it_is_played_as_going_through_time_second_by_second_plays_it(policy: Policy, firings: list[Firing]) -> None:
    played = play(policy, firings)
    assert [(one.decision.outcome, one.decision.at) for one in played] == stepped(policy, firings)


# --- What is told -----------------------------------------------------------------------------------------------------


def test_what_waits_is_played_until_it_is_decided_and_says_what_it_waited_for() -> None:
    policy = Policy((), Quiet(Hours(21 * 60, 8 * 60)), spacing=Spacing(HOUR), settle=2 * SECOND)
    early, late = play(policy, [firing(MIDNIGHT, rule="low"), firing(MIDNIGHT + SECOND, rule="high", priority=1)])
    morning = MIDNIGHT + 8 * HOUR
    assert late == Played(Decision("send", morning), ("settle", "quiet_hours"))
    assert early == Played(Decision("send", morning + HOUR), ("settle", "quiet_hours", "spacing"))


def test_a_zone_on_record_counts() -> None:
    policy = Policy((), Quiet(Hours(21 * 60, 8 * 60)))
    (tokyo,) = play(policy, [firing(MIDNIGHT, zone="Asia/Tokyo")])
    assert tokyo == Played(Decision("send", MIDNIGHT))


def test_it_is_told_by_part_and_by_rule_and_beside_what_was() -> None:
    send = Decision("send", MIDNIGHT)
    unwanted = Decision("suppressed", MIDNIGHT, "suppressed: complaint", "consent")
    capped = Decision("suppressed", MIDNIGHT, "cap: 9 per 24h overall; …", "caps[0]")
    past = [
        Past(firing(MIDNIGHT - DAY + MINUTE), send),  # before: it takes its place and is not counted
        Past(firing(MIDNIGHT), send),
        Past(firing(MIDNIGHT + MINUTE, "bob"), capped),
        Past(firing(MIDNIGHT + MINUTE, "bob", "vip"), send),
        Past(firing(MIDNIGHT + HOUR, "cleo", "vip", fixed=unwanted), unwanted),
        Past(firing(MIDNIGHT + 9 * HOUR, "dan", "vip"), send),
    ]
    policy = Policy((Cap(1, DAY, "all"),), Quiet(Hours(0, 8 * 60), exempt=("nudge",)))
    assert replay(policy, past, MIDNIGHT) == Replayed(
        triggers=5,
        sent=3,
        would_send=2,
        gained=1,
        lost=2,
        zones_unknown=0,
        parts=[
            PartReplayed("expiry", "it expired"),
            PartReplayed("consent", "suppressed or unsubscribed", stopped=1),
            PartReplayed("holdout", "held out"),
            PartReplayed("quiet_hours", "00:00 to 08:00, defer"),
            PartReplayed("caps[0]", "1 per 24h overall", stopped=2),
        ],
        rules=[
            RuleReplayed("cart", 2, 1, 1, {"caps[0]": 1}),
            RuleReplayed("vip", 3, 2, 1, {"caps[0]": 1, "consent": 1}),
        ],
    )
    asking = Policy((), Quiet(Hours(0, 8 * 60)))
    told = replay(asking, past, MIDNIGHT)
    assert told.zones_unknown == 4, "whose consent decided needs no zone"
    assert {part.part: part.put_off for part in told.parts}["quiet_hours"] == 3


def test_every_part_of_a_policy_is_described() -> None:
    policy = Policy(
        (Cap(5, 7 * DAY, "category"), Cap(1, DAY, "rule")),
        Quiet(Hours(1260, 480), then="drop"),
        (Window(Hours(540, 1080, frozenset({0, 4})), ("nudge",)), Window(Hours(0, 1440))),
        spacing=Spacing(4 * HOUR, "category"),
        settle=2 * SECOND,
    )
    assert list(described(policy).items())[3:] == [
        ("settle", "2s"),
        ("quiet_hours", "21:00 to 08:00, drop"),
        ("windows", "mon, fri 09:00 to 18:00 for nudge; 00:00 to 24:00"),
        ("caps[0]", "5 per 7d per category"),
        ("caps[1]", "1 per 24h per rule"),
        ("spacing", "4h between mails in a category, defer"),
    ]


def test_the_model_knows_quiet_hours_too() -> None:
    """Else the property above would hold without them."""
    policy = Policy((), Quiet(Hours(0, 1)))
    assert not is_open(policy.day("c1", ""), MIDNIGHT)
    assert stepped(policy, [firing(MIDNIGHT)]) == [("send", MIDNIGHT + MINUTE)]
