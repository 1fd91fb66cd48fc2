"""kill -9 of throttles in turn while eight of them decide at once: never one over a cap, none wrongly refused, none twice."""

import os
import random
from collections import Counter, defaultdict

import pytest

from shared.messages import Trigger
from tests.support.stack import Stack, until
from tests.support.throttle import fired, outcomes, publish, put_policy, sends, settled

pytestmark = pytest.mark.unwatched

REPLICAS = 8
PEOPLE, EACH = 1000, 10
KILLS = 3 * int(os.environ.get("CHAOS_ROUNDS", "5"))
POLICY = "{caps: [{max: 1, per: 24h, scope: rule}, {max: 3, per: 24h, scope: all}], settle: 0s}"


@pytest.mark.chaos
async def test_caps_are_exact_under_eight_throttles_some_of_which_are_killed(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    throttles = [await stack.start("throttle", wait=False) for _ in range(REPLICAS)]
    for throttle in throttles:
        await stack.ready(throttle)
    await put_policy(stack, POLICY)
    triggers = [trigger for n in range(PEOPLE) for trigger in _of(n)]
    random.Random(1).shuffle(triggers)
    await publish(stack, *triggers)
    for kill in range(KILLS):
        await _decided(stack, (kill + 1) * len(triggers) // (KILLS + 1))
        await throttles[kill % REPLICAS].kill()
        throttles[kill % REPLICAS] = await stack.start("throttle", wait=False)
    await settled(stack, within_s=120)

    sent = await sends(stack)
    refused = await outcomes(stack)
    people = {trigger.id: (_whose(trigger), trigger.rule) for trigger in triggers}
    by_person = defaultdict(list)
    for trigger_id in sent:
        person, rule = people[trigger_id]
        by_person[person].append(rule)
    with capsys.disabled():
        print(
            f"\n  {REPLICAS} throttles, {KILLS} kills: {len(sent)} sent and {len(refused)} refused of {len(triggers)}"
        )
    assert Counter([*sent, *refused]) == Counter(people.keys())
    assert Counter(map(len, by_person.values())) == {3: PEOPLE}
    assert all(len(set(rules)) == 3 for rules in by_person.values())


def _of(n: int) -> list[Trigger]:
    """Of one person's five rules two each. Every second person was two once, and each trigger tells of the other."""
    names = (f"p{n}", f"q{n}")
    if n % 2:
        return [fired(names[k % 2], f"rule-{k // 2}", aliases=[names[1 - k % 2]]) for k in range(EACH)]
    return [fired(names[0], f"rule-{k // 2}") for k in range(EACH)]


def _whose(trigger: Trigger) -> str:
    return trigger.person[1:]


async def _decided(stack: Stack, count: int) -> None:
    async def check() -> bool:
        (row,) = await stack.fetch("SELECT count(*) AS count FROM throttle.decisions")
        return bool(row["count"] >= count)

    await until(check, within_s=60, what=f"{count} decisions")
