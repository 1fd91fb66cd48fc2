"""The webhook service on real servers: who is called with what, who is not, and what an operator sees of it."""

import asyncio
import fnmatch

from shared import subjects
from shared.bus import Outgoing
from shared.clock import SECOND, SystemClock
from shared.messages import EmailAction, WebhookAction
from shared.webhooks import (
    ReplayWebhooks,
    WebhooksReplayed,
)
from tests.support.command import beckon
from tests.support.mailing import People
from tests.support.receiver import Receiver
from tests.support.stack import Stack, until
from tests.support.webhooks import allowed, arrived, ask, ended, publish, reaches, start

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
