"""One person under several ids."""

import pytest

from services.tracker.unify import alias, email_id


@pytest.mark.parametrize(
    ("given", "known_as"),
    [
        (" Ada@Example.COM ", "ada@example.com"),
        ("ada", None),
        ("@example.com", None),
        ("ada@", None),
        ("a@" + "b" * 254, "a@" + "b" * 254),
        ("a@" + "b" * 255, None),
        ("a\n@b", None),
        (None, None),
        (7, None),
    ],
)
def test_an_address_is_an_id_in_one_form(given: object, known_as: str | None) -> None:
    assert email_id(given) == known_as


def test_the_same_two_are_always_the_same_event() -> None:
    one, again, other = alias("7", "ada@example.com"), alias("7", "ada@example.com", 1), alias("8", "ada@example.com")
    assert one.event_id == again.event_id != other.event_id
    assert one.properties == {"previous_id": "ada@example.com"}
