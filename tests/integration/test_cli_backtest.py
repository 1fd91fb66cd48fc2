"""``beckon rules backtest`` with what is recorded, on real servers and services."""

from shared.clock import DAY, HOUR, MINUTE, rfc3339
from tests.support.command import Ran
from tests.support.desk import CART, Desk, looks
from tests.support.people import committed, event, remembers, signed_in

HALF = 30 * MINUTE


async def test_a_draft_is_back_tested_by_its_id_and_by_its_file(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("throttle")
    await desk.stack.start("state")
    filled = event("added_to_cart", ago_us=20 * MINUTE)
    looked = [event("product_viewed", "bob"), event("product_viewed", "bob")]
    bought = [event("added_to_cart", "eve", ago_us=20 * MINUTE), event("purchased", "eve", ago_us=MINUTE)]
    await desk.stack.publish(filled, *looked, *bought)
    await committed(desk.stack, 5)
    draft = CART.replace("status: live", "status: draft")
    await desk.apply(draft)

    assert await desk.back_test("cart-abandonment") == []
    soon = rfc3339(filled.timestamp + HALF)
    expected = [
        {
            "person": "ada",
            "rule": "cart-abandonment",
            "at": soon,
            "because": [{"event_id": filled.id, "event": "added_to_cart", "timestamp": rfc3339(filled.timestamp)}],
            "throttle": "send",
            "reason": "",
        }
    ]
    assert await desk.back_test("cart-abandonment", "--until", soon) == expected
    assert await desk.back_test(desk.write(draft, "another.yaml"), "--until", soon) == expected
    assert await desk.back_test("cart-abandonment", "--until", soon, "--since", rfc3339(filled.timestamp + HOUR)) == []

    both = await desk.back_test("cart-abandonment", desk.write(looks(2), "looks.yaml"), "--until", soon)
    assert {(one["person"], one["rule"]) for one in both} == {("ada", "cart-abandonment"), ("bob", "looks-2")}
    (bobs,) = (one for one in both if one["person"] == "bob")
    assert [because["event_id"] for because in bobs["because"]] == [one.id for one in looked]

    human = await desk.beckon("rules", "backtest", "cart-abandonment", "--until", soon)
    line, *summary = human.out.splitlines()
    assert line.startswith(f"{soon}  cart-abandonment  ada  because added_to_cart ")
    assert summary[0].split() == ["day", "rule", "fired", "would", "be", "sent"]
    assert summary[1].split() == [soon[:10], "cart-abandonment", "1", "1"]
    assert summary[2].startswith("1 firings in 5 events of 3 people, ")
    assert await desk.stack.fetch("SELECT 1 FROM state.triggers") == [], "nothing is sent"


async def test_a_back_test_is_put_to_the_policy_in_force(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("throttle")
    await desk.stack.start("state")
    await desk.says("policy", "apply", desk.write("caps: [{max: 2, per: 24h, scope: all}]\n", "policy.yaml"))
    for _ in range(3):
        await desk.stack.publish(event("product_viewed"))
    await desk.stack.publish(event("product_viewed", "bob"))
    await committed(desk.stack, 4)
    await desk.apply(*map(looks, (1, 2, 3)))
    played = await desk.back_test("looks-3", "looks-1", "looks-2")
    told = [(one["rule"], one["throttle"], one["reason"].partition(";")[0]) for one in played if one["person"] == "ada"]
    assert told == [
        ("looks-1", "send", ""),
        ("looks-2", "send", ""),
        ("looks-3", "suppressed", "cap: 2 per 24h overall"),
    ]
    assert [(one["rule"], one["throttle"]) for one in played if one["person"] == "bob"] == [("looks-1", "send")]


async def test_a_visitor_who_signed_in_is_back_tested_as_one_person(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("throttle")
    await desk.stack.start("state")
    filled = event("added_to_cart", "a-1", ago_us=10 * MINUTE)
    await desk.stack.publish(filled)
    await committed(desk.stack, 1)
    await desk.stack.publish(signed_in("ada", "a-1"))
    await remembers(desk.stack, "ada", 2)
    (firing,) = await desk.back_test(desk.write(CART, "cart.yaml"), "--until", rfc3339(filled.timestamp + DAY))
    assert (firing["person"], firing["at"]) == ("ada", rfc3339(filled.timestamp + HALF))
    assert [because["event_id"] for because in firing["because"]] == [filled.id]


async def test_what_cannot_be_back_tested_is_one_line(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    assert await desk.fails("rules", "backtest", "nope") == "beckon: there is no rule nope\n"
    flawed = desk.write(looks(1).replace("event", "evnt"))
    assert (await desk.fails("rules", "backtest", flawed)).startswith("beckon: when.evnt: is not a condition")
    missing = await desk.beckon("rules", "backtest", "/no/where.yaml")
    assert missing == Ran(2, "", "beckon: /no/where.yaml: no such file\n")
    assert (await desk.fails("rules", "backtest", desk.write(looks(1)))).startswith(
        "beckon: the rule-evaluator says no: "
    ), "the state service is not there"
