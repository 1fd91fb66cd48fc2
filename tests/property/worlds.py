"""A random world played twice: by the product's own pure parts, as the state service and the rule-evaluator put them
together, and by the brute-force model."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from services.rule_evaluator.advance import advance
from services.rule_evaluator.plan import Plan
from services.rule_evaluator.rules import LiveRule
from services.rule_evaluator.wire import EvaluateOnWire
from services.state import acceptance, settling
from services.state import actor as actors
from services.state.acceptance import Arrival
from services.state.actor import Actor, Limits
from services.state.identity import Link, Message
from services.state.memory import Memory
from shared.clock import Duration, Instant
from shared.messages import Evaluate, Evaluated, Event, Fire, Interest, Verdict
from tests.property import model
from tests.property.cases import TAKE_BACK, UNTIL, Come, Sign, World

Cut = Callable[[], bool]

_decode_request = msgspec.msgpack.Decoder(EvaluateOnWire).decode
_decode_reply = msgspec.msgpack.Decoder(Evaluated).decode


class Service:
    """Two people, as state keeps them: between two turns there is nothing but bytes.

    ``hurry``: whether to look at a due timer before the next turn. Histories are kept as short as the rules allow.
    """

    def __init__(self, rules: Sequence[LiveRule], *, recent: int = 2, margin: Duration = 0) -> None:
        self.plan = Plan(rules)
        self.memory = Memory(Interest(1, 1, self.plan.needs()), margin)
        self.limits = Limits(recent, 200)
        self.people: dict[str, bytes] = {}
        self.recorded: dict[str, list[actors.Remembered]] = {}
        self.fires: list[Fire] = []
        self.fired: dict[str, model.Firing] = {}
        self.wakes: dict[str, Instant | None] = {}
        self._sequence = 0

    def knows(self, rules: Sequence[LiveRule]) -> None:
        """The rule-evaluator is another one, that knows only these rules; what is remembered stays the same."""
        self.plan = Plan(rules)

    def actor(self, key: str) -> Actor:
        return actors.decode(self.people[key]) if key in self.people else Actor()

    def turn(self, key: str, arrivals: Sequence[tuple[Message, Instant]], timer: Instant | None = None) -> None:
        """What arrived for one person, and maybe a timer, in one turn; what leaves for the other arrives there at once."""
        before = self.actor(key)
        accepted = acceptance.accept(before, key, [self._arrival(*arrival) for arrival in arrivals])
        steps = accepted.steps
        if timer is not None and not accepted.into:
            steps = settling.with_timer(steps, timer)
        verdict = self._verdict(before, key, steps) if steps and settling.matter(steps, self.memory) else None
        after = settling.settle(before, accepted, verdict, self.memory, self.limits)
        leaving: list[Message] = []
        if accepted.left is not None:
            leaving.append(settling.hand_over(after, key, accepted.left))
        if accepted.into:
            after = settling.gone(after, accepted.into)
        self.people[key] = actors.encode(after, self.memory)[1]
        if verdict is not None:
            self.fires += verdict.fires
            self.fired |= {fire.trigger: model.Firing(key, fire.rule, fire.at) for fire in verdict.fires}
            self.wakes[key] = verdict.wake
        now = max((at for _, at in arrivals), default=timer or 0)
        for message in [*leaving, *accepted.forwarded]:
            self.turn(message.person, [(message, now)])

    def _arrival(self, message: Message, at: Instant) -> Arrival:
        self._sequence += 1
        return Arrival(message, self._sequence, at)

    def _verdict(self, actor: Actor, key: str, steps: list[Any]) -> Verdict:
        request = msgspec.msgpack.encode(Evaluate([settling.case(actor, key, steps, self.memory)]))
        (case,) = _decode_request(request).cases
        verdict = advance(self.plan, case.as_case())
        (verdict,) = _decode_reply(msgspec.msgpack.encode(Evaluated([verdict]))).verdicts
        return verdict


def message(happening: Come | Sign) -> Message:
    return happening.event if isinstance(happening, Come) else Link("l1", "visitor", "ada")


def addressed(happenings: list[Come | Sign], fires: dict[int, str]) -> list[Come | Sign]:
    """Each outcome that takes back names the firing it was told to name."""
    named = []
    for place, happening in enumerate(happenings):
        if isinstance(happening, Come) and happening.event.name == TAKE_BACK:
            properties = {**happening.event.properties, "trigger_id": fires.get(place, "none")}
            happening = happening._replace(event=msgspec.structs.replace(happening.event, properties=properties))
        named.append(happening)
    return named


def one_by_one(world: World) -> tuple[list[Come | Sign], Service]:
    """Every happening a turn of its own, then the end. An outcome that takes back names the latest firing of anybody."""
    service = Service([rule for _, rule in world.rules])
    told: dict[int, str] = {}
    for place, happening in enumerate(world.happenings):
        if service.fires:
            told[place] = service.fires[-1].trigger
        (happening,) = addressed([happening], {0: told.get(place, "none")})
        for _ in range(1 + (isinstance(happening, Come) and happening.twice)):
            service.turn(message(happening).person, [(message(happening), happening.arrived)])
    for key in ("ada", "visitor"):
        service.turn(key, [], timer=UNTIL)
    return addressed(world.happenings, told), service


def in_batches(world: World, happenings: list[Come | Sign], cut: Cut, hurry: Cut) -> Service:
    """The same with the turns cut in another way, with early timers, and everything forgotten in between."""
    service = Service([rule for _, rule in world.rules], recent=50)
    waiting: dict[str, list[tuple[Message, Instant]]] = {"ada": [], "visitor": []}
    signed_in = False
    for happening in happenings:
        told = message(happening)
        signed_in = signed_in or isinstance(happening, Sign)
        if signed_in and told.person == "visitor":  # what it sends on must not overtake what waits
            _turn(service, "ada", waiting, happening.arrived, hurry)
        for _ in range(1 + (isinstance(happening, Come) and happening.twice)):
            waiting[told.person].append((told, happening.arrived))
        for key in ("ada", "visitor"):
            if cut() or (signed_in and key == "visitor"):
                _turn(service, key, waiting, happening.arrived, hurry)
    for key in ("visitor", "ada"):
        _turn(service, key, waiting, UNTIL, lambda: False)
        service.turn(key, [], timer=UNTIL)
    return service


def _turn(
    service: Service, key: str, waiting: dict[str, list[tuple[Message, Instant]]], now: Instant, hurry: Cut
) -> None:
    arrivals, waiting[key] = waiting[key], []
    wake = service.wakes.get(key)
    first = arrivals[0][1] if arrivals else now
    if wake is not None and wake <= first and hurry():
        service.turn(key, [], timer=wake)
    service.turn(key, arrivals)


# --- By the model -----------------------------------------------------------------------------------------------------


def by_the_model(world: World, happenings: list[Come | Sign], triggers: dict[str, model.Firing]) -> list[model.Firing]:
    fired = []
    for document, rule in world.rules:
        lives = {key: model.Life(key, document, rule.live_since) for key in ("ada", "visitor")}
        numbers = {"ada": 0, "visitor": 0}
        histories: dict[str, list[model.Happening]] = {"ada": [], "visitor": []}
        signed_in = False
        for happening in happenings:
            if isinstance(happening, Sign):
                brought = [e._replace(n=numbers["ada"] + e.n) for e in histories["visitor"]]
                lives["visitor"].pass_to(happening.arrived)
                lives["ada"].join(lives["visitor"], brought, happening.arrived)
                numbers["ada"] += numbers["visitor"]
                signed_in = True
                continue
            event = happening.event
            key = "ada" if signed_in else event.person
            numbers[key] += 1
            seen = _happening(numbers[key], event, happening.arrived)
            histories[key].append(seen)
            lives[key].arrive(seen, triggers.get(str(event.properties.get("trigger_id"))))
        lives["ada"].pass_to(UNTIL)
        if not signed_in:
            lives["visitor"].pass_to(UNTIL)
        fired += lives["ada"].fired + lives["visitor"].fired
    return fired


def _happening(n: int, event: Event, arrived: Instant) -> model.Happening:
    return model.Happening(n, event.name, event.timestamp, arrived, event.properties, event.trusted)
