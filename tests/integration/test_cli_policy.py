"""``beckon policy forecast`` and what ``beckon explain`` says of a trigger that waits, on real servers and services."""

import random
from pathlib import Path

from shared.clock import HOUR, SystemClock, rfc3339, to_datetime
from shared.outcomes import outcome
from tests.support.command import Ran, beckon
from tests.support.people import committed, event
from tests.support.stack import Stack, until
from tests.support.throttle import decisions, fired, publish, put_policy, settled

CAPS = "caps: [{max: 1, per: 24h, scope: rule}, {max: 3, per: 24h, scope: all}]\n"
LOOKS = "id: looks\nstatus: live\nwhen: {event: product_viewed}\naction: {email: {template: t}}\n"


async def test_the_policy_that_was_in_force_would_have_decided_what_was_decided(stack: Stack, tmp_path: Path) -> None:
    """Whoever turned out to be whom, whatever came to nothing, whoever was held out or wanted no mail."""
    await stack.start("throttle")
    await put_policy(stack, CAPS)
    chance = random.Random(1)
    people = [f"person-{n}" for n in range(25)]
    await stack.publish(*(outcome("email_unsubscribed", fired(each), SystemClock().now()) for each in people[:3]))

    async def known() -> bool:
        return len(await stack.fetch("SELECT 1 FROM throttle.consents")) == 3

    await until(known)
    released = 0
    for _ in range(6):
        wave = [
            fired(each, f"rule-{chance.randrange(4)}", holdout=0.1, aliases=[f"once-{each}"] if n % 2 else [])
            for n, each in enumerate(people)
        ] + [fired(f"once-{each}", "rule-0") for n, each in enumerate(people) if n % 2 and chance.random() < 0.3]
        for part in (wave[: len(people)], wave[len(people) :]):
            await publish(stack, *part)
            await settled(stack)
        failed = [
            each for each in wave if (await decisions(stack))[each.id] == ("send", False) and chance.random() < 0.3
        ]
        await stack.publish(*(outcome("email_failed", each, SystemClock().now(), stage="smtp") for each in failed))
        released += len(failed)

        async def given_back(count: int = released) -> bool:
            return sum(was for _, was in (await decisions(stack)).values()) == count

        await until(given_back)
    policy = tmp_path / "policy.yaml"
    policy.write_text(CAPS)
    told = (await beckon(stack.nats.url("operator"), "policy", "forecast", str(policy), "--json")).json()
    found = [outcome for outcome, _ in (await decisions(stack)).values()]
    assert {"send", "suppressed", "held_out"} == set(found)
    assert (told["triggers"], told["sent"]) == (len(found), found.count("send"))
    assert (told["would_send"], told["gained"], told["lost"]) == (told["sent"], 0, 0)
    stopped = {part["part"]: part["stopped"] for part in told["parts"]}
    by = await stack.fetch("SELECT by, count(*) AS count FROM throttle.decisions WHERE by <> '' GROUP BY by")
    assert {part: count for part, count in stopped.items() if count} == {row["by"]: row["count"] for row in by}


async def test_a_forecast_says_what_each_cap_would_have_stopped(stack: Stack, tmp_path: Path) -> None:
    await stack.start("throttle")
    operator = stack.nats.url("operator")
    policy = tmp_path / "policy.yaml"
    later = SystemClock().now() + 6 * HOUR
    quiet = f"{to_datetime(later):'%H:%M'}", f"{to_datetime(later + HOUR):'%H:%M'}"
    policy.write_text(f"caps: [{{max: 1, per: 24h, scope: all}}]\nquiet_hours: {{from: {quiet[0]}, to: {quiet[1]}}}\n")
    nothing = await beckon(operator, "policy", "forecast", str(policy))
    assert nothing.out == "0 triggers in the last 7d: 0 were sent, 0 would have been\n"
    await put_policy(stack, "caps: []")
    for number in range(3):
        await publish(stack, fired("ada", f"rule-{number}"), fired(f"other-{number}", "rule-0"))
        await settled(stack)
    told = await beckon(operator, "policy", "forecast", str(policy), "--since", "1h")
    assert (told.code, told.err) == (0, "")
    lines = told.out.splitlines()
    assert lines[0] == "6 triggers in the last 1h: 6 were sent, 4 would have been"
    assert lines[1] == "0 more would have been sent, 2 of those sent would not have been"
    (cap,) = [line.split() for line in lines if line.startswith("caps")]
    assert cap == ["caps[0]", *["1", "per", "24h", "overall"], *["2", "of", "6"], "-"]
    assert [line.split() for line in lines if line.startswith("rule-")] == [
        ["rule-0", "4", "4", "4", "-"],
        ["rule-1", "1", "1", "0", "caps[0]", "1"],
        ["rule-2", "1", "1", "0", "caps[0]", "1"],
    ]
    assert lines[-1].startswith("the time zone of 6 of these is not on record")

    policy.write_text("caps: 7\n")
    flawed = await beckon(operator, "policy", "forecast", str(policy))
    assert flawed.err.startswith(f"beckon: {policy}: caps: expected a list")
    assert await beckon(operator, "policy", "forecast", str(policy), "--since", "week") == Ran(
        2, "", "beckon: --since: 'week' is not a duration, try 30m\n"
    )


async def test_a_trigger_that_waits_is_explained(stack: Stack, tmp_path: Path) -> None:
    for service in ("rule_evaluator", "state", "throttle"):
        await stack.start(service)
    operator = stack.nats.url("operator")
    hour = to_datetime(SystemClock().now()).hour
    night = f"Etc/GMT{hour - 23 if hour >= 11 else hour + 1:+}"
    await put_policy(stack, "{caps: [], quiet_hours: {from: '21:00', to: '08:00'}}")
    rule = tmp_path / "rule.yaml"
    rule.write_text(LOOKS)
    assert (await beckon(operator, "rules", "apply", str(rule))).code == 0
    await stack.publish(event("identify", timezone=night))
    await stack.publish(event("product_viewed"))
    await committed(stack, 2)

    async def waits() -> list[int]:
        rows = await stack.fetch("SELECT extract(epoch FROM due)::bigint AS due FROM throttle.waiting")
        return [row["due"] for row in rows]

    (due,) = await until(waits, what="the trigger waits")
    told = await beckon(operator, "explain", "ada")
    (line,) = [line for line in told.out.splitlines() if "waits until" in line]
    until_ = rfc3339(due * 1_000_000)
    assert line.endswith(f": waits until {until_.replace('T', ' ')}, quiet hours: 21:00 to 08:00 {night}")
    (trigger,) = (await beckon(operator, "explain", "ada", "--json")).json()["triggers"]
    assert (trigger["outcome"], trigger["waits_until"]) == (None, until_)
