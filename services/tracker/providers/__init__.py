"""The webhooks by which providers of mail tell of bounces and complaints. Pure.

What each says becomes reports for the mailer (``reading``), which knows whom a mail went to: no address goes any further.
"""

from typing import Literal, NamedTuple, TypeAlias

ProviderName: TypeAlias = Literal["ses", "sendgrid", "postmark", "mailgun"]


class Provider(NamedTuple):
    """``setting``: where it stands how its webhooks are known. ``headers``: by which they are, if not by their bodies."""

    name: ProviderName
    setting: str
    headers: tuple[str, ...] = ()


SENDGRID_SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
SENDGRID_TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"

PROVIDERS = {
    "/hooks/ses": Provider("ses", "SES_TOPIC_ARNS"),
    "/hooks/sendgrid": Provider("sendgrid", "SENDGRID_PUBLIC_KEY", (SENDGRID_SIGNATURE, SENDGRID_TIMESTAMP)),
    "/hooks/postmark": Provider("postmark", "POSTMARK_HOOK_AUTH", ("Authorization",)),
    "/hooks/mailgun": Provider("mailgun", "MAILGUN_SIGNING_KEY"),
}
"""By path."""
