"""What a mail carries, so that it can be told of."""

import pytest

from services.mailer.compose import Letter
from services.mailer.dkim import SIGNED
from services.mailer.feedback import Feedback, Provider
from services.mailer.verp import Verp

ID = "<0f3d5c@shop.example>"
LETTER = Letter("shop@shop.example", ("ada@example.net",), ID, b"")


def test_nothing_where_nothing_is_set() -> None:
    assert Feedback().headers("0f3d5c", ID) == ()
    assert Feedback().addressed(LETTER) == LETTER


def test_bounces_go_to_an_address_of_the_mails_own_and_complaints_name_it() -> None:
    verp = Verp(["s" * 32], "bounces.shop.example")
    feedback = Feedback(verp)
    token = verp.token(ID)
    assert feedback.addressed(LETTER).sender == f"bounce+{token}@bounces.shop.example"
    headers = feedback.headers("0f3d5c", ID)
    assert headers[1] == f"CFBL-Feedback-ID: {token}"
    assert {line.partition(":")[0] for line in headers} <= set(SIGNED), "nobody heeds them otherwise"


@pytest.mark.parametrize(
    ("provider", "line"),
    [
        ("sendgrid", 'X-SMTPAPI: {"unique_args": {"beckon_trigger": "0f3d5c"}}'),
        ("postmark", "X-PM-Metadata-beckon-trigger: 0f3d5c"),
        ("mailgun", 'X-Mailgun-Variables: {"beckon_trigger": "0f3d5c"}'),
    ],
)
def test_a_provider_is_told_the_trigger(provider: Provider, line: str) -> None:
    assert Feedback(provider=provider).headers("0f3d5c", ID) == (line,)
