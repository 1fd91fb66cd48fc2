"""Webhooks that are the provider's, and those that only look so."""

import base64

import pytest

from services.tracker.keys import Unauthorised
from services.tracker.providers import SENDGRID_SIGNATURE, SENDGRID_TIMESTAMP
from services.tracker.providers.signatures import (
    FRESH,
    check_hook_auth,
    check_mailgun,
    check_postmark,
    check_sendgrid,
    check_signing_keys,
    sendgrid_keys,
)
from shared.clock import SECOND
from tests.support.hooks import MAILGUN_KEY, POSTMARK_AUTH, SendGrid, mailgun_signature, postmark_headers

NOW_S = 1_772_611_964
NOW = NOW_S * SECOND


def test_sendgrid_signs_the_time_and_the_body() -> None:
    old, new, stranger = SendGrid(), SendGrid(), SendGrid()
    keys = sendgrid_keys([new.public_key, old.public_key])
    for sender in (old, new):
        check_sendgrid(b"[]\r\n", sender.headers(b"[]\r\n"), keys)
    good = new.headers(b"[]")
    for body, headers in (
        (b"[{}]", good),
        (b"[]", stranger.headers(b"[]")),
        (b"[]", {**good, SENDGRID_TIMESTAMP: "1772611965"}),
        (b"[]", {**good, SENDGRID_SIGNATURE: "AAAA"}),
        (b"[]", {**good, SENDGRID_SIGNATURE: "ä"}),
        (b"[]", {SENDGRID_SIGNATURE: good[SENDGRID_SIGNATURE]}),
        (b"[]", {}),
    ):
        with pytest.raises(Unauthorised):
            check_sendgrid(body, headers, keys)


def test_postmark_knows_the_password() -> None:
    check_postmark(postmark_headers(), ["another:password-of-this-test", POSTMARK_AUTH])
    for headers in (
        {},
        {"Authorization": "Basic "},
        {"Authorization": "Bearer " + base64.b64encode(POSTMARK_AUTH.encode()).decode()},
        {"Authorization": "Basic ä"},
        postmark_headers("postmark:"),
    ):
        with pytest.raises(Unauthorised):
            check_postmark(headers, [POSTMARK_AUTH])


def test_mailgun_signs_a_token_for_a_while() -> None:
    def check(signature: object, now: int = NOW) -> str:
        return check_mailgun({"signature": signature}, ["another-signing-key", MAILGUN_KEY], now)

    good = mailgun_signature(NOW_S)
    assert check(good) == check({**good, "timestamp": NOW_S}) == check(good, NOW + FRESH) == good["token"]
    for signature, now in (
        (good, NOW + FRESH + SECOND),
        (good, NOW - FRESH - SECOND),
        (mailgun_signature(NOW_S, key="a-key-of-a-stranger"), NOW),
        ({**good, "token": "another"}, NOW),
        ({**good, "timestamp": NOW_S + 1}, NOW),
        ({**good, "timestamp": "soon"}, NOW),
        ({**good, "timestamp": True}, NOW),
        ({**good, "signature": "ä"}, NOW),
        ({**good, "signature": None}, NOW),
        (None, NOW),
    ):
        with pytest.raises(Unauthorised):
            check(signature, now)


def test_a_setting_that_cannot_be_right_is_refused_without_being_shown() -> None:
    for check, text in (
        (sendgrid_keys, "c2VjcmV0"),
        (sendgrid_keys, "not base64!"),
        (check_signing_keys, "too short"),
        (check_hook_auth, "postmark:short"),
        (check_hook_auth, "a-password-without-a-user"),
    ):
        with pytest.raises(ValueError, match=r"^number 1 ") as caught:
            check([text])
        assert text not in str(caught.value)
