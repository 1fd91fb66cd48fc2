from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from shared import profile
from shared.clock import SECOND, SystemClock, from_datetime, rfc3339, to_datetime
from shared.consume import delay_after
from shared.messages import EmailAction, Event, SendEmail, Terms, Trigger
from shared.outcomes import outcome
from shared.partition import partition_of
from shared.pull import Delivery, delivery

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def test_instants_are_exact_in_both_directions() -> None:
    for moment in (NOON, NOON + timedelta(microseconds=1), datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)):
        assert to_datetime(from_datetime(moment)) == moment
    assert from_datetime(NOON.astimezone(timezone(timedelta(hours=2)))) == from_datetime(NOON)


def test_instants_are_written_as_rfc_3339() -> None:
    assert rfc3339(from_datetime(NOON)) == "2026-01-31T12:00:00Z"
    assert rfc3339(from_datetime(NOON) + 1) == "2026-01-31T12:00:00.000001Z"


def test_the_clock_tells_the_time() -> None:
    assert abs(to_datetime(SystemClock().now()) - datetime.now(UTC)) < timedelta(seconds=5)


def test_partitions_never_change() -> None:
    """crc32 as everybody computes it; another answer would look for people in the wrong place."""
    assert [partition_of(person, 64) for person in ("ada", "XYZ", "ünïcode", "")] == [40, 45, 42, 0]


def test_identify_merges_at_the_top_level_and_removes_nulls() -> None:
    before = {"email": "a@example.test", "address": {"city": "Graz"}}
    assert profile.merge(before, {"address": {"zip": "8010"}, "email": None}) == {"address": {"zip": "8010"}}
    assert before == {"email": "a@example.test", "address": {"city": "Graz"}}


def test_an_outcome_repeated_is_one_event() -> None:
    trigger = Trigger("t1", "ada", "cart", 1, 5, Terms(EmailAction("reminder")))
    first, second = outcome("email_sent", trigger, 5 * SECOND), outcome("email_sent", trigger, 9 * SECOND)
    assert first.id == second.id
    assert first.properties["trigger_id"] == "t1"
    assert first.source == "beckon"


def test_a_newer_version_may_add_fields() -> None:
    newer = {"t": "event", "type": "event"} | msgspec.to_builtins(Event("e", "ada", "x", 1, 1)) | {"colour": "red"}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(newer), type=Event).id == "e"


class Message:
    def __init__(self, reply: str) -> None:
        self.reply = reply


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.EVENTS.r1.2.77.5.1700000000123456789.9",
        "$JS.ACK.hub.acc0unt.EVENTS.r1.2.77.5.1700000000123456789.9",
        "$JS.ACK.hub.acc0unt.EVENTS.r1.2.77.5.1700000000123456789.9.token",
    ],
)
def test_what_jetstream_says_of_a_delivery_is_read_in_both_forms(reply: str) -> None:
    assert delivery(Message(reply)) == Delivery(2, 77, 5, 1_700_000_000_123_456, 9)  # type: ignore[arg-type]


def test_delays_grow_and_are_bounded() -> None:
    assert [delay_after(times) for times in (1, 2, 5)] == [0.1, 0.2, 1.6]
    assert delay_after(50) == 30


def test_a_send_from_before_there_were_webhooks_can_still_be_read() -> None:
    written = {
        "type": "email",
        "trigger": {
            "type": "trigger",
            "id": "t1",
            "person": "ada",
            "rule": "cart",
            "version": 1,
            "at": 5,
            "stamps": {},
            "terms": {"action": {"type": "email", "template": "reminder"}, "category": "nudge"},
        },
    }
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(written), type=SendEmail)
    assert read.trigger == Trigger("t1", "ada", "cart", 1, 5, Terms(EmailAction("reminder"), "nudge"))
