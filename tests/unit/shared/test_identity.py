"""Which events say that two ids are one person."""

from typing import Any

import pytest

from shared import identity
from shared.messages import Event


def event(name: str, **fields: Any) -> Event:
    return Event("e1", fields.get("user_id") or "a-1", name, 5, 5, **fields)


@pytest.mark.parametrize(
    ("said", "previous"),
    [
        (event("identify", user_id="ada", anonymous_id="a-1"), "a-1"),
        (event("alias", user_id="ada", anonymous_id="a-1"), "a-1"),
        (event("alias", user_id="ada", properties={"previous_id": "old"}), "old"),
        (event("alias", user_id="ada", anonymous_id="a-1", properties={"previousId": "old"}), "old"),
        (event("alias", user_id="ada", anonymous_id="a-1", properties={"previous_id": 5}), "a-1"),
    ],
)
def test_what_ties_two_ids(said: Event, previous: str) -> None:
    tie = identity.tie(said, "ada")
    assert tie is not None
    assert (tie.previous, tie.person, tie.kind, tie.event) == (previous, "ada", said.name, "e1")


@pytest.mark.parametrize(
    "said",
    [
        event("page_viewed", user_id="ada", anonymous_id="a-1"),
        event("identify", anonymous_id="a-1"),
        event("identify", user_id="ada"),
        event("identify", user_id="ada", anonymous_id="ada"),
        event("alias", user_id="ada", properties={"previous_id": "ada"}),
        event("alias", user_id="ada", properties={"previous_id": "a\0b"}),
        event("alias", user_id="ada", properties={"previous_id": "x" * 257}),
        event("identify", user_id="ada", anonymous_id="a-1", source="beckon"),
    ],
)
def test_what_ties_nothing(said: Event) -> None:
    assert identity.tie(said, "ada") is None


def test_what_came_by_an_earlier_id_ties_to_the_person() -> None:
    said = event("identify", user_id="old", anonymous_id="a-1")
    tie = identity.tie(said, "ada")
    assert tie is not None
    assert (tie.previous, tie.person) == ("a-1", "ada")
    assert identity.tie(event("identify", user_id="old", anonymous_id="ada"), "ada") is None
