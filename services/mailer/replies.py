"""What an answer of the SMTP server, or its silence, means for a mail; and when to try again.

Up to the end of the content nothing can have been sent, so whatever goes wrong there can be repeated. Between the final
dot and its reply it cannot be known (RFC 1047): silence there is *uncertain*, an explicit refusal is not.

========================  =========================  ====================================
answer                    to MAIL, RCPT or DATA      to the content
========================  =========================  ====================================
2xx (3xx to DATA)         go on                      accepted
4xx                       deferred                   deferred
5xx                       refused                    refused
5xx about us, to MAIL     deferred                   –
anything else             deferred                   uncertain
time-out, disconnection   deferred                   uncertain
========================  =========================  ====================================
"""

import hashlib
import re
from typing import Literal

from msgspec import Struct

from services.mailer.bounces import classify, printable
from shared.reports import Bounce

Stage = Literal["mail", "rcpt", "claim", "data", "content"]
"""``claim`` is ours, not a command."""

_GO_ON = {"mail": 2, "rcpt": 2, "data": 3, "content": 2}
_ABOUT_US = frozenset({500, 502, 503, 504, 530, 535, 538})
"""The server does not understand us, or does not know us: no mail is at fault, and every one would fail."""
_ENHANCED = re.compile(r"[245]\.(\d{1,3})\.(\d{1,3})\b")
_GREYLISTED = re.compile(r"gr[ae]y[ -]?list", re.IGNORECASE)
_TOO_MUCH = re.compile(r"\b4\.7\.\d|rate|limit|too (?:many|much|fast)|throttl|unusual|deferred|later", re.IGNORECASE)


class Reply(Struct, frozen=True):
    """What the server answered (RFC 5321 section 4.2)."""

    code: int
    text: str = ""


class Lost(Struct, frozen=True):
    """No answer came: a time-out, or the connection ended."""

    reason: str


class Accepted(Struct, frozen=True):
    reply: str


class Deferred(Struct, frozen=True):
    """Known not to be sent; worth another try."""

    stage: Stage
    reason: str
    code: int | None = None


class Refused(Struct, frozen=True):
    """Known not to be sent, and not worth another try. ``bounce`` is set if it was the recipient that was refused."""

    stage: Stage
    reason: str
    code: int
    bounce: Bounce | None = None


class Uncertain(Struct, frozen=True):
    """It may have been sent or not, and nobody can tell."""

    reason: str


Result = Accepted | Deferred | Refused | Uncertain
Scope = Literal["mail", "domain", "relay"]


def decide_reply(stage: Stage, answer: Reply | Lost) -> Result | None:
    """None: the server waits for the next command."""
    if isinstance(answer, Lost):
        reason = f"{stage}: {printable(answer.reason)}"
        return Uncertain(reason) if stage == "content" else Deferred(stage, reason)
    reason = f"{stage}: {answer.code} {printable(answer.text)}".rstrip()
    family = answer.code // 100
    if family == _GO_ON[stage]:
        return Accepted(reason) if stage == "content" else None
    if family == 4 or (stage == "mail" and answer.code in _ABOUT_US):
        return Deferred(stage, reason, answer.code)
    if family == 5:
        return Refused(stage, reason, answer.code, classify(answer.text, answer.code) if stage == "rcpt" else None)
    return Uncertain(reason) if stage == "content" else Deferred(stage, reason, answer.code)


def scope(deferred: Deferred) -> Scope:
    """Whose matter it is that a mail was put off: this mail's only (the mailbox is full; greylisting, where each mail has to
    come twice), that of all mails for the domain, or of everything that goes to this relay."""
    if deferred.stage == "claim":
        return "mail"
    if deferred.stage == "mail":
        return "relay"
    enhanced = _ENHANCED.search(deferred.reason)
    mailbox = enhanced is not None and enhanced[1] in ("1", "2")
    return "mail" if _GREYLISTED.search(deferred.reason) or mailbox or deferred.code == 452 else "domain"


def too_much(deferred: Deferred) -> bool:
    """Whether the answer asks for fewer mails, and not only for this one to wait."""
    return scope(deferred) == "domain" and (deferred.code == 421 or _TOO_MUCH.search(deferred.reason) is not None)


def delay_s(attempt: int, send: str, first_s: float, longest_s: float) -> float:
    """How long to wait after the n-th deferral: ``first_s``, twice that, and so on up to ``longest_s``, each shortened by
    up to half. By how much follows from the send's id, so that mails deferred together do not come back together."""
    step = min(longest_s, first_s * 2.0 ** min(attempt - 1, 64))
    digest = hashlib.blake2b(f"{send}\0{attempt}".encode(), digest_size=8).digest()
    return step * (1 - int.from_bytes(digest) / 2**65)
