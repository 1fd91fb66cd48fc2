"""How a provider of mail is told which send a mail is, so that its webhooks can say so. Pure.

SES needs nothing: where its notifications include the original headers, ``X-Beckon-Trigger`` is among them. The others take
a header of their own and do not hand it on to the recipient.
"""

from typing import Literal, TypeAlias

Provider: TypeAlias = Literal["sendgrid", "postmark", "mailgun"]


def provider_headers(provider: Provider, send: str) -> tuple[str, ...]:
    """Lines for the head of a mail. ``send`` is the id of a trigger: hexadecimal digits, so nothing in it needs quoting."""
    match provider:
        case "sendgrid":  # https://www.twilio.com/docs/sendgrid/for-developers/sending-email/unique-arguments
            return (f'X-SMTPAPI: {{"unique_args": {{"beckon_trigger": "{send}"}}}}',)
        case "postmark":  # https://postmarkapp.com/support/article/1125-custom-metadata-faq
            return (f"X-PM-Metadata-beckon-trigger: {send}",)
        case "mailgun":  # https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp
            return (f'X-Mailgun-Variables: {{"beckon_trigger": "{send}"}}',)
