"""What the headers of a mail say of where it comes from and whom to answer: for mailbox providers and mail programs. Pure."""

import hashlib
import re
from email.utils import formataddr

from services.mailer.compose import Sender
from shared.messages import Trigger

_SENDER_ID = range(5, 16)
"""Characters that Gmail takes of a sender's id."""
_NOT_PLAIN = re.compile(r"[^a-z0-9]")


def standing(trigger: Trigger, from_: Sender, reply_to: Sender | None, *, unsubscribe: bool) -> list[str]:
    """The headers that follow from the rule: no word in them is a person's or a site's.

    ``Auto-Submitted`` (RFC 3834) keeps out-of-office answers away. ``List-Id`` (RFC 2919) names the category, which is what
    somebody can unsubscribe from, where they can. No ``Precedence``: it is no standard, and bulk is what it says.
    """
    category = trigger.terms.category
    return [
        *([f"Reply-To: {formataddr((reply_to.name, reply_to.address))}"] if reply_to else []),
        f"Feedback-ID: {feedback_id(trigger, from_.domain)}",
        *([f"List-Id: <{category}.{from_.domain}>"] if unsubscribe else []),
        "Auto-Submitted: auto-generated",
    ]


def feedback_id(trigger: Trigger, domain: str) -> str:
    """``rule:category:template:sender``, by which Gmail's Postmaster Tools tell of complaints; it heeds only what is signed by
    the sender's domain (https://support.google.com/mail/answer/6254652). The last part stands for the domain."""
    return ":".join((trigger.rule, trigger.terms.category, trigger.terms.template, _sender_id(domain)))


def _sender_id(domain: str) -> str:
    plain = _NOT_PLAIN.sub("", domain.lower())
    if len(plain) in _SENDER_ID:
        return plain
    return plain[:9] + hashlib.sha256(domain.lower().encode()).hexdigest()[:6]
