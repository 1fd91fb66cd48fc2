"""What the webhooks of providers say, as reports for the mailer. Pure.

Whatever is not as it should be counts as not there. What is neither a bounce nor a complaint, or not final, is no report.

SES: https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
SendGrid: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
Postmark: https://postmarkapp.com/developer/webhooks/bounce-webhook and …/spam-complaint-webhook
Mailgun: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from services.tracker.shops.fields import find
from shared.reports import Bounce, MailReport

Kind: TypeAlias = Bounce | Literal["complaint"]

MAX_TEXT = 500
"""Characters of a text; the mailer cuts more off."""

_SES_TRANSIENT: Mapping[str, Bounce] = {"ContentRejected": "blocked", "AttachmentRejected": "blocked"}
"""Every other one is soft."""
_SENDGRID_DROPPED: Mapping[str, Kind] = {
    "Bounced Address": "hard",
    "Invalid": "hard",
    "Spam Reporting Address": "complaint",
}
"""Why SendGrid did not even try; for any other reason the address is not to blame."""
_POSTMARK: Mapping[str, Kind] = {
    "HardBounce": "hard",
    "BadEmailAddress": "hard",
    "SoftBounce": "soft",
    "DnsError": "soft",
    "Blocked": "blocked",
    "SpamNotification": "blocked",
    "VirusNotification": "blocked",
    "DMARCPolicy": "blocked",
    "SpamComplaint": "complaint",
}
"""Types of bounces; the others are answers, delays and changes of a subscription."""
_MAILGUN_SUPPRESSED: Mapping[str, Kind | None] = {
    "suppress-bounce": "hard",
    "suppress-complaint": "complaint",
    "suppress-unsubscribe": None,
}


def ses(content: Any) -> Iterator[MailReport]:
    """A notification, or an event of a configuration set: they name their type differently."""
    headers = {
        _text(find(each, "name")).lower(): _text(find(each, "value")) for each in _list(find(content, "mail.headers"))
    }
    trigger = headers.get("x-beckon-trigger", "")
    message_id = headers.get("message-id") or _text(find(content, "mail.commonHeaders.messageId"))
    match _text(find(content, "notificationType")) or _text(find(content, "eventType")):
        case "Bounce":
            recipients = _list(find(content, "bounce.bouncedRecipients"))
            diagnosis = _text(find(recipients[0], "diagnosticCode")) if recipients else ""
            sub_type = _text(find(content, "bounce.bounceSubType"))
            permanent = find(content, "bounce.bounceType") == "Permanent"
            kind: Bounce = "hard" if permanent else _SES_TRANSIENT.get(sub_type, "soft")
            yield MailReport("ses", trigger, message_id, kind, reason=diagnosis or sub_type)
        case "Complaint":
            feedback = _text(find(content, "complaint.complaintFeedbackType"))
            if feedback != "not-spam":
                yield MailReport("ses", trigger, message_id, "complaint", reason=feedback)


def sendgrid(content: Any) -> Iterator[MailReport]:
    """An array of events, of all kinds that are switched on."""
    for event in _list(content):
        trigger, message_id = _text(find(event, "beckon_trigger")), _text(find(event, "smtp-id"))
        reason = _text(find(event, "reason"))
        match find(event, "event"):
            case "bounce":
                kind: Bounce | None = "blocked" if find(event, "type") == "blocked" else None
                yield MailReport("sendgrid", trigger, message_id, kind, _text(find(event, "status")), 550, reason)
            case "dropped" if reason in _SENDGRID_DROPPED:
                yield MailReport("sendgrid", trigger, message_id, _SENDGRID_DROPPED[reason], reason=reason)
            case "spamreport":
                yield MailReport("sendgrid", trigger, message_id, "complaint", reason=reason)


def postmark(content: Any) -> Iterator[MailReport]:
    if find(content, "RecordType") in ("Bounce", "SpamComplaint"):
        kind = _POSTMARK.get(_text(find(content, "Type")))
        reason = _text(find(content, "Details")) or _text(find(content, "Description"))
        if kind is not None:
            yield MailReport("postmark", _text(find(content, "Metadata.beckon-trigger")), kind=kind, reason=reason)


def mailgun(content: Any) -> Iterator[MailReport]:
    event = find(content, "event-data")
    trigger = _text(find(event, "user-variables.beckon_trigger"))
    message_id = _text(find(event, "message.headers.message-id"))
    match find(event, "event"):
        case "failed" if find(event, "severity") == "permanent":
            said, status = _text(find(event, "reason")), find(event, "delivery-status")
            kind = _MAILGUN_SUPPRESSED.get(said)
            if kind is None and said in _MAILGUN_SUPPRESSED:
                return
            words = _text(find(status, "message")) or _text(find(status, "description"))
            enhanced = _text(find(status, "enhanced-code"))
            yield MailReport(
                "mailgun", trigger, message_id, kind, enhanced or words, _code(find(status, "code")), words
            )
        case "complained":
            yield MailReport("mailgun", trigger, message_id, "complaint")


def nameable(reports: Iterable[MailReport]) -> list[MailReport]:
    """Those that say which mail they are about."""
    return [report for report in reports if report.trigger or report.message_id]


def _text(value: Any) -> str:
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _code(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1000 else None
