"""What providers tell, in their words, and what becomes of it in ours."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker.providers import reading
from shared.reports import MailReport

READERS = {"ses": reading.ses, "sendgrid": reading.sendgrid, "postmark": reading.postmark, "mailgun": reading.mailgun}
SES_MAIL = {
    "messageId": "0107018e-of-ses",
    "destination": ["ada@example.net"],
    "headers": [
        {"name": "From", "value": "Shop <shop@shop.example>"},
        {"name": "Message-ID", "value": "<t1@shop.example>"},
        {"name": "X-Beckon-Trigger", "value": "t1"},
    ],
    "commonHeaders": {"messageId": "<t1@shop.example>"},
}
GONE = "smtp; 550 5.1.1 <ada@example.net>: user unknown"


def ses_bounce(kind: str, sub_type: str, **mail: Any) -> dict[str, Any]:
    recipients = [{"emailAddress": "ada@example.net", "action": "failed", "status": "5.1.1", "diagnosticCode": GONE}]
    bounce = {"bounceType": kind, "bounceSubType": sub_type, "bouncedRecipients": recipients}
    return {"notificationType": "Bounce", "bounce": bounce, "mail": {**SES_MAIL, **mail}}


def sendgrid(**event: Any) -> list[dict[str, Any]]:
    about = {"email": "ada@example.net", "smtp-id": "<t1@shop.example>", "beckon_trigger": "t1", "sg_event_id": "x"}
    return [{**about, **event}]


def postmark(**record: Any) -> dict[str, Any]:
    return {"RecordType": "Bounce", "Email": "ada@example.net", "Metadata": {"beckon-trigger": "t1"}, **record}


def mailgun(**event: Any) -> dict[str, Any]:
    about = {"message": {"headers": {"message-id": "t1@shop.example"}}, "user-variables": {"beckon_trigger": "t1"}}
    return {"signature": {}, "event-data": {"recipient": "ada@example.net", **about, **event}}


@pytest.mark.parametrize(
    ("provider", "told", "expected"),
    [
        ("ses", ses_bounce("Permanent", "NoEmail"), MailReport("ses", "t1", "<t1@shop.example>", "hard", reason=GONE)),
        (
            "ses",
            ses_bounce("Transient", "MailboxFull", headers=[]),
            MailReport("ses", "", "<t1@shop.example>", "soft", reason=GONE),
        ),
        (
            "ses",
            ses_bounce("Transient", "ContentRejected") | {"notificationType": None, "eventType": "Bounce"},
            MailReport("ses", "t1", "<t1@shop.example>", "blocked", reason=GONE),
        ),
        (
            "ses",
            {"notificationType": "Complaint", "complaint": {"complaintFeedbackType": "abuse"}, "mail": SES_MAIL},
            MailReport("ses", "t1", "<t1@shop.example>", "complaint", reason="abuse"),
        ),
        (
            "sendgrid",
            sendgrid(event="bounce", type="bounce", status="5.1.1", reason="550 5.1.1 unknown"),
            MailReport("sendgrid", "t1", "<t1@shop.example>", None, "5.1.1", 550, "550 5.1.1 unknown"),
        ),
        (
            "sendgrid",
            sendgrid(event="bounce", type="blocked", status="5.7.1", reason="spam"),
            MailReport("sendgrid", "t1", "<t1@shop.example>", "blocked", "5.7.1", 550, "spam"),
        ),
        (
            "sendgrid",
            sendgrid(event="dropped", reason="Bounced Address"),
            MailReport("sendgrid", "t1", "<t1@shop.example>", "hard", reason="Bounced Address"),
        ),
        ("sendgrid", sendgrid(event="spamreport"), MailReport("sendgrid", "t1", "<t1@shop.example>", "complaint")),
        ("postmark", postmark(Type="HardBounce", Details="no"), MailReport("postmark", "t1", kind="hard", reason="no")),
        ("postmark", postmark(Type="SoftBounce"), MailReport("postmark", "t1", kind="soft")),
        ("postmark", postmark(Type="SpamNotification"), MailReport("postmark", "t1", kind="blocked")),
        (
            "postmark",
            postmark(RecordType="SpamComplaint", Type="SpamComplaint", Description="as spam"),
            MailReport("postmark", "t1", kind="complaint", reason="as spam"),
        ),
        (
            "mailgun",
            mailgun(
                event="failed",
                severity="permanent",
                reason="bounce",
                **{"delivery-status": {"code": 550, "enhanced-code": "5.2.2", "message": "5.2.2 full"}},
            ),
            MailReport("mailgun", "t1", "t1@shop.example", None, "5.2.2", 550, "5.2.2 full"),
        ),
        (
            "mailgun",
            mailgun(
                event="failed", severity="permanent", reason="suppress-bounce", **{"delivery-status": {"code": 605}}
            ),
            MailReport("mailgun", "t1", "t1@shop.example", "hard", "", 605, ""),
        ),
        ("mailgun", mailgun(event="complained"), MailReport("mailgun", "t1", "t1@shop.example", "complaint")),
    ],
)
def test_a_bounce_or_a_complaint_is_a_report(provider: str, told: Any, expected: MailReport) -> None:
    assert list(READERS[provider](told)) == [expected]


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        ("ses", {"notificationType": "Delivery", "mail": SES_MAIL}),
        (
            "ses",
            {"notificationType": "Complaint", "complaint": {"complaintFeedbackType": "not-spam"}, "mail": SES_MAIL},
        ),
        ("sendgrid", sendgrid(event="deferred", response="450 later")),
        ("sendgrid", sendgrid(event="delivered")),
        ("sendgrid", sendgrid(event="dropped", reason="Unsubscribed Address")),
        ("postmark", postmark(Type="Transient")),
        ("postmark", postmark(Type="AutoResponder")),
        ("postmark", postmark(RecordType="Delivery")),
        ("mailgun", mailgun(event="failed", severity="temporary")),
        ("mailgun", mailgun(event="failed", severity="permanent", reason="suppress-unsubscribe")),
        ("mailgun", mailgun(event="opened")),
    ],
)
def test_what_is_neither_or_not_final_is_none(provider: str, told: Any) -> None:
    assert list(READERS[provider](told)) == []


def test_a_report_of_no_mail_that_is_named_goes_nowhere() -> None:
    told = sendgrid(event="spamreport", beckon_trigger=None, **{"smtp-id": 7}) + sendgrid(event="spamreport")
    assert [report.trigger for report in reading.nameable(reading.sendgrid(told))] == ["t1"]


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_whatever_stands_in_a_place_is_read(data: st.DataObject) -> None:
    told = data.draw(
        st.sampled_from(
            [
                ("ses", ses_bounce("Permanent", "General")),
                ("sendgrid", sendgrid(event="bounce", type="bounce")),
                ("postmark", postmark(Type="HardBounce")),
                ("mailgun", mailgun(event="failed", severity="permanent", **{"delivery-status": {"code": 550}})),
            ]
        )
    )
    list(READERS[told[0]](data.draw(_ANY)))
    list(READERS[told[0]](_spoilt(told[1], data)))


def _spoilt(value: Any, data: st.DataObject) -> Any:
    """With anything at all in some of its places."""
    if data.draw(st.integers(0, 4)) == 0:
        return data.draw(_ANY)
    if isinstance(value, dict):
        return {name: _spoilt(each, data) for name, each in value.items()}
    return [_spoilt(each, data) for each in value] if isinstance(value, list) else value
