"""Who turns out to be whom when histories are played again."""

import itertools

import pytest

from shared.identity import Identities, Kind, Tie


class People(Identities):
    """Told in short."""

    def identifies(self, previous: str, person: str, *, trusted: bool = False) -> tuple[str, bool] | None:
        """``person`` signs in on the device ``previous``."""
        self.knows(person)
        return self._says(previous, person, "identify", trusted=trusted)

    def aliases(self, previous: str, person: str, *, trusted: bool = False) -> tuple[str, bool] | None:
        self.knows(person)
        return self._says(previous, person, "alias", trusted=trusted)

    def _says(self, previous: str, person: str, kind: Kind, *, trusted: bool) -> tuple[str, bool] | None:
        return self.link(Tie(previous, self.person(person), kind, trusted, "e1", 5))


def test_everybody_is_themselves_at_first() -> None:
    assert People().person("ada") == "ada"


@pytest.mark.parametrize("kind", ["identifies", "aliases"])
def test_a_visitor_who_signs_in_gives_way_with_all_they_have(kind: str) -> None:
    people = People()
    assert getattr(people, kind)("a-1", "ada") == ("a-1", True)
    assert (people.person("a-1"), people.person("ada")) == ("ada", "ada")


@pytest.mark.parametrize("kind", ["identifies", "aliases"])
def test_saying_it_again_changes_nothing(kind: str) -> None:
    people = People()
    getattr(people, kind)("a-1", "ada")
    assert getattr(people, kind)("a-1", "ada") is None
    assert people.person("a-1") == "ada"


def test_somebody_is_never_an_alias_of_themselves() -> None:
    people = People()
    assert people.identifies("ada", "ada") is None
    assert people.aliases("ada", "ada", trusted=True) is None
    assert people.person("ada") == "ada"


def test_several_devices_are_one_persons() -> None:
    people = People()
    for device in ("a-1", "a-2", "a-3"):
        assert people.identifies(device, "ada") == (device, True)
    assert {people.person(device) for device in ("a-1", "a-2", "a-3")} == {"ada"}


# --- Chains and circles -----------------------------------------------------------------------------------------------


def test_a_chain_is_flat() -> None:
    people = People()
    for previous, person in itertools.pairwise(["one", "two", "three", "four"]):
        assert people.aliases(previous, person, trusted=True) == (previous, True)
    assert {people.person(key) for key in ("one", "two", "three", "four")} == {"four"}


def test_a_chain_told_backwards_is_the_same() -> None:
    people = People()
    for person, previous in itertools.pairwise(["four", "three", "two", "one"]):
        assert people.aliases(previous, person, trusted=True) == (previous, True)
    assert {people.person(key) for key in ("one", "two", "three", "four")} == {"four"}


def test_two_groups_become_one() -> None:
    people = People()
    for device, person in [("a-1", "ada"), ("a-2", "ada"), ("b-1", "bob")]:
        people.identifies(device, person)
    assert people.aliases("ada", "bob", trusted=True) == ("ada", True)
    assert {people.person(key) for key in ("a-1", "a-2", "b-1", "ada", "bob")} == {"bob"}


def test_a_circle_ends_where_it_began() -> None:
    people = People()
    assert people.aliases("one", "two", trusted=True) == ("one", True)
    assert people.aliases("two", "three", trusted=True) == ("two", True)
    assert people.aliases("three", "one", trusted=True) is None, "one is three already"
    assert {people.person(key) for key in ("one", "two", "three")} == {"three"}


def test_an_alias_by_an_earlier_id_leads_to_whoever_that_is_now() -> None:
    people = People()
    people.identifies("a-1", "ada")
    assert people.aliases("a-1", "eve", trusted=True) == ("ada", True)
    assert {people.person(key) for key in ("a-1", "ada", "eve")} == {"eve"}


# --- A device that is shared ------------------------------------------------------------------------------------------


def test_a_device_that_belongs_to_somebody_only_changes_hands() -> None:
    people = People()
    people.identifies("tablet", "ada")
    assert people.identifies("tablet", "bob") == ("tablet", False)
    assert (people.person("tablet"), people.person("ada"), people.person("bob")) == ("bob", "ada", "bob")


def test_and_back_again() -> None:
    people = People()
    for person in ("ada", "bob", "ada"):
        people.identifies("tablet", person)
    assert people.person("tablet") == "ada"
    assert people.identifies("tablet", "bob") == ("tablet", False)


def test_a_device_that_changed_hands_goes_where_its_new_owner_goes() -> None:
    people = People()
    people.identifies("tablet", "ada")
    people.identifies("tablet", "bob")
    assert people.aliases("ada", "eve", trusted=True) == ("ada", True)
    assert (people.person("tablet"), people.person("ada")) == ("bob", "eve")
    people.aliases("bob", "dan", trusted=True)
    assert people.person("tablet") == "dan"


# --- People who are known ---------------------------------------------------------------------------------------------


def test_two_known_people_are_not_one_by_an_identify() -> None:
    people = People()
    people.knows("bob")
    assert people.identifies("bob", "ada") is None
    assert people.identifies("bob", "ada", trusted=True) is None
    assert (people.person("ada"), people.person("bob")) == ("ada", "bob")


def test_two_known_people_are_one_only_by_a_trusted_alias() -> None:
    people = People()
    people.knows("bob")
    assert people.aliases("bob", "ada") is None
    assert people.person("bob") == "bob"
    assert people.aliases("bob", "ada", trusted=True) == ("bob", True)
    assert people.person("bob") == "ada"


def test_the_device_of_somebody_known_is_not_taken_by_an_alias_without_trust() -> None:
    people = People()
    people.identifies("a-1", "bob")
    assert people.aliases("a-1", "ada") is None
    assert people.person("a-1") == "bob"


def test_whoever_was_a_user_id_once_gives_way_to_nobody_without_trust() -> None:
    people = People()
    people.aliases("a-1", "old")
    assert people.aliases("old", "ada") is None
    assert people.identifies("old", "ada") is None
    assert people.aliases("old", "ada", trusted=True) == ("old", True)
    assert people.person("a-1") == "ada"
