"""Learning the catalogue on real servers: whom it believes, and each event once."""

import signal
from collections.abc import AsyncIterator

import pytest
from msgspec import structs

from services.mailer.catalogue.learning import learn, lesson
from services.mailer.catalogue.recommend import similarity
from shared.clock import MINUTE, SECOND, SystemClock
from shared.messages import Event
from tests.support.catalogue import by_server, learned, start, stored, viewed, worked_out
from tests.support.sink import Sink
from tests.support.stack import Service, Stack, until


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink().start()
    yield sink
    sink.stop()


async def test_what_the_shop_says_stands_whatever_browsers_tell(stack: Stack, sink: Sink) -> None:
    await start(stack, sink, CATALOGUE_HOSTS="cdn.shop.example.test")
    picture = "https://cdn.shop.example.test/mug.jpg"
    await stack.publish(
        by_server(viewed("ada", "kettle")),
        *(viewed(person, "mug", image_url=picture) for person in ("ada", "ben", "cleo")),
        *(viewed("mallory", "jug", price=1) for _ in range(9)),
    )
    await learned(stack)
    before = await stored(stack)
    assert before["kettle"]["name"] == "The kettle"
    assert (before["mug"]["name"], before["mug"]["image_url"]) == ("The mug", picture), "three people saw the same"
    assert before["jug"]["name"] is None, "one person may say anything"

    evil = {"name": "Free!", "price": 0.01, "url": "https://evil.test/", "image_url": "https://evil.test/x.jpg"}
    vouched = structs.replace(by_server(viewed("mallory", "kettle", **evil)), vouched=True)
    await stack.publish(
        vouched,
        *(viewed(f"m{n}", name, **evil) for n in range(20) for name in ("kettle", "mug", "lamp")),
        *(viewed(f"m{n}", "kettle", price=0.01) for n in range(20)),
        *(viewed("mallory", "mug", price=0.01) for _ in range(20)),
    )
    await learned(stack)
    after = await stored(stack)
    told = ("name", "price", "url", "image_url")
    for known in ("kettle", "mug"):
        assert [after[known][what] for what in told] == [before[known][what] for what in told]
    assert "lamp" not in after, "its page is not the shop's"

    await stack.publish(by_server(viewed("ada", "kettle", price=30)), by_server(viewed("ada", "mug", price=7)))
    await learned(stack)
    final = await stored(stack)
    assert (final["kettle"]["price"], final["mug"]["price"], final["mug"]["source"]) == (30, 7, "event")


async def test_what_cannot_be_learned_is_put_aside_and_the_rest_is_learned(stack: Stack, sink: Sink) -> None:
    mailer = await start(stack, sink)
    state = await stack.bus("setup")
    spoilt = state.event_message(by_server(viewed("ada", "lamp", category="kitchen")))
    await state.publish(spoilt._replace(payload=spoilt.payload.replace(b"kitchen", b"kit\0hen"), msg_id="spoilt"))
    await state.publish(spoilt._replace(payload=b"\xc1 no event", msg_id="unreadable"))
    await stack.publish(by_server(viewed("ada", "mug")), by_server(viewed("ben", "jug")))
    await learned(stack)
    assert set(await stored(stack)) == {"mug", "jug"}
    (letter,) = await stack.dead_letters()
    assert letter.reason.startswith("cannot be learned from: ")
    assert letter.data == spoilt.payload.replace(b"kitchen", b"kit\0hen")
    assert mailer.metric('beckon_catalogue_events_total{outcome="dead"}') == 1


def clickstream(people: int) -> list[Event]:
    """Each visits twice, an hour apart, and looks at four of ten products; sent by the shop, so that all are known at once."""
    return [
        by_server(viewed(f"p{person}", f"k{(person + visit + step * step) % 10}", ago_us=ago))
        for visit, hours_us in enumerate((90 * MINUTE, 20 * MINUTE))
        for step in range(4)
        for person in range(people)
        for ago in [hours_us - step * MINUTE + person * SECOND]
    ]


async def test_each_event_counts_once_though_learners_are_killed_and_paused(stack: Stack, sink: Sink) -> None:
    mailers = [await start(stack, sink), await start(stack, sink)]

    async def leader() -> Service | None:
        reading = [m for m in mailers if m.process.exit_code is None and m.logged("learning")]
        return reading[-1] if reading else None

    events = clickstream(400)
    parts = [events[start : start + 400] for start in range(0, len(events), 400)]
    first = await until(leader)
    for part in parts[:3]:
        await stack.publish(*part)
    first.process.send(signal.SIGSTOP)
    for part in parts[3:5]:
        await stack.publish(*part)
    await learned(stack)
    (second,) = [mailer for mailer in mailers if mailer is not first]
    first.process.send(signal.SIGCONT)
    for part in parts[5:]:
        await stack.publish(*part)
        if part is parts[6]:
            await second.kill()
    await learned(stack)

    model = learn(filter(None, map(lesson, events)), {}, {}, frozenset(), 0)
    weights = {row["product_id"]: row["weight"] for row in await stack.fetch("SELECT * FROM mailer.product_weights")}
    pairs = await stack.fetch("SELECT product_id, other, weight FROM mailer.product_pairs")
    assert weights == pytest.approx(model.weights, rel=1e-9)
    assert {(r["product_id"], r["other"]): r["weight"] for r in pairs} == pytest.approx(model.pairs, rel=1e-9)

    await worked_out(stack)
    now = SystemClock().now()
    for row in await stack.fetch("SELECT product_id AS one, others, scores FROM mailer.product_neighbours"):
        found = {
            other: similarity(model.pairs[row["one"], other], weights[row["one"]], weights[other], now)
            for other in row["others"]
        }
        assert found
        assert row["scores"] == sorted(row["scores"], reverse=True)
        assert dict(zip(row["others"], row["scores"], strict=True)) == pytest.approx(found, rel=1e-4)


async def test_what_was_counted_is_found_again_after_the_stream_was_made_anew(stack: Stack, sink: Sink) -> None:
    mailer = await start(stack, sink)
    await stack.publish(*(by_server(viewed("ada", f"k{n}")) for n in range(5)))
    await learned(stack)
    assert await mailer.stop() == 0
    js = (await stack.bus("setup")).nc.jetstream()
    await js.delete_stream("EVENTS")
    await stack.declare_streams()
    mailer = await start(stack, sink)
    await stack.publish(by_server(viewed("ada", "new")))

    async def is_there() -> bool:
        return "new" in await stored(stack)

    await until(is_there)
    assert len(await stored(stack)) == 6
    assert mailer.logged("learning_begins_where_the_stream_ends")
