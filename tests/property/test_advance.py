"""The rules' semantics against a brute-force model, and against themselves with the steps cut up in other ways.

``make test`` tries 20,000 worlds from seeds and some hundred from Hypothesis, which shrinks what it finds. A longer run:
``BECKON_WORLDS=1000000 .venv/bin/python -m pytest tests/property -k seeds``. Every counterexample that was ever found is a
named test in ``tests/unit/rule_evaluator/test_found.py``.
"""

import os
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.rule_evaluator.rules import LiveRule
from shared.clock import Instant
from shared.messages import Fire
from tests.property import cases, worlds
from tests.property.cases import UNTIL, Come, World

WORLDS = int(os.environ.get("BECKON_WORLDS", "20000"))
PARTS = 20
"""So many tests share the seeds, for as many processors as there are."""

CHANCES = st.randoms(use_true_random=False)
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check_against_the_model(world: World) -> None:
    happenings, service = worlds.one_by_one(world)
    assert len(service.fired) == len(service.fires)
    expected = worlds.by_the_model(world, happenings, service.fired)
    assert sorted(service.fired.values()) == sorted(expected)


@pytest.mark.no_cover  # watched, it takes three times as long
@pytest.mark.parametrize("part", range(PARTS))
def test_fires_when_the_documentation_says_so_from_seeds(part: int) -> None:
    for seed in range(part, WORLDS, PARTS):
        try:
            check_against_the_model(cases.world(Random(seed)))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


@quick
@given(CHANCES)
def test_fires_when_the_documentation_says_so(chance: Random) -> None:
    check_against_the_model(cases.world(chance))


def summary(fires: Sequence[Fire]) -> list[tuple[str, Instant, str, bool]]:
    return sorted((fire.rule, fire.at, fire.trigger, fire.timer) for fire in fires)


@quick
@given(CHANCES)
def test_neither_batches_nor_restarts_nor_extra_timers_matter(chance: Random) -> None:
    world = cases.world(chance)
    happenings, service = worlds.one_by_one(world)
    again = worlds.in_batches(world, happenings, cut=lambda: chance.random() < 0.4, hurry=lambda: chance.random() < 0.5)
    assert summary(again.fires) == summary(service.fires)


@quick
@given(CHANCES)
def test_a_replica_that_does_not_know_a_rule_yet_delays_it_and_changes_nothing(chance: Random) -> None:
    """Except for the profile, of which no history is kept, and for what is joined."""
    world = cases.world(chance)
    alone = [
        come
        for come in world.happenings
        if isinstance(come, Come) and come.event.name != "identify" and come.event.person == "ada"
    ]
    happenings, expected = worlds.one_by_one(World(world.rules, list(alone)))
    live = [rule for _, rule in world.rules]
    service = worlds.Service(live, recent=50, margin=UNTIL)
    for come in happenings:
        service.knows([rule for rule in live if chance.random() < 0.5])
        service.turn("ada", [(worlds.message(come), come.arrived)])
    service.knows(live)
    service.turn("ada", [], timer=UNTIL)
    assert summary(service.fires) == summary(expected.fires)


@quick
@given(CHANCES)
def test_wakes_move_forward_and_end(chance: Random) -> None:
    world = cases.world(chance)
    live: list[LiveRule] = [rule for _, rule in world.rules]
    service = worlds.Service(live)
    told = [(worlds.message(come), come.arrived) for come in world.happenings]
    arrivals = [(message, at) for message, at in told if message.person == "ada"]
    service.turn("ada", arrivals)
    at = arrivals[-1][1] if arrivals else -1
    looks = 0
    while (wake := service.wakes.get("ada")) is not None:
        assert wake > at
        at = wake
        service.turn("ada", [], timer=at)
        looks += 1
        assert looks < 500
