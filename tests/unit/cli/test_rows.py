"""What a row of a file becomes: who it is about, what it tells, under which id, and why not."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from services.cli.rows import Kind, Layout, Wanted, check, in_words, layout, read_json, read_option, read_row
from services.tracker.events import MAX_EVENT_BYTES, EventIn
from services.tracker.flaws import Flaw
from services.tracker.unify import alias
from shared.clock import SECOND

NOW = 1_769_850_000 * SECOND  # 2026-01-31T09:00:00Z
AT = "2024-12-31T14:05:00Z"
WRITTEN = "2026-01-30T00:00:00Z"
ORDERS = ["event", "user_id", "email", "timestamp", "total"]


def orders(*header: str, event: str = "", **wanted: str) -> Layout:
    return layout(header or ORDERS, options(wanted), Kind.EVENTS, event)


def customers(*header: str, **wanted: str) -> Layout:
    return layout(header, options(wanted), Kind.PROFILES, at=WRITTEN)


def options(wanted: dict[str, str]) -> dict[str, Wanted]:
    return dict(read_option(f"{name}={field}") for name, field in wanted.items())


def read(plan: Layout, *cells: str, number: int = 2) -> list[EventIn]:
    """The raw row is of no matter but for its id."""
    items = read_row(plan, cells, number, ";".join(cells).encode())
    check(items, NOW)
    return items


def reason(plan: Layout, *cells: str) -> str:
    with pytest.raises(Flaw) as flaw:
        read(plan, *cells)
    return in_words(plan, flaw.value.reason)


# --- What is told -----------------------------------------------------------------------------------------------------


def test_a_row_of_events_is_an_event() -> None:
    plan = orders("event", "user_id", "anonymous_id", "timestamp", "event_id", "properties.sku", "Note")
    (told,) = read(plan, "Order Completed", " 17 ", "a-1", AT, "order-7", "007", "gift")
    assert told == EventIn(
        event="Order Completed",
        user_id="17",
        anonymous_id="a-1",
        timestamp=AT,
        event_id="order-7",
        properties={"sku": "007", "Note": "gift"},
    )


def test_a_row_of_profiles_is_a_customer_as_of_when_the_file_was_written() -> None:
    (told,) = read(customers("user_id", "first_name", "Orders", "event"), "17", "Ada", "3", "wedding")
    assert (told.event, told.user_id, told.timestamp) == ("identify", "17", WRITTEN)
    assert told.properties == {"first_name": "Ada", "Orders": "3", "event": "wedding"}
    (told,) = read(customers("user_id", "timestamp", "city"), "17", AT, "Ulm")
    assert told.timestamp == AT


def test_what_happened_may_be_the_same_in_all_rows_but_those_that_say_otherwise() -> None:
    plan = orders("event", "user_id", "timestamp", event="purchased")
    assert [read(plan, name, "17", AT)[0].event for name in ("", "refunded")] == ["purchased", "refunded"]


def test_empty_cells_are_left_out() -> None:
    (told,) = read(customers("user_id", "first_name", "city", "anonymous_id"), "17", "", "  ", "")
    assert (told.properties, told.anonymous_id) == ({}, None), "nothing is taken from the profile"


def test_columns_are_renamed_and_dropped() -> None:
    plan = orders(
        "Customer",
        "Created at",
        "Total",
        "Notes",
        event="x",
        Customer="user_id",
        Notes="",
        **{"Created at": "timestamp"},
    )
    (told,) = read(plan, "17", AT, "9", "secret")
    assert (told.user_id, told.timestamp, told.properties) == ("17", AT, {"Total": "9"})


def test_columns_without_a_name_and_reasons_of_earlier_rejections_are_left_out() -> None:
    (told,) = read(customers("rejected_because", "user_id", "", "city"), "line 3: …", "17", "0", "Ulm")
    assert told.properties == {"city": "Ulm"}


def test_numbers_are_what_a_pixel_takes_for_numbers_and_what_is_said_to_be_one() -> None:
    plan = orders(
        "user_id",
        "timestamp",
        "price",
        "total",
        "zip",
        "orders",
        "vip",
        event="x",
        orders="orders:number",
        vip="vip:bool",
    )
    (told,) = read(plan, "17", AT, "12.50", "-3", "01067", "4", "Yes")
    assert told.properties == {"price": 12.5, "total": -3, "zip": "01067", "orders": 4, "vip": True}
    as_text = orders("user_id", "timestamp", "total", event="x", total="total:text")
    assert read(as_text, "17", AT, "12,50")[0].properties == {"total": "12,50"}


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2024-12-31 14:05:00 +0100", "2024-12-31 14:05:00+0100"),
        ("2024-12-31 14:05:00 UTC", "2024-12-31 14:05:00Z"),
        ("2024-12-31T14:05:00.5 -03:30", "2024-12-31T14:05:00.5-03:30"),
        ("1735653900", "1735653900"),
    ],
)
def test_a_space_before_the_zone_is_nothing(written: str, read_as: str) -> None:
    assert read(orders("user_id", "timestamp", event="x"), "17", written)[0].timestamp == read_as


# --- Who --------------------------------------------------------------------------------------------------------------


def test_who_has_only_an_address_is_known_by_it() -> None:
    (guest,) = read(orders(), "purchased", "", "Ada@Example.com", AT, "9")
    assert (guest.user_id, guest.properties) == ("ada@example.com", {"total": 9})
    (visitor,) = read(customers("anonymous_id", "email"), "a-1", "Ada@Example.com")
    assert (visitor.user_id, visitor.anonymous_id) == ("ada@example.com", "a-1")


def test_who_has_both_is_one_person() -> None:
    told, same = read(orders(), "purchased", "17", "Ada@Example.com", AT, "9")
    assert (told.user_id, told.properties) == ("17", {"total": 9})
    assert same == alias("17", "ada@example.com", AT)
    assert len(read(orders(), "purchased", "ada@example.com", "Ada@Example.com", AT, "9")) == 1, "one already"


def test_a_profile_has_its_address_as_it_is_written() -> None:
    told, same = read(customers("user_id", "email"), "17", "Ada@Example.com")
    assert told.properties == {"email": "Ada@Example.com"}
    assert same == alias("17", "ada@example.com", WRITTEN)


# --- Ids --------------------------------------------------------------------------------------------------------------


def test_the_same_row_in_the_same_line_is_the_same_event() -> None:
    row = "purchased", "17", "", AT, "9"
    (one,), (again,) = read(orders(), *row), read(orders(), *row)
    (below,) = read(orders(), *row, number=3)
    (other,) = read(orders(), "purchased", "17", "", AT, "8")
    assert one.event_id == again.event_id
    assert len({one.event_id, below.event_id, other.event_id}) == 3


def test_a_customer_who_is_read_in_another_way_is_told_again() -> None:
    one, later, another = (
        read(plan, "17", "Ada")[0]
        for plan in (
            customers("user_id", "Name"),
            layout(("user_id", "Name"), {}, Kind.PROFILES, at=AT),
            customers("user_id", "Name", Name="first_name"),
        )
    )
    assert one.event_id == later.event_id, "when the file was written is of no matter"
    assert one.event_id != another.event_id


def test_an_event_that_is_read_in_another_way_is_the_same() -> None:
    one, another = (
        read(plan, "17", AT, "9")[0]
        for plan in (
            orders("user_id", "timestamp", "n", event="x"),
            orders("user_id", "timestamp", "n", event="x", n="orders:number"),
        )
    )
    assert one.event_id == another.event_id, "it must not count twice"


# --- Lines of JSON ----------------------------------------------------------------------------------------------------


def line(**fields: Any) -> bytes:
    return json.dumps({"user_id": "17", "event": "x", "timestamp": AT, **fields}).encode()


def test_a_line_is_what_the_tracker_takes() -> None:
    (told,) = read_json(1, line(event_id="e", properties={"tags": [1, None]}, context={"source": "pos"}))
    assert (told.event_id, told.properties, told.context) == ("e", {"tags": [1, None]}, {"source": "pos"})
    (told,) = read_json(1, line(sent_at=AT, writeKey="wk", user_token="t", received_at=AT))
    assert (told.sent_at, told.write_key, told.user_token) == (None, None, None)


def test_a_line_without_an_id_has_one_of_its_own() -> None:
    (one,), (again,), (below,) = read_json(1, line()), read_json(1, line()), read_json(2, line())
    assert one.event_id == again.event_id != below.event_id


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"{", "Input data was truncated"),
        (b"7", "Expected object, got int"),
        (line(user_id=None), "user_id or anonymous_id is missing"),
        (line(timestamp=None), "timestamp is missing"),
        (
            line(timestamp="2099-01-01T00:00:00Z"),
            "timestamp: '2099-01-01T00:00:00Z' is more than 5 minutes in the future",
        ),
        (line(event="email_opened"), "event: email_opened is written by Beckon itself"),
        (line(properties={"a": "x" * MAX_EVENT_BYTES}), "the event has 32"),
    ],
)
def test_a_line_that_the_tracker_would_not_take(raw: bytes, why: str) -> None:
    with pytest.raises(Flaw) as flaw:
        check(read_json(1, raw), NOW)
    assert flaw.value.reason.startswith(why)


# --- What is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (("x", "17", "", AT), "4 cells, but the header has 5"),
        (("x", "17", "", "31.12.2024", "9"), "timestamp: '31.12.2024' is neither RFC 3339 with a zone"),
        (("x", "17", "", "", "9"), "timestamp is missing"),
        (("x", "17", "", AT, "12,50"), "total: '12,50' is not a number like 12.5"),
        (("x", "17", "ada", AT, "9"), "email: 'ada' is not an address"),
        (("x", "", "", AT, "9"), "who it is about is missing: user_id, email and anonymous_id are empty"),
        (("", "17", "", AT, "9"), "event: '' is not 1 to 64 letters"),
        (("x", "1" * 257, "", AT, "9"), "user_id: 257 characters, expected 1 to 256"),
    ],
)
def test_a_flaw_names_the_column(cells: Sequence[str], why: str) -> None:
    assert reason(orders(), *cells).startswith(why)


def test_a_flaw_names_the_column_as_the_file_does() -> None:
    plan = orders(
        "Who", "Created at", "Größe", event="x", Who="user_id", Größe="size:number", **{"Created at": "timestamp"}
    )
    assert reason(plan, "17", "gestern", "1").startswith("'Created at' (timestamp): 'gestern' is neither")
    assert reason(plan, "17", AT, "XL") == "'Größe' (size): 'XL' is not a number like 12.5"
    assert reason(plan, "1\0", AT, "1").startswith("'Who' (user_id): holds a control character")
    truth = customers("user_id", "vip", vip="vip:bool")
    assert reason(truth, "17", "perhaps") == "vip: 'perhaps' is none of true, yes, 1, false, no, 0"


@pytest.mark.parametrize(
    ("header", "wanted", "kind", "why"),
    [
        (
            ["Customer", "timestamp", "event"],
            {},
            Kind.EVENTS,
            "no column is called user_id, email or anonymous_id; name one with --column 'NAME=email'; the columns are Customer,"
            " timestamp, event",
        ),
        (
            ["user_id", "event"],
            {},
            Kind.EVENTS,
            "no column is called timestamp; name one with --column 'NAME=timestamp'",
        ),
        (["user_id", "timestamp"], {}, Kind.EVENTS, "no column is called event; name one with --column 'NAME=event'"),
        (["first_name"], {}, Kind.PROFILES, "no column is called user_id, email or anonymous_id"),
        (["user_id"], {"Nope": ""}, Kind.PROFILES, "there is no column 'Nope'; the columns are user_id"),
        (
            ["user_id", "Nr"],
            {"Nr": "user_id"},
            Kind.PROFILES,
            "columns 'user_id' and 'Nr' are both user_id: leave one out, --column 'Nr='",
        ),
        (["user_id", "a", "properties.a"], {}, Kind.PROFILES, "columns 'a' and 'properties.a' are both a"),
    ],
)
def test_a_header_that_does_not_fit_says_what_to_do(
    header: list[str], wanted: dict[str, str], kind: Kind, why: str
) -> None:
    with pytest.raises(ValueError) as error:
        layout(header, options(wanted), kind)
    assert str(error.value).startswith(why)


def test_how_a_column_is_told() -> None:
    assert read_option("E-Mail=email") == ("E-Mail", Wanted("email"))
    assert read_option("a=b=user_id") == ("a=b", Wanted("user_id"))
    assert read_option(" Orders = orders:number ") == ("Orders", Wanted("orders", "number"))
    assert read_option("Notes=") == ("Notes", Wanted(""))
    assert read_option("Time=at:noon") == ("Time", Wanted("at:noon"))
    for wrong in ("email", "=email", " =email"):
        with pytest.raises(ValueError, match="is not NAME=FIELD"):
            read_option(wrong)
