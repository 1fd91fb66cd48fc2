"""Each NATS user may do exactly its work: what k8s/base/nats-users.conf says, on a real server."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.api import AckPolicy, ConsumerConfig

from shared import subjects
from shared.bus import Bus, Outgoing
from shared.errors import BusUnavailable
from shared.ordered import OrderedReader
from tests.support.stack import NATS_PASSWORDS, Stack, until

USERS = sorted(set(NATS_PASSWORDS) - {"setup"})
DENIED_S = 0.4
"""A subject without permission is not answered at all, so a refusal takes this long."""

PUBLISHES = {
    "tracker": {"events.3.site", "events.3.outcome"},
    "state": {"triggers.3", "dead.state", "events.3.actor"},
    "rule_evaluator": {"$KV.INTEREST.live"},
    "throttle": {"sends.email", "sends.webhook", "events.3.outcome", "dead.throttle"},
    "mailer": {"events.3.outcome", "dead.mailer"},
    "webhook": {"events.3.outcome", "dead.webhook"},
    "operator": set[str](),
}
STORED = sorted(set[str]().union(*PUBLISHES.values()))

REQUESTS = {
    "tracker": {"consents.get", "deliveries.report"},
    "state": {"rules.evaluate", "people.get.3"},
    "rule_evaluator": {"history.read", "history.links", "policy.forecast"},
    "throttle": {"people.get.3"},
    "mailer": {"rules.verify", "people.get.3", "consents.check"},
    "webhook": {"rules.verify", "people.get.3", "consents.check"},
    "operator": {
        *("rules.evaluate", "rules.verify", "rules.put", "rules.list", "rules.get", "rules.delete", "rules.schema"),
        *("rules.explain", "rules.backtest", "policy.put", "policy.get", "policy.forecast", "suppressions.put"),
        *("coupons.put", "coupons.add", "coupons.list", "coupons.codes", "coupons.check"),
        *(
            "people.get.3",
            "sweep.progress",
            "results.get",
            "addresses.suppress",
            "catalogue.put",
            "catalogue.list",
            "catalogue.get",
        ),
        *("webhooks.list", "webhooks.get", "webhooks.replay", "webhooks.enable"),
        *("policy.list", "policy.replay", "policy.waiting"),
        *(
            "templates.put",
            "templates.list",
            "templates.get",
            "templates.delete",
            "templates.preview",
            "templates.test",
        ),
    },
}
SERVERS = {
    "rules": "rule_evaluator",
    "policy": "throttle",
    "templates": "mailer",
    "suppressions": "throttle",
    "people": "state",
    "sweep": "state",
    "history": "state",
    "results": "state",
    "consents": "throttle",
    "coupons": "mailer",
    "catalogue": "mailer",
    "webhooks": "webhook",
    "deliveries": "mailer",
    "addresses": "mailer",
}
ASKED = set[str]().union(*REQUESTS.values())

CONSUMERS = {
    ("throttle", "TRIGGERS", "throttle", "triggers.>"),
    ("throttle", "EVENTS", "throttle-outcomes", "events.*.outcome"),
    ("mailer", "SENDS", "mailer", "sends.email"),
    ("webhook", "SENDS", "webhook", "sends.webhook"),
    ("state", "EVENTS", "any", "events.3.*"),
    ("mailer", "EVENTS", "any", "events.*.site"),
}


@pytest.fixture
async def buses(stack: Stack) -> dict[str, Bus]:
    return {user: await stack.bus(user) for user in USERS}


async def permitted(asking: list[tuple[str, str]], ask: Callable[[str, str], Awaitable[bool]]) -> dict[str, set[str]]:
    """Which of the pairs (user, what) passed, by user; asked side by side, since each refusal takes its time."""
    answers = await asyncio.gather(*(ask(user, what) for user, what in asking))
    passed: dict[str, set[str]] = {user: set() for user in USERS}
    for (user, what), answer in zip(asking, answers, strict=True):
        if answer:
            passed[user].add(what)
    return passed


def each_with(what: list[str]) -> list[tuple[str, str]]:
    return [(user, subject) for user in USERS for subject in what]


async def test_each_publishes_its_own_facts_only(buses: dict[str, Bus]) -> None:
    async def publish(user: str, subject: str) -> bool:
        try:
            await buses[user].publish(Outgoing(subject, b"x", f"{user} {subject}"), timeout_s=DENIED_S)
        except BusUnavailable:
            return False
        return True

    assert await permitted(each_with(STORED), publish) == PUBLISHES


async def test_each_asks_what_it_needs_to_know_and_is_answered(buses: dict[str, Bus]) -> None:
    async def answer(msg: Msg) -> None:
        await msg.respond(b"answer")

    for subject in ASKED:
        server = buses[SERVERS[subject.partition(".")[0]]]
        await server.nc.subscribe(subject, queue="servers", cb=answer)
        await server.nc.flush()

    async def request(user: str, subject: str) -> bool:
        try:
            return (await buses[user].nc.request(subject, b"", timeout=DENIED_S)).data == b"answer"
        except (NoRespondersError, TimeoutError):
            return False

    assert await permitted(each_with(sorted(ASKED)), request) == REQUESTS


async def test_each_makes_its_own_consumers_only(buses: dict[str, Bus]) -> None:
    async def make(user: str, what: str) -> bool:
        stream, name, filter_subject = what.split()
        config = ConsumerConfig(name=name, filter_subject=filter_subject, ack_policy=AckPolicy.NONE)
        if stream != subjects.EVENTS or name != "any":
            config = ConsumerConfig(
                name=name, durable_name=name, filter_subject=filter_subject, ack_policy=AckPolicy.EXPLICIT
            )
        try:
            await buses[user].nc.jetstream(timeout=DENIED_S).add_consumer(stream, config)
        except TimeoutError:
            return False
        return True

    asking = each_with([" ".join(consumer[1:]) for consumer in CONSUMERS])
    asking += [("throttle", "EVENTS throttle-outcomes events.*.site"), ("mailer", "SENDS mailer sends.webhook")]
    passed = await permitted(asking, make)
    expected = {user: {" ".join(consumer[1:]) for consumer in CONSUMERS if consumer[0] == user} for user in USERS}
    # State reads events as it likes: also under a name that the throttle uses for its own.
    expected["state"] |= {"EVENTS throttle-outcomes events.*.outcome", "EVENTS any events.*.site"}
    assert passed == expected


async def test_nobody_hears_what_is_meant_for_another(buses: dict[str, Bus]) -> None:
    heard: list[str] = []

    async def hear(msg: Msg) -> None:
        heard.append(msg.subject)

    for user in USERS:
        for subject in ("events.>", "triggers.>", "sends.>", "dead.>", "_INBOX.>", "_INBOX.setup.>", ">"):
            await buses[user].nc.subscribe(subject, cb=hear)
        await buses[user].nc.flush()
    for user, published in PUBLISHES.items():
        for subject in published:
            await buses[user].publish(Outgoing(subject, b"x", subject))
    assert heard == []


async def test_the_operator_reads_dead_letters_and_no_other_messages(buses: dict[str, Bus]) -> None:
    await buses["mailer"].publish(Outgoing("dead.mailer", b"put aside", "d"))
    await buses["tracker"].publish(Outgoing("events.3.site", b"private", "e"))
    js = buses["operator"].nc.jetstream(timeout=DENIED_S)
    assert (await js.stream_info(subjects.DEAD)).state.messages == 1
    assert (await js.get_msg(subjects.DEAD, 1)).data == b"put aside"
    with pytest.raises(TimeoutError):
        await js.get_msg(subjects.EVENTS, 1)


async def test_state_reads_in_order_and_the_throttle_acknowledges(stack: Stack, buses: dict[str, Bus]) -> None:
    await buses["tracker"].publish(Outgoing("events.3.site", b"one", "1"))
    await buses["mailer"].publish(Outgoing("events.3.outcome", b"two", "2"))
    reader = OrderedReader(buses["state"], subjects.EVENTS, "events.3.*", 0, 10, lambda: None)
    await reader.start()

    async def both_arrived() -> bool:
        return len(reader) == 2

    await until(both_arrived, what="both events arrived")
    last = await buses["state"].nc.jetstream().get_last_msg(subjects.EVENTS, "events.3.*")
    assert (last.data, last.seq) == (b"two", 2)
    await reader.stop()

    await buses["state"].publish(Outgoing("triggers.3", b"x", "t"))
    js = buses["throttle"].nc.jetstream(timeout=2)
    config = ConsumerConfig(
        name="throttle", durable_name="throttle", filter_subject="triggers.>", ack_policy=AckPolicy.EXPLICIT
    )
    await js.add_consumer(subjects.TRIGGERS, config)
    inbox = buses["throttle"].nc.new_inbox()
    arrived = await buses["throttle"].nc.subscribe(inbox)
    await buses["throttle"].nc.publish("$JS.API.CONSUMER.MSG.NEXT.TRIGGERS.throttle", b"1", inbox)
    message = await arrived.next_msg(timeout=2)
    await message.in_progress()
    await message.in_progress()
    await message.ack()

    async def queue_is_empty() -> bool:
        setup = await stack.bus("setup")
        return (await setup.nc.jetstream().stream_info(subjects.TRIGGERS)).state.messages == 0

    await until(queue_is_empty, what="the trigger is acknowledged")
