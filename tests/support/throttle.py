"""Triggers as the state service publishes them, and what the throttle makes of them."""

import itertools
from typing import Any

from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import SystemClock
from shared.messages import EmailAction, Event, SendEmail, Stamps, Terms, Trigger
from shared.policies import PolicyPut, PutPolicy
from tests.support.stack import Stack, until

_ids = itertools.count(1)


def fired(
    person: str = "ada",
    rule: str = "win-back",
    *,
    category: str = "nudge",
    holdout: float = 0.0,
    priority: int = 0,
    **more: Any,
) -> Trigger:
    now = SystemClock().now()
    terms = Terms(EmailAction("win-back"), category=category, holdout=holdout, priority=priority)
    stamps = Stamps(due=now, committed=now)
    return Trigger(f"t{next(_ids)}", person, rule, 1, now, terms, stamps=stamps, **more)


async def publish(stack: Stack, *triggers: Trigger, attempt: str = "") -> None:
    """As the state service does; another ``attempt`` gets past the stream's own window of duplicates."""
    state = await stack.bus("state")
    messages = [Outgoing(f"triggers.{n % 16}", encode(each), each.id + attempt) for n, each in enumerate(triggers)]
    assert not any(await state.publish_many(messages, timeout_s=20))


async def settled(stack: Stack, within_s: float = 15) -> None:
    """Every trigger was taken: it is decided, or it waits."""

    async def check() -> bool:
        js = (await stack.bus("setup")).nc.jetstream()
        return (await js.stream_info(subjects.TRIGGERS)).state.messages == 0

    await until(check, within_s=within_s, what="all triggers decided")


async def sends(stack: Stack) -> list[str]:
    return [send.trigger.id for send in await stack.messages(subjects.SENDS, SendEmail)]


async def outcomes(stack: Stack) -> dict[str, tuple[str, Any, Any]]:
    """Name, stage and reason by trigger."""
    events = await stack.messages(subjects.EVENTS, Event)
    found = {
        event.properties["trigger_id"]: (event.name, event.properties.get("stage"), event.properties.get("reason"))
        for event in events
    }
    assert len(found) == len(events), "one outcome per trigger"
    return found


async def put_policy(stack: Stack, document: str) -> PolicyPut:
    operator = await stack.bus("operator")
    return await operator.request(subjects.POLICY_PUT, PutPolicy(document, "a test"), PolicyPut)


async def decisions(stack: Stack) -> dict[str, tuple[str, bool]]:
    """Outcome and whether it was released, by trigger."""
    rows = await stack.fetch("SELECT trigger_id, outcome, released_at FROM throttle.decisions")
    return {row["trigger_id"]: (row["outcome"], row["released_at"] is not None) for row in rows}
