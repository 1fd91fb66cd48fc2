"""Webhooks when an endpoint, a server or the service itself fails: every one is tried again, ends once, and none waits for another's."""

import asyncio
from collections import Counter
from pathlib import Path

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from services.webhook.circuit import FAILURES
from shared import subjects
from shared.clock import SECOND
from shared.webhooks import (
    EnableEndpoint,
    EndpointEnabled,
    ListWebhooks,
    ReplayWebhooks,
    WebhooksListed,
    WebhooksReplayed,
)
from tests.support.mailing import People
from tests.support.ports import free_port
from tests.support.receiver import Receiver
from tests.support.stack import DATABASE_PASSWORDS, Stack, until
from tests.support.webhooks import allowed, arrived, ask, ended, found, outcomes, publish, reaches, start

# --- Tried again ------------------------------------------------------------------------------------------------------


async def test_what_is_not_taken_is_tried_again_with_the_same_id_and_body(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    await start(stack)
    for status in (500, 404, 302):
        path = f"/{status}"
        receiver.replies[path] = [(status, {"location": receiver.url("/elsewhere")}), (200, {})]
        trigger = allowed(receiver.url(path), f"met-by-{status}")
        await publish(stack, trigger)
        (event,) = await ended(stack, trigger)
        assert (event.name, event.properties["attempts"]) == ("webhook_sent", 2)
        first, second = receiver.at(path)
        assert (first.id, first.body) == (second.id, second.body)
        assert first.verified() == second.verified()
        assert [attempt.status for attempt in (await found(stack, trigger)).attempts] == [status, 200]
    assert people.verified == ["met-by-500", "met-by-404", "met-by-302"], "asked before the first attempt only"
    assert receiver.at("/elsewhere") == []


async def test_after_the_last_attempt_it_has_failed_and_an_operator_may_send_it_again(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    await start(stack)
    receiver.replies["/hook"] = [(503, {})]
    trigger = allowed(receiver.url())
    await publish(stack, trigger)
    (event,) = await ended(stack, trigger)
    told = event.properties
    assert (event.name, told["stage"]) == ("webhook_failed", "webhook")
    assert told["reason"] == "not taken at 4 attempts, the last: HTTP 503"
    assert len(receiver.received) == 4

    receiver.replies["/hook"] = [(200, {})]
    people.untrue.add("ada")  # what is sent again may be long past being true
    people.profiles["ada"] = {"first_name": "Zoe"}
    replayed = await ask(stack, subjects.WEBHOOKS_REPLAY, ReplayWebhooks([trigger.id, "nope"]), WebhooksReplayed)
    assert replayed.ids == [trigger.id]
    again = await reaches(stack, trigger, "sent", 1)
    assert len(again.attempts) == 5
    assert {(received.id, received.body) for received in receiver.received} == {(trigger.id, receiver.received[0].body)}
    assert list(await outcomes(stack)) == [trigger.id], "how it ended was told once"


async def test_nobody_is_sent_again_what_they_do_not_want_any_more(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    await start(stack)
    receiver.replies["/hook"] = [(500, {})]
    trigger = allowed(receiver.url())
    await publish(stack, trigger)
    await ended(stack, trigger)
    people.refusals["ada", "default"] = "suppressed: unsubscribed"
    await ask(stack, subjects.WEBHOOKS_REPLAY, ReplayWebhooks(endpoint=receiver.url()), WebhooksReplayed)
    await reaches(stack, trigger, "suppressed", 0)
    assert len(receiver.received) == 4


async def test_an_endpoint_says_when_to_come_back(stack: Stack, people: People, receiver: Receiver) -> None:
    """And is left alone until then, by other webhooks as well."""
    await start(stack, WEBHOOK_PARALLEL="1")
    receiver.replies["/hook"] = [(429, {"retry-after": "1"}), (200, {})]
    triggers = [allowed(receiver.url()) for _ in range(3)]
    await publish(stack, *triggers)
    assert {event.name for event in await ended(stack, *triggers)} == {"webhook_sent"}
    first, second = receiver.received[:2]
    assert second.at - first.at >= SECOND


async def test_an_endpoint_that_is_gone_gets_nothing_until_it_is_enabled(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    webhook = await start(stack, WEBHOOK_PARALLEL="1")
    receiver.replies["/hook"] = [(410, {})]
    first, second, other = allowed(receiver.url()), allowed(receiver.url()), allowed(receiver.url("/other"))
    await publish(stack, first)
    await reaches(stack, first, "pending", 1)
    await publish(stack, second, other)
    await ended(stack, other)
    (gone, well) = (await ask(stack, subjects.WEBHOOKS_LIST, ListWebhooks(), WebhooksListed)).endpoints
    assert (gone.url, gone.waiting, gone.reason) == (receiver.url(), 2, "it answered 410 Gone")
    assert (well.url, well.waiting, well.disabled_at) == (receiver.url("/other"), 0, None)
    assert len(receiver.at("/hook")) == 1
    assert webhook.logged("endpoint_disabled")

    receiver.replies["/hook"] = [(200, {})]
    enabled = await ask(stack, subjects.WEBHOOKS_ENABLE, EnableEndpoint(receiver.url()), EndpointEnabled)
    assert (enabled.endpoint, enabled.waiting) == (gone.id, 2)
    assert {event.name for event in await ended(stack, first, second)} == {"webhook_sent"}


# --- Nobody waits for another -----------------------------------------------------------------------------------------


async def test_an_endpoint_that_hangs_slows_nobody(stack: Stack, people: People, receiver: Receiver) -> None:
    await start(stack, WEBHOOK_PARALLEL="4", WEBHOOK_TIMEOUT_S="20", CLAIM_S="25")
    receiver.held["/dead"] = asyncio.Event()
    await publish(stack, *(allowed(receiver.url("/dead"), f"person-{n}") for n in range(400)))
    await until(lambda: queued(stack, 400))
    latencies = []
    for n in range(100):
        well = allowed(receiver.url("/well"), f"other-{n}")
        await publish(stack, well)
        await until(lambda n=n: arrived(receiver, 4 + n + 1))
        latencies.append(receiver.received[-1].at - well.at)
    print(
        f"beside an endpoint that hangs: p50 {sorted(latencies)[49] / 1000} ms, p99 {sorted(latencies)[98] / 1000} ms"
    )
    assert sorted(latencies)[98] < SECOND / 4
    assert receiver.most == {"/dead": 4, "/well": 1}


async def test_an_endpoint_that_does_not_answer_is_left_alone_and_what_waits_loses_no_attempt(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    webhook = await start(stack, WEBHOOK_PARALLEL="3", WEBHOOK_DELAYS="24h,24h")
    nobody = f"http://127.0.0.1:{free_port()}/"
    triggers = [allowed(nobody, f"person-{n}") for n in range(40)]
    await publish(stack, *triggers)
    await until(lambda: queued(stack, 40))
    await until(lambda: asyncio.to_thread(lambda: bool(webhook.logged("circuit_shut"))))
    well = allowed(receiver.url("/well"))
    await publish(stack, well)
    await ended(stack, well)
    rows = await stack.fetch(
        "SELECT sum(attempts) AS attempts, count(*) FROM webhook.deliveries WHERE status = 'pending'"
    )
    assert rows[0]["count"] == 40
    assert FAILURES <= rows[0]["attempts"] < FAILURES + 3
    assert webhook.metric("beckon_webhook_circuits_broken") == 1


async def queued(stack: Stack, count: int) -> bool:
    (row,) = await stack.fetch("SELECT count(*) FROM webhook.deliveries")
    return bool(row["count"] == count)


# --- Faults -----------------------------------------------------------------------------------------------------------


async def test_killed_between_the_attempt_and_its_record_it_calls_again_with_the_same_id(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    webhook = await start(stack)
    receiver.held["/hook"] = asyncio.Event()
    triggers = [allowed(receiver.url(), f"person-{n}") for n in range(20)]
    await publish(stack, *triggers)
    await until(lambda: arrived(receiver, 8))
    in_hand = {received.id for received in receiver.received}
    await webhook.kill()
    receiver.held["/hook"].set()
    await start(stack)
    assert {event.name for event in await ended(stack, *triggers, within_s=15)} == {"webhook_sent"}
    times = Counter(received.id for received in receiver.received)
    assert set(times) == {trigger.id for trigger in triggers}
    assert {webhook for webhook, count in times.items() if count > 1} >= in_hand
    bodies = {(received.id, received.body) for received in receiver.received}
    assert len(bodies) == 20, "the same content both times"


async def test_told_to_end_it_finishes_what_is_in_hand(stack: Stack, people: People, receiver: Receiver) -> None:
    webhook = await start(stack)
    receiver.held["/hook"] = asyncio.Event()
    trigger = allowed(receiver.url())
    await publish(stack, trigger)
    await until(lambda: arrived(receiver, 1))
    stopping = asyncio.create_task(webhook.stop())
    await until(lambda: asyncio.to_thread(lambda: bool(webhook.logged("service_stopping"))))
    receiver.held["/hook"].set()
    assert await stopping == 0
    (event,) = await ended(stack, trigger)
    assert event.name == "webhook_sent"


async def test_what_nobody_can_say_is_waited_for(stack: Stack, receiver: Receiver) -> None:
    """No attempt is counted meanwhile."""
    webhook = await start(stack)
    trigger = allowed(receiver.url())
    await publish(stack, trigger)
    await until(lambda: asyncio.to_thread(lambda: bool(webhook.logged("webhook_waits"))))
    await People().serve(stack)
    (event,) = await ended(stack, trigger)
    assert (event.name, event.properties["attempts"]) == ("webhook_sent", 1)


async def test_what_nobody_foresaw_comes_up_again_and_keeps_nobody(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    webhook = await start(stack)
    people.mistaken.add("ada")
    unlucky, other = allowed(receiver.url()), allowed(receiver.url(), "bea")
    await publish(stack, unlucky)
    await until(lambda: asyncio.to_thread(lambda: bool(webhook.logged("webhook_not_handled"))))
    await publish(stack, other)
    await ended(stack, other)
    people.mistaken.clear()
    (event,) = await ended(stack, unlucky)
    assert (event.name, event.properties["attempts"]) == ("webhook_sent", 1)


async def test_what_an_endpoint_answered_while_postgresql_was_away_is_not_forgotten(
    tmp_path: Path, nats_server: EmbeddedNats, receiver: Receiver
) -> None:
    postgres = await EmbeddedPostgres.start(tmp_path / "own", max_connections=50)
    try:
        await setup.prepare(postgres.url(), DATABASE_PASSWORDS)
        stack = Stack(tmp_path, nats_server, postgres, "postgres")
        await stack.declare_streams()
        await People().serve(stack)
        webhook = await start(stack, WEBHOOK_TIMEOUT_S="10", CLAIM_S="60")
        receiver.held["/hook"] = asyncio.Event()
        trigger = allowed(receiver.url())
        await publish(stack, trigger)
        await until(lambda: arrived(receiver, 1))
        await postgres.kill()
        receiver.held["/hook"].set()
        await until(lambda: asyncio.to_thread(lambda: bool(webhook.logged("webhook_not_stored_yet"))))
        await postgres.restart()
        (event,) = await ended(stack, trigger, within_s=20)
        assert (event.name, event.properties["attempts"], len(receiver.received)) == ("webhook_sent", 1, 1)
        await stack.close()
    finally:
        await postgres.stop()


async def test_an_ending_that_was_not_told_is_told_later(stack: Stack, people: People, receiver: Receiver) -> None:
    """As after a crash between storing it and telling it."""
    webhook = await start(stack)
    trigger = allowed(receiver.url())
    await publish(stack, trigger)
    await ended(stack, trigger)
    await webhook.stop()
    setup = await stack.bus("setup")
    await setup.nc.jetstream().purge_stream(subjects.EVENTS)
    await stack.fetch("UPDATE webhook.deliveries SET untold = true, ended_at = ended_at - interval '1 hour'")
    await start(stack)

    async def told() -> bool:
        return not await stack.fetch("SELECT 1 FROM webhook.deliveries WHERE untold")

    await until(told)


async def test_what_ended_long_ago_is_forgotten(stack: Stack, people: People, receiver: Receiver) -> None:
    webhook = await start(stack)
    old, new = allowed(receiver.url()), allowed(receiver.url())
    await publish(stack, old, new)
    await ended(stack, old, new)
    await webhook.stop()
    await stack.fetch("UPDATE webhook.deliveries SET ended_at = ended_at - interval '31 days' WHERE id = $1", old.id)
    await start(stack)

    async def left() -> bool:
        return [row["id"] for row in await stack.fetch("SELECT id FROM webhook.deliveries")] == [new.id]

    await until(left)
