"""What is decoded lazily is the same as what was sent."""

import msgspec
import pytest

from services.rule_evaluator.wire import EvaluateOnWire, VerifyOnWire
from shared.messages import Case, Evaluate, HistoryEvent, Person, RuleState, Step, Verify

EVENT = HistoryEvent(3, "e3", "product_viewed", 1, 2, {"price": 900, "tags": ["x", {"y": True}]}, True)
ADA = Person("ada", {"email": "ada@shop.example"}, [EVENT, HistoryEvent(4, "e4", "page_viewed", 5, 6, {})], 4)
STATE = RuleState(1, True, 7, 4, [("t", 7)], 9)


def test_a_case() -> None:
    sent = Evaluate([Case(ADA, {"rule": STATE}, [Step(8, EVENT), Step(9)])])
    encoded = msgspec.msgpack.encode(sent)
    (case,) = msgspec.msgpack.decode(encoded, type=EvaluateOnWire).cases
    event = case.as_case().person.history[0]
    assert event.properties == EVENT.properties
    assert event.properties is event.properties, "decoded once"
    assert all(getattr(event, name) == getattr(EVENT, name) for name in HistoryEvent.__struct_fields__)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(case), type=Case) == sent.cases[0]


def test_a_verification() -> None:
    sent = Verify("rule", 2, ADA, 10)
    got = msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=VerifyOnWire)
    assert (got.rule, got.version, got.at) == ("rule", 2, 10)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(got.person.as_person()), type=Person) == ADA


def test_properties_that_are_none_break_only_who_asks_for_them() -> None:
    spoilt = msgspec.structs.replace(EVENT, properties="nonsense")  # type: ignore[arg-type]
    encoded = msgspec.msgpack.encode(Evaluate([Case(Person("ada"), {}, [Step(8, spoilt)])]))
    (case,) = msgspec.msgpack.decode(encoded, type=EvaluateOnWire).cases
    event = case.as_case().steps[0].event
    assert event is not None
    assert event.name == "product_viewed"
    with pytest.raises(msgspec.ValidationError):
        _ = event.properties
