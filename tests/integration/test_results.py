"""What rules came to: from firing to purchase, as the record has it."""

from typing import Any

from shared.clock import DAY, HOUR, MINUTE, SystemClock
from shared.messages import Event, Trigger
from shared.outcomes import outcome
from tests.support.command import beckon
from tests.support.people import committed, event, signed_in, triggers
from tests.support.script import Script
from tests.support.stack import Stack

PEOPLE = ("ada", "bob", "cleo", "dan", "eve", "visitor")


def happened(name: str, trigger: Trigger, *, after: int = 0, **properties: Any) -> Event:
    """An outcome; each one its own event."""
    told = outcome(name, trigger, trigger.at + after, **properties)
    return Event(
        f"{told.id}.{after}",
        told.person,
        name,
        told.timestamp,
        told.received,
        told.properties,
        source="beckon",
        trusted=True,
    )


async def test_each_purchase_is_put_down_to_the_mail_clicked_last(stack: Stack) -> None:
    await Script().serve(await stack.bus("rule_evaluator"))
    await stack.start("state")
    await stack.publish(*(event("fire", person) for person in PEOPLE))
    by = {trigger.person: trigger for trigger in await triggers(stack, len(PEOPLE))}
    rule = by["ada"].rule

    def bought(person: str, *, after: int, total: object, **more: object) -> Event:
        ago = SystemClock().now() - by[person].at - after
        return event("purchased", person, ago_us=ago, total=total, **more)

    told = [
        # Ada opens twice, clicks, buys within the hour, and something else in ten days.
        happened("email_sent", by["ada"]),
        happened("email_opened_by_machine", by["ada"]),
        happened("email_opened", by["ada"], after=MINUTE),
        happened("email_opened", by["ada"], after=2 * MINUTE),
        happened("email_clicked", by["ada"], after=3 * MINUTE),
        bought("ada", after=HOUR, total=50, currency="EUR"),
        bought("ada", after=10 * DAY, total=7, currency="EUR"),
        # Bob buys without a click, and before one.
        happened("email_sent", by["bob"]),
        bought("bob", after=HOUR, total=20, currency="EUR"),
        happened("email_clicked", by["bob"], after=2 * HOUR),
        # The visitor signs in and buys twice, once without saying for how much.
        happened("email_sent", by["visitor"]),
        happened("email_clicked", by["visitor"], after=MINUTE),
        signed_in("vera", "visitor"),
        # Nobody mails these.
        happened("trigger_held_out", by["cleo"]),
        bought("cleo", after=HOUR, total=20, currency="EUR"),
        happened("trigger_held_out", by["dan"]),
        happened("trigger_suppressed", by["eve"]),
    ]
    await stack.publish(*told)
    for key in ("vera-1", "vera-2"):
        ago = SystemClock().now() - by["visitor"].at - HOUR
        total = 30 if key == "vera-1" else "thirty"
        await stack.publish(event("purchased", "vera", ago_us=ago, total=total, currency="USD"))
    # All of those of the visitor are vera's as well.
    await committed(stack, len(PEOPLE) + len(told) + 2 + 3)

    operator = stack.nats.url("operator")
    (found,) = (await beckon(operator, "results", "--json")).json()
    assert found == {
        "rule": rule,
        "variant": "",
        "fired": 6,
        "sent": 3,
        "suppressed": 1,
        "held_out": 2,
        "expired": 0,
        "failed": 0,
        "uncertain": 0,
        "opened": 1,
        "opened_by_machine": 1,
        "clicked": 3,
        "unsubscribed": 0,
        "conversions": 3,
        "sent_bought": 3,
        "held_out_bought": 1,
        "revenue": {"EUR": 50.0, "USD": 30.0},
        "lift": 1.0,
    }
    assert (await beckon(operator, "results", rule, "--window", "20d", "--json")).json()[0]["conversions"] == 4
    assert (await beckon(operator, "results", "another", "--json")).json() == []
    table = (await beckon(operator, "results")).out.splitlines()
    assert table[1].split()[:4] == [rule, "-", "6", "3"]
    assert "50.00 EUR, 30.00 USD" in table[1]
    assert table[1].endswith("+100%")
    wrong = await beckon(operator, "results", "--since", "soon")
    assert (wrong.code, wrong.err) == (2, "beckon: --since: 'soon' is not a duration, try 30m\n")


async def test_each_variant_has_results_of_its_own(stack: Stack) -> None:
    await Script().serve(await stack.bus("rule_evaluator"))
    await stack.start("state")
    people = ("ada", "bob", "cleo", "dan")
    await stack.publish(*(event("fire", person) for person in people))
    by = {trigger.person: trigger for trigger in await triggers(stack, len(people))}
    told = [
        happened("email_sent", by["ada"], variant="plain"),
        happened("email_sent", by["bob"], variant="discount"),
        happened("email_clicked", by["bob"], after=MINUTE),
        event("purchased", "bob", ago_us=SystemClock().now() - by["bob"].at - HOUR, total=20, currency="EUR"),
        happened("trigger_held_out", by["cleo"], variant="discount"),
        happened("email_sent", by["dan"], variant="discount"),
    ]
    await stack.publish(*told)
    await committed(stack, len(people) + len(told))
    found = (await beckon(stack.nats.url("operator"), "results", "--json")).json()
    assert [
        (each["variant"], each["sent"], each["held_out"], each["conversions"], each["revenue"]) for each in found
    ] == [
        ("discount", 2, 1, 1, {"EUR": 20.0}),
        ("plain", 1, 0, 0, {}),
    ]
