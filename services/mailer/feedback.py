"""By what a mail is known when somebody tells of it later: who sends it back, complains of it, or handles it for us. Pure."""

from typing import Literal, TypeAlias

from msgspec import Struct, structs

from services.mailer.compose import Letter
from services.mailer.verp import Verp

Provider: TypeAlias = Literal["sendgrid", "postmark", "mailgun"]
"""Those that must be told. Where SES includes the original headers in what it tells, ``X-Beckon-Trigger`` is among them."""


class Feedback(Struct, frozen=True):
    """``verp``: none, if bounces go to the sender people see. ``provider``: whose webhooks are to name the mail."""

    verp: Verp | None = None
    provider: Provider | None = None

    def headers(self, send: str, message_id: str) -> tuple[str, ...]:
        """Lines for the head of a mail. ``send`` is the id of a trigger: hexadecimal digits, so nothing in it needs quoting."""
        complaints = self.verp.headers(message_id) if self.verp else ()
        return (*complaints, *_naming(self.provider, send))

    def addressed(self, letter: Letter) -> Letter:
        """With the envelope's sender to which bounces go."""
        return structs.replace(letter, sender=self.verp.sender(letter.message_id)) if self.verp else letter


def _naming(provider: Provider | None, send: str) -> tuple[str, ...]:
    """What a provider hands back with each webhook, and not on to the recipient."""
    match provider:
        case "sendgrid":  # https://www.twilio.com/docs/sendgrid/for-developers/sending-email/unique-arguments
            return (f'X-SMTPAPI: {{"unique_args": {{"beckon_trigger": "{send}"}}}}',)
        case "postmark":  # https://postmarkapp.com/support/article/1125-custom-metadata-faq
            return (f"X-PM-Metadata-beckon-trigger: {send}",)
        case "mailgun":  # https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp
            return (f'X-Mailgun-Variables: {{"beckon_trigger": "{send}"}}',)
    return ()
