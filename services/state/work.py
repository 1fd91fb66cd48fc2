"""What one turn of the loop makes of what it took: steps, then, with the verdicts, everything to be committed. No I/O here."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from services.state import acceptance, actor, settling
from services.state.acceptance import Accepted
from services.state.actor import Actor, Limits
from services.state.identity import Message
from services.state.intake import Turn
from services.state.memory import Memory
from services.state.rows import Commit, Loaded, Position, Saved
from shared.clock import MINUTE, Duration, Instant
from shared.messages import Case, Verdict

RETRY_FAILED: Duration = MINUTE
"""When a person's rules are tried again after their evaluation failed."""


class Work(Struct):
    """``accepted``: of everybody in the turn. ``asked``: whose rules must look, with what they are asked."""

    turn: Turn
    accepted: dict[str, Accepted]
    asked: dict[str, Case]


class Done(Struct):
    """``sent``: what must be published before ``commit``; ``kept``: the actors as they are after it."""

    commit: Commit
    kept: dict[str, Loaded]
    sent: list[Message]
    failed: dict[str, str]
    """People whose rules could not be evaluated, and why."""


def begin(turn: Turn, people: Mapping[str, Loaded], memory: Memory) -> Work:
    work = Work(turn, {}, {})
    for key in turn.people:
        before = people[key].actor
        accepted = work.accepted[key] = acceptance.accept(before, key, turn.arrivals.get(key, ()))
        steps = accepted.steps
        if key in turn.until and not accepted.into:
            steps = settling.with_timer(steps, turn.until[key])
        if steps and settling.matter(steps, memory):
            work.asked[key] = settling.case(before, key, steps, memory)
    return work


def conclude(
    work: Work,
    people: Mapping[str, Loaded],
    verdicts: Mapping[str, Verdict],
    memory: Memory,
    limits: Limits,
    now: Instant,
) -> Done:
    """Everything the turn made. People of whom nothing changed are left out."""
    turn = work.turn
    positions = [Position(p.id, p.epoch, p.taken, p.taken_time) for p in turn.partitions.values()]
    done = Done(Commit(positions), {}, [], {})
    for key, accepted in work.accepted.items():
        before, stored = people[key]
        verdict = verdicts.get(key)
        if verdict is not None and verdict.error:
            done.failed[key] = verdict.error
            verdict.wake = now + RETRY_FAILED
        if verdict is None and not accepted.steps and accepted.into == before.into and key not in turn.due:
            done.sent += accepted.forwarded
            continue
        settled = settling.settle(before, accepted, verdict, memory, limits)
        if accepted.left is not None:
            done.sent.append(settling.hand_over(settled, key, accepted.left))
        done.sent += accepted.forwarded
        due = stored if verdict is None else actor.next_due(stored, verdict.wake, turn.until.get(key, now))
        if accepted.into:
            settled, due = settling.gone(settled, accepted.into), None
        _keep(done, key, turn.homes[key], settled, due, memory)
        _collect(done.commit, key, turn.homes[key], before, accepted, verdict)
    return done


def _keep(done: Done, key: str, home: int, settled: Actor, due: Instant | None, memory: Memory) -> None:
    kept, remembered = actor.encode(settled, memory)
    done.kept[key] = Loaded(kept, due)
    done.commit.actors.append(Saved(home, key, remembered, due))


def _collect(commit: Commit, key: str, home: int, before: Actor, accepted: Accepted, verdict: Verdict | None) -> None:
    commit.events += accepted.stored
    commit.fates += settling.fates(accepted.stored)
    commit.absorbed += accepted.absorbed
    commit.ties += [(home, tie) for tie in accepted.ties]
    for fire in verdict.fires if verdict is not None else ():
        commit.triggers.append((home, settling.trigger(key, fire, before, accepted)))


def measure(done: Done, turn: Turn, now: Instant, observe: Callable[[str, Duration], None]) -> None:
    """``observe`` is told how long after its time each thing was committed: ``event`` or ``timer``."""
    for stored in done.commit.events:
        observe("event", now - stored.arrived)
    for due in turn.due.values():
        observe("timer", now - due)
