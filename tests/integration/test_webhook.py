"""The webhook service on real servers: every webhook ends once, an endpoint hears of it at least once, and none waits for another's."""

import asyncio
import fnmatch
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres, free_port
from services.setup import database as setup
from services.webhook.circuit import FAILURES
from shared import subjects
from shared.bus import Outgoing
from shared.clock import SECOND, SystemClock
from shared.messages import EmailAction, Event, Trigger, WebhookAction
from shared.webhooks import (
    EnableEndpoint,
    EndpointEnabled,
    GetWebhook,
    ListWebhooks,
    ReplayWebhooks,
    WebhookFound,
    WebhooksListed,
    WebhooksReplayed,
)
from tests.support.command import beckon
from tests.support.mailing import People
from tests.support.receiver import Receiver
from tests.support.stack import DATABASE_PASSWORDS, Stack, until
from tests.support.webhooks import allowed, publish, start


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = await Receiver().start()
    yield receiver
    for held in receiver.held.values():
        held.set()
    await receiver.stop()


async def outcomes(stack: Stack) -> dict[str, Event]:
    """What was told, by trigger: one event each, or this fails."""
    events = await stack.messages(subjects.EVENTS, Event)
    found = {event.properties["trigger_id"]: event for event in events}
    assert len(found) == len(events)
    return found


async def ended(stack: Stack, *triggers: Trigger, within_s: float = 10) -> list[Event]:
    async def check() -> dict[str, Event]:
        found = await outcomes(stack)
        return found if all(trigger.id in found for trigger in triggers) else {}

    found = await until(check, within_s=within_s, what=f"{len(triggers)} webhooks ended")
    return [found[trigger.id] for trigger in triggers]


async def ask(stack: Stack, subject: str, request: Any, reply: Any) -> Any:
    return await (await stack.bus("operator")).request(subject, request, reply)


async def found(stack: Stack, trigger: Trigger) -> WebhookFound:
    answer: WebhookFound = await ask(stack, subjects.WEBHOOKS_GET, GetWebhook(trigger.id), WebhookFound)
    return answer


async def reaches(stack: Stack, trigger: Trigger, status: str, attempts: int) -> WebhookFound:
    async def check() -> WebhookFound | None:
        answer = await found(stack, trigger)
        state = answer.webhook and (answer.webhook.status, answer.webhook.attempts)
        return answer if state == (status, attempts) else None

    answer = await until(check, what=f"{trigger.id} is {status} after {attempts} attempts")
    assert answer is not None
    return answer


# --- The good way -----------------------------------------------------------------------------------------------------


async def test_an_allowed_send_becomes_a_signed_request(stack: Stack, people: People, receiver: Receiver) -> None:
    webhook = await start(stack)
    trigger = allowed(receiver.url("/hook?from=beckon"))
    await publish(stack, trigger)
    (event,) = await ended(stack, trigger)
    (received,) = receiver.received
    assert received.headers["Host"] == f"127.0.0.1:{receiver.port}"
    said = received.verified()
    assert (said["type"], said["data"]["trigger_id"], received.id) == ("trigger.fired", trigger.id, trigger.id)
    assert (said["data"]["rule"], said["data"]["version"], said["data"]["test"]) == ("cart-abandonment", 3, False)
    assert said["data"]["person"] == {"id": "ada", "profile": {"email": "ada@example.test", "first_name": "Zoë"}}
    assert said["data"]["because"][0]["properties"] == {"product_id": "k1", "price": 129.5}
    assert people.verified == ["ada"]

    told = event.properties
    assert (event.name, told["attempts"], "beside_mail" in told) == ("webhook_sent", 1, False)
    stages = [told[stage] for stage in ("due", "committed", "decided", "verified", "accepted")]
    assert stages == sorted(stages)
    assert webhook.metric('beckon_webhooks_total{status="sent"}') == 1
    assert webhook.metric("beckon_due_to_webhook_seconds_count") == 1
    (line,) = webhook.logged("webhook_sent")
    assert (line["trigger"], line["latency_ms"]) == (trigger.id, told["latency_ms"])
    assert "Zoë" not in webhook.log.read_text()


async def test_a_send_that_comes_again_is_not_sent_again(stack: Stack, people: People, receiver: Receiver) -> None:
    await start(stack)
    trigger, last = allowed(receiver.url()), allowed(receiver.url())
    await publish(stack, trigger)
    await ended(stack, trigger)
    await publish(stack, trigger, last, attempt="again")
    await ended(stack, last)
    assert sorted(received.id for received in receiver.received) == sorted([trigger.id, last.id])


async def test_replicas_share_the_work_and_send_everything_once(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    await asyncio.gather(*(start(stack, WEBHOOK_PARALLEL="3", CLAIM_S="30") for _ in range(2)))
    triggers = [allowed(receiver.url(f"/{n % 4}"), f"person-{n}") for n in range(200)]
    await publish(stack, *triggers)
    assert {event.name for event in await ended(stack, *triggers, within_s=30)} == {"webhook_sent"}
    assert sorted(received.id for received in receiver.received) == sorted(trigger.id for trigger in triggers)
    assert max(receiver.most.values()) <= 2 * 3


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


# --- Not sent, and why ------------------------------------------------------------------------------------------------


async def test_what_is_no_longer_true_or_wanted_is_not_sent(stack: Stack, people: People, receiver: Receiver) -> None:
    await start(stack)
    people.untrue |= {"ada", "bea"}
    people.refusals["cleo", "default"] = "suppressed: unsubscribed"
    untrue, careless = allowed(receiver.url()), allowed(receiver.url(), "bea", terms={"verify": False})
    unwanted = allowed(receiver.url(), "cleo")
    await publish(stack, untrue, careless, unwanted)
    events = await ended(stack, untrue, careless, unwanted)
    told = [(event.name, event.properties.get("stage"), event.properties.get("reason")) for event in events]
    assert told == [
        ("trigger_suppressed", "verify", "no longer true: a purchase came in between"),
        ("webhook_sent", None, None),
        ("trigger_suppressed", "consent", "suppressed: unsubscribed"),
    ]
    assert [received.id for received in receiver.received] == [careless.id]
    refused = await ask(stack, subjects.WEBHOOKS_REPLAY, ReplayWebhooks([untrue.id]), WebhooksReplayed)
    assert refused.ids == []


NOT_SENT = [
    (
        "http://127.0.0.1:{port}/",
        "cms",
        "secret",
        "the rule signs with secret 'cms', which WEBHOOK_SECRETS does not have",
    ),
    (
        "http://127.0.0.1:{port}/",
        "crm",
        "address",
        "without https only what WEBHOOK_ALLOW names is called, and 127.0.0.1 *",
    ),
    ("https://127.0.0.1:{port}/", "crm", "address", "127.0.0.1 is at 127.0.0.1, which is not on the internet; *"),
    ("https://localhost:{port}/", "crm", "address", "localhost is at *, which is not on the internet; *"),
    (
        "https://[::ffff:127.0.0.1]:{port}/",
        "crm",
        "address",
        "::ffff:127.0.0.1 is at *, which is not on the internet; *",
    ),
    ("https://169.254.169.254/latest/meta-data/", "crm", "address", "169.254.169.254 is at *, which is not on the *"),
    ("https://0x7f.0.0.1:{port}/", "crm", "address", "0x7f.0.0.1 is at 127.0.0.1, which is not on the internet; *"),
    ("https://2130706433:{port}/", "crm", "address", "2130706433 is no name, and no address as addresses are written"),
    ("https://127.1:{port}/", "crm", "address", "127.1 is no name, and no address as addresses are written"),
    ("https://0177.0.0.1:{port}/", "crm", "address", "0177.0.0.1 is no name, and no address as addresses are written"),
]


async def test_what_cannot_be_sent_says_why(stack: Stack, people: People, receiver: Receiver) -> None:
    await start(stack, WEBHOOK_ALLOW="")
    triggers = [
        allowed("", terms={"webhook": WebhookAction(url.format(port=receiver.port), secret)})
        for url, secret, _, _ in NOT_SENT
    ]
    await publish(stack, *triggers)
    for event, (_, _, stage, reason) in zip(await ended(stack, *triggers), NOT_SENT, strict=True):
        assert (event.name, event.properties["stage"]) == ("webhook_failed", stage)
        assert fnmatch.fnmatchcase(event.properties["reason"], reason)
    assert receiver.received == []


async def test_what_was_not_begun_in_time_expires(stack: Stack, people: People, receiver: Receiver) -> None:
    """While another takes the endpoint's only place; that one was begun, and may be tried for days."""
    await start(stack, WEBHOOK_PARALLEL="1", WEBHOOK_TIMEOUT_S="4", CLAIM_S="5")
    receiver.held["/hook"] = asyncio.Event()
    soon = SystemClock().now() + SECOND
    begun, late = allowed(receiver.url(), expires=soon), allowed(receiver.url(), expires=soon)
    await publish(stack, begun)
    await until(lambda: arrived(receiver, 1))
    await publish(stack, late)
    (event,) = await ended(stack, late)
    assert (event.name, event.properties["stage"]) == ("webhook_expired", "webhook")
    assert event.properties["reason"].startswith("not tried by 20")
    receiver.held["/hook"].set()
    (event,) = await ended(stack, begun)
    assert event.name == "webhook_sent"
    assert len(receiver.received) == 1


async def test_what_comes_too_late_is_not_begun(stack: Stack, people: People, receiver: Receiver) -> None:
    await start(stack)
    late = allowed(receiver.url(), expires=SystemClock().now() - 1)
    await publish(stack, late)
    (event,) = await ended(stack, late)
    assert event.name == "webhook_expired"
    assert (people.verified, receiver.received) == ([], [])


async def arrived(receiver: Receiver, count: int) -> bool:
    return len(receiver.received) >= count


async def test_beside_a_mail_it_is_told_and_ends_nothing(stack: Stack, people: People, receiver: Receiver) -> None:
    await start(stack)
    people.untrue.add("bea")
    both = {"action": EmailAction("cart-reminder")}
    sent, suppressed = allowed(receiver.url(), terms=both), allowed(receiver.url(), "bea", terms=both)
    await publish(stack, sent, suppressed)
    events = await ended(stack, sent, suppressed)
    assert [(event.id, event.properties["beside_mail"]) for event in events] == [
        (f"beckon:{sent.id}.webhook.webhook_sent", True),
        (f"beckon:{suppressed.id}.webhook.trigger_suppressed", True),
    ]


async def test_webhooks_under_test_go_to_the_endpoint_for_tests_only(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    trial = {"test": True}
    webhook = await start(stack)
    nowhere = allowed(receiver.url(), terms=trial)
    await publish(stack, nowhere)
    (event,) = await ended(stack, nowhere)
    assert (event.name, event.properties["stage"]) == ("trigger_suppressed", "address")
    await webhook.stop()

    await start(stack, WEBHOOK_TEST_URL=receiver.url("/test"), BECKON_ENV="staging")
    trigger = allowed(receiver.url())
    await publish(stack, trigger)
    (event,) = await ended(stack, trigger)
    assert event.properties["trial"] is True
    (received,) = receiver.received
    assert (received.path, received.said["data"]["test"]) == ("/test", True)


async def test_what_is_no_send_is_put_aside_and_the_rest_goes_on(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    await start(stack)
    throttle = await stack.bus("throttle")
    await throttle.publish(Outgoing(subjects.SENDS_WEBHOOK, b"\xc1", "poison"))
    await publish(stack, allowed("", terms={"action": EmailAction("t"), "webhook": None}))
    trigger = allowed(receiver.url())
    await publish(stack, trigger)
    await ended(stack, trigger)
    reasons = [letter.reason for letter in await stack.dead_letters()]
    assert len(reasons) == 2
    assert "a send of a webhook, of a rule that has none" in reasons


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


# --- The command line -------------------------------------------------------------------------------------------------


async def test_an_operator_sees_what_became_of_webhooks_and_sends_them_again(
    stack: Stack, people: People, receiver: Receiver
) -> None:
    operator = stack.nats.url("operator")
    await start(stack, WEBHOOK_DELAYS="0s,24h")
    assert (await beckon(operator, "webhooks", "list")).out == "no endpoints yet\n\nno webhooks\n"
    receiver.replies["/hook"] = [(500, {}), (410, {})]
    gone, sent = allowed(receiver.url()), allowed(receiver.url("/well"))
    await publish(stack, gone, sent)
    await ended(stack, sent)
    await reaches(stack, gone, "pending", 2)

    endpoints, webhooks = [part.splitlines() for part in (await beckon(operator, "webhooks", "list")).out.split("\n\n")]
    assert [line.split()[1:4] for line in endpoints[1:]] == [
        [receiver.url(), "1", "no,"],
        [receiver.url("/well"), "0", "yes"],
    ]
    assert {line.split()[0]: line.split()[3:5] for line in webhooks[1:]} == {
        gone.id: ["pending", "2"],
        sent.id: ["sent", "1"],
    }
    only, shown = await asyncio.gather(
        beckon(operator, "webhooks", "list", "--status", "pending", "--rule", gone.rule, "--json"),
        beckon(operator, "webhooks", "show", gone.id),
    )
    assert [webhook["id"] for webhook in only.json()["webhooks"]] == [gone.id]
    lines = shown.out.splitlines()
    assert lines[0] == f"{gone.id}  rule cart-abandonment  person ada"
    assert lines[2].startswith("pending: HTTP 410, next at 20")
    assert [line.split()[2:4] for line in lines[5:7]] == [["HTTP", "500"], ["HTTP", "410"]]
    assert lines[-1].encode() == receiver.at("/hook")[0].body

    receiver.replies["/hook"] = [(200, {})]
    identity = endpoints[1].split()[0]
    assert (await beckon(operator, "webhooks", "enable", identity)).out == f"{identity}: enabled, 1 waiting\n"
    await ended(stack, gone)
    assert (await beckon(operator, "webhooks", "replay", gone.id)).out == "1 will be sent\n"
    said = [
        (("replay", "nope"), 1, "beckon: not sent again, being suppressed, under way or not known: nope\n"),
        (("show", "nope"), 1, "beckon: there is no webhook nope, or it is known no more\n"),
        (("enable", "nope"), 1, "beckon: the webhook service says no: there is no endpoint nope\n"),
        (("replay",), 2, "beckon: webhooks replay: name webhooks, or an --endpoint\n"),
        (
            ("list", "--status", "lost"),
            2,
            "beckon: webhooks list: --status lost is not one of pending, sent, failed, *",
        ),
    ]
    answers = await asyncio.gather(*(beckon(operator, "webhooks", *arguments) for arguments, _, _ in said))
    for ran, (_, code, line) in zip(answers, said, strict=True):
        assert ran.code == code
        assert fnmatch.fnmatchcase(ran.err, line)
