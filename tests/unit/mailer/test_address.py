"""To whom a mail goes."""

from typing import Any

import pytest

from services.mailer.address import Nobody, To, choose, normal

TESTERS = ("qa@example.test", "boss@example.test")


def goes_to(
    profile: dict[str, Any], *, staging: bool = False, test: bool = False, testers: Any = TESTERS
) -> To | Nobody:
    return choose(profile, testers, staging=staging, test=test)


def test_to_the_address_of_the_profile() -> None:
    assert goes_to({"email": " ada@example.test "}) == To(("ada@example.test",))
    assert goes_to({"email": "ada@BÜCHER.example"}) == To(("ada@xn--bcher-kva.example",))


@pytest.mark.parametrize("profile", [{}, {"email": None}, {"email": ""}])
def test_to_nobody_without_an_address(profile: dict[str, Any]) -> None:
    assert goes_to(profile) == Nobody("the profile has no email")


@pytest.mark.parametrize(
    "email",
    [
        7,
        ["ada@example.test"],
        "ada",
        "ada@",
        "@example.test",
        "ada@example",
        "ada@example.test, eve@example.test",
        "ada@example.test\r\nRCPT TO:<eve@example.test>",
        "Ada <ada@example.test>",
        "ada@localhost",
        "=?utf-8?q?a=0D=0ABcc=3A=20x=40y.test?=@example.test",
        "ädä@example.test",
        "a" * 300 + "@example.test",
    ],
)
def test_to_nobody_if_it_is_no_address(email: Any) -> None:
    to = goes_to({"email": email})
    assert isinstance(to, Nobody)
    assert to.reason.startswith("the profile's email is not an address: ")


def test_in_staging_and_under_test_to_the_test_recipients_only() -> None:
    person = {"email": "ada@example.test"}
    assert goes_to(person, staging=True) == To(TESTERS, "[staging] ")
    assert goes_to(person, test=True) == To(TESTERS, "[test] ")
    assert goes_to(person, staging=True, test=True) == To(TESTERS, "[staging] ")


def test_to_nobody_if_there_are_no_test_recipients() -> None:
    person = {"email": "ada@example.test"}
    assert goes_to(person, staging=True, testers=()) == Nobody("staging mails TEST_RECIPIENTS only, and there are none")
    assert goes_to(person, test=True, testers=()) == Nobody(
        "a rule under test mails TEST_RECIPIENTS only, and there are none"
    )


def test_a_trial_ends_like_the_real_thing_for_somebody_without_an_address() -> None:
    assert goes_to({}, staging=True) == Nobody("the profile has no email")


def test_an_address_is_read_the_same_in_settings() -> None:
    assert normal("qa@example.test") == "qa@example.test"
    with pytest.raises(ValueError, match="@-sign"):
        normal("qa")
