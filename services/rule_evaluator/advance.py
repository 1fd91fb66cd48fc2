"""Taking a person through what happens to them, and saying which rules fire and when to look again. Pure.

Each rule is edge-triggered: it fires when ``when`` turns from false to true. Between two steps every wake that falls
between them is looked at, at its own instant, also after downtime; the result never depends on how steps were batched.
"""

from hashlib import blake2b
from heapq import heapify, heappop, heappush
from operator import attrgetter

import msgspec

from services.rule_evaluator.code import Blocked
from services.rule_evaluator.plan import Compiled, Plan
from services.rule_evaluator.view import IDENTIFY, NEVER, View, key_of
from shared import profile
from shared.clock import Instant
from shared.messages import Case, Fire, HistoryEvent, Joined, Person, RuleState, Step, Verdict
from shared.outcomes import IMPORTED, TAKEN_BACK, beside_mail

BECAUSE = 20
"""Events that a firing names at most, the latest."""
REMEMBERED = 8
"""Firings that a state holds at most, the latest."""

_encode = msgspec.msgpack.Encoder().encode


def advance(plan: Plan, case: Case) -> Verdict:
    """What becomes of ``case.person`` through ``case.steps``. Raises whatever a broken rule raises.

    What the person remembers of a rule that is not in ``plan``, or of a later version, is handed on untouched: another
    replica knows it.
    """
    run = Run(plan, case.person, case.rules)
    for step in case.steps:
        run.take(step)
    return Verdict(run.states(), run.fires, run.wake())


class Run:
    """One person's way through steps that come in order; ``fires`` holds what fired so far, in order."""

    __slots__ = ("_at", "_changes", "_handed_on", "_next", "_person", "_plan", "_seen", "_tracks", "fires", "view")

    def __init__(self, plan: Plan, person: Person, remembered: dict[str, RuleState]) -> None:
        self._plan = plan
        self._person = person.key
        self._handed_on = dict(remembered)
        self._at = _last_look(person, remembered)
        self._seen = max(person.count, max(map(_n, person.history), default=0))
        self.view = View(plan.slots, person.profile, person.history, self._at)
        self.fires: list[Fire] = []
        self._next: Instant = 0
        """No truth changes by itself before this."""
        self._changes: list[tuple[Instant, int]] = []
        """A heap of when to look at which track: no later than it changes by itself, at most once each."""
        self._tracks = [self._track(number, compiled, person, remembered) for number, compiled in enumerate(plan.rules)]
        self._changes = []
        for track in self._tracks:
            track.queued = track.change
            if track.change != NEVER:
                self._changes.append((track.change, track.number))
        heapify(self._changes)
        self.fires.sort(key=lambda fire: fire.at)

    def take(self, step: Step) -> None:
        """The wakes that come first, all of them, and then what the step brings."""
        at, event = step.at, step.event
        if self._next <= at:
            self._pass_time(at)
        if at > self._at:
            self._at = at
        if event is not None:
            self._take_event(event)
        elif step.joined is not None:
            self._take_joined(step.joined)

    def states(self) -> dict[str, RuleState]:
        """What to remember of each rule."""
        states = self._handed_on
        for track in self._tracks:
            if track.began:
                live = track.live
                states[live.rule.id] = RuleState(
                    live.baseline, track.holds, self._at, self._seen, track.fired, track.change
                )
        return states

    def wake(self) -> Instant | None:
        """The earliest later instant at which some truth could change by itself."""
        wake = self.view.next_ahead()
        for track in self._tracks:
            wake = min(wake, track.change if track.began else track.first_change(self.view))
        return wake if wake != NEVER else None

    # --- Beginning ----------------------------------------------------------------------------------------------------

    def _track(self, number: int, compiled: Compiled, person: Person, remembered: dict[str, RuleState]) -> "Track":
        """As far as everything else of the person is, whatever was missed."""
        live = compiled.live
        state = remembered.get(live.rule.id)
        track = Track(number, compiled)
        if state is not None and state.version > live.baseline:  # somebody knows the rule better than we do
            track.change = NEVER
            return track
        if state is not None:
            track.fired = state.fired
        if state is not None and state.version == live.baseline:
            track.resume(state)
            if state.seen < person.count or state.at < self._at or not state.change:
                self._catch_up(track, person, state.at, state.seen)
        elif any(event.arrived > live.live_since for event in person.history):
            arrived = [event.n for event in person.history if event.arrived <= live.live_since]
            self._catch_up(track, person, live.live_since, max(arrived, default=0))
        return track

    def _catch_up(self, track: "Track", person: Person, at: Instant, seen: int) -> None:
        """The rule was not known when the latest events came: take them again, for it alone, as if they came now."""
        known = [event for event in person.history if event.n <= seen]
        view = View(self._plan.slots, person.profile, known, at)
        if track.began:
            track.change = track.look(view, at)[1]
        for event in sorted(person.history, key=lambda event: event.n):
            if event.n > seen:
                self._pass_alone(track, view, event.arrived)
                view.add(event, max(event.arrived, at))
                track.take_back(event)
                if track.began and track.live.rule.concerns.covers(event.name):
                    self._look(track, view, max(event.arrived, at), event)
        self._pass_alone(track, view, self._at)

    def _pass_alone(self, track: "Track", view: View, until: Instant) -> None:
        while (t := min(track.change, view.next_ahead())) <= until:
            if not track.began and track.change <= t:
                track.begin(view)
            view.mature(t)
            if track.began:
                self._look(track, view, t, None)

    # --- Going on -----------------------------------------------------------------------------------------------------

    def _pass_time(self, until: Instant) -> None:
        """Look at every instant up to ``until`` at which a truth may change by itself."""
        while True:
            t = min(self._next_change(), self.view.next_ahead())
            self._next = t
            if t > until:
                return
            due = []
            while self._next_change() <= t:
                track = self._tracks[heappop(self._changes)[1]]
                track.queued = NEVER
                due.append(track)
            self._wake(due, t)

    def _next_change(self) -> Instant:
        """The earliest that any track says now."""
        changes = self._changes
        while changes:
            queued, number = changes[0]
            track = self._tracks[number]
            if track.change == queued == track.queued:
                return queued
            heappop(changes)
            if track.queued == queued:  # it moved later
                track.queued = NEVER
                if track.change != NEVER:
                    self._queue(track)
        return NEVER

    def _wake(self, due: "list[Track]", t: Instant) -> None:
        for track in due:
            if not track.began:
                track.begin(self.view)
        looked = {track.number for track in due}
        looked.update(number for number, _ in self._plan.touched(self.view.mature(t)))
        for number in looked:
            track = self._tracks[number]
            if track.began:
                self._look(track, self.view, t, None)

    def _take_event(self, event: HistoryEvent) -> None:
        view = self.view
        name = event.name
        longer = view.add(event, self._at) or (self._plan.profile if name == IDENTIFY else ())
        if event.timestamp > self._at:
            self._next = min(self._next, event.timestamp)
        if event.n > self._seen:
            self._seen = event.n
        if name == IDENTIFY:
            view.profile = profile.merge(view.profile, event.properties)
        if name in TAKEN_BACK:
            for track in self._tracks:
                track.take_back(event)
        at, tracks = self._at, self._tracks
        for number, parts in self._plan.touched(longer):
            track = tracks[number]
            if track.began and (track.blocked is None or track.blocked in parts):
                truth = track.look(view, at)
                if truth[0] or truth[1] < track.queued:
                    self._learn(track, truth, view, at, event)
                else:  # as nearly always: ``_learn`` without the call, which would cost as much as the look
                    track.holds, track.change, track.blocked = truth

    def _take_joined(self, joined: Joined) -> None:
        """What held for either of the two does not turn true by their being one. Who is known from an import alone brings
        only what is past: what that makes true does not fire."""
        view = self.view
        view.profile = {**joined.profile, **view.profile}
        history = joined.history
        for event in history:
            view.add(event, self._at)
            self._seen = max(self._seen, event.n)
        self._next = min(self._next, view.next_ahead())
        past = history[-1] if history and all(event.source == IMPORTED for event in history) else None
        for name, state in joined.rules.items():
            self._handed_on[name] = join_states(self._handed_on.get(name), state)
        for track in self._tracks:
            if (brought := joined.rules.get(track.live.rule.id)) is not None:
                track.join(brought)
            if track.began:
                self._look(track, view, self._at, past)

    def _look(self, track: "Track", view: View, t: Instant, event: HistoryEvent | None) -> None:
        self._learn(track, track.look(view, t), view, t, event)

    def _learn(self, track: "Track", truth: Blocked, view: View, t: Instant, event: HistoryEvent | None) -> None:
        holds, change, track.blocked = truth
        if change <= t:
            raise RuntimeError(f"rule {track.live.rule.id}: a wake at {change}, not after {t}")
        if holds and not track.holds and (event is None or event.source != IMPORTED):
            self._turn_true(track, view, t, event)
        track.holds, track.change = holds, change
        if change < track.queued:
            self._queue(track)

    def _queue(self, track: "Track") -> None:
        """A change that moves later stays in its place: it is looked at too early once, and moved then."""
        track.queued = track.change
        heappush(self._changes, (track.change, track.number))
        if track.change < self._next:
            self._next = track.change

    def _turn_true(self, track: "Track", view: View, t: Instant, event: HistoryEvent | None) -> None:
        rule, version, baseline, _ = track.live
        reentry = rule.reentry or 0  # 0 still keeps a new version from repeating what the old one did a moment later
        if track.fired and t - track.fired[-1][1] < reentry:
            return
        trigger = _trigger_id(self._person, rule.id, baseline, event.id if event is not None else t)
        track.fired = [*(entry for entry in track.fired if t - entry[1] < reentry), (trigger, t)][-REMEMBERED:]
        reasons = {reason.n: reason for reason in rule.when.because(view, t, wanted=True)}
        because = [reason.n for reason in sorted(reasons.values(), key=key_of)[-BECAUSE:]]
        expires = t + rule.expires if rule.expires is not None else None
        self.fires.append(
            Fire(trigger, rule.id, version, t, rule.terms_for(self._person), because, event is None, expires)
        )


class Track:
    """One rule in a run.

    A rule that has no memory of the person, or one of an earlier version, begins at its ``live_since`` with what had
    arrived until then: what is true there does not fire. Until time has passed that instant it has no memory at all.
    ``change`` is when to look again; before the beginning, the first instant after ``live_since``; never, if another
    replica knows the rule in a later version.
    """

    __slots__ = ("began", "blocked", "change", "fired", "holds", "live", "look", "number", "queued")

    def __init__(self, number: int, compiled: Compiled) -> None:
        self.number = number
        self.live, self.look, _ = compiled
        self.began = False
        self.holds = False
        self.fired: list[tuple[str, Instant]] = []
        self.change: Instant = self.live.live_since + 1
        self.queued: Instant = NEVER
        """When it stands in the run's heap; no later than ``change``."""
        self.blocked: int | None = None
        """A part that is false until an event concerns it: until then nothing else matters. Most rules are in this state
        for most people, which saves more than half of all looks."""

    def resume(self, state: RuleState) -> None:
        self.began, self.holds, self.change = True, state.holds, state.change

    def begin(self, view: View) -> None:
        self.began = True
        self.holds, self.change, self.blocked = self.look(view, self.live.live_since)
        if self.fired:
            for event in view.events:
                self.take_back(event)

    def first_change(self, view: View) -> Instant:
        """When the truth may change after the beginning, if nothing arrives until then."""
        return self.look(view, self.live.live_since)[1] if self.change != NEVER else NEVER

    def take_back(self, event: HistoryEvent) -> None:
        """The firing that the outcome names came to nothing."""
        if event.name in TAKEN_BACK and self.fired and not beside_mail(event):
            trigger = event.properties.get("trigger_id")
            self.fired = [entry for entry in self.fired if entry[0] != trigger]

    def join(self, state: RuleState) -> None:
        self.fired = _join_firings(self.fired, state.fired)
        if self.began and state.version == self.live.baseline:
            self.holds = self.holds or state.holds


def join_states(own: RuleState | None, other: RuleState) -> RuleState:
    """What is remembered of a rule that is not known here, of two people who turned out to be one."""
    if own is None or own.version < other.version:
        return other if own is None else msgspec.structs.replace(other, fired=_join_firings(own.fired, other.fired))
    fired = _join_firings(own.fired, other.fired)
    holds = own.holds or (other.holds and other.version == own.version)
    return msgspec.structs.replace(own, fired=fired, holds=holds)


def _join_firings(one: list[tuple[str, Instant]], other: list[tuple[str, Instant]]) -> list[tuple[str, Instant]]:
    return sorted({*one, *other}, key=lambda entry: (entry[1], entry[0]))[-REMEMBERED:]


def _last_look(person: Person, remembered: dict[str, RuleState]) -> Instant:
    """How far the person was taken already. What is dated later has not happened yet."""
    looked = max((state.at for state in remembered.values()), default=0)
    return max(looked, max(map(_arrived, person.history), default=0))


_n, _arrived = attrgetter("n"), attrgetter("arrived")


def _trigger_id(person: str, rule: str, version: int, step: str | Instant) -> str:
    """The same for the same step, after whatever crash; different for any other. ``step``: an event's id or a wake."""
    return blake2b(_encode((person, rule, version, step)), digest_size=16).hexdigest()
