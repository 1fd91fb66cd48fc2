"""Whether what came of a shopper's visit is what must come of it. Pure."""

from collections.abc import Sequence

from services.local.demo.evidence import Fired
from services.local.demo.scenarios import Mailed, Shopper, Stopped
from services.local.demo.shop import Times
from services.local.inbox.mailbox import Mail
from shared.clock import MILLISECOND, SECOND

PROMISE = SECOND
"""A mail is accepted by the SMTP server within so long of being due."""

ENDINGS = {
    "email_sent": "sent",
    "trigger_suppressed": "suppressed",
    "trigger_held_out": "held out",
    "email_expired": "expired",
    "email_failed": "failed",
    "email_uncertain": "uncertain",
    "webhook_sent": "sent",
    "webhook_expired": "expired",
    "webhook_failed": "failed",
}
"""Every trigger ends in exactly one of these."""


def problems(shopper: Shopper, times: Times, mails: Sequence[Mail], fired: Sequence[Fired]) -> list[str]:
    """Why the visit of ``shopper`` did not end as it must; empty if it did. ``mails`` and ``fired`` are all of theirs."""
    found = [problem for wanted in shopper.mailed for problem in _of_mail(wanted, times, mails, fired)]
    found += [problem for wanted in shopper.stopped for problem in _of_stop(wanted, fired)]
    if len(mails) != len(shopper.mailed):
        found.append(f"{len(mails)} mails instead of {len(shopper.mailed)}")
    if len(fired) != len(shopper.mailed) + len(shopper.stopped):
        found.append(f"fired: {', '.join(trigger.rule for trigger in fired) or 'nothing'}")
    return found


def conservation(fired: Sequence[Fired]) -> dict[str, int]:
    """How many triggers ended how; those without an ending, or with one that does not exist, under ``lost``."""
    counts = dict.fromkeys(ENDINGS.values(), 0) | {"lost": 0}
    for trigger in fired:
        counts[ENDINGS.get(trigger.outcome, "lost")] += 1
    return counts


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of ``values`` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def _of_mail(wanted: Mailed, times: Times, mails: Sequence[Mail], fired: Sequence[Fired]) -> list[str]:
    trigger = next((trigger for trigger in fired if trigger.rule == wanted.rule), None)
    if trigger is None:
        return [f"{wanted.rule} did not fire"]
    mail = next((mail for mail in mails if mail.summary.trigger == trigger.id), None)
    if mail is None:
        return [f"no mail of {wanted.rule}: {trigger.outcome or 'still on its way'} {trigger.reason}".rstrip()]
    found = []
    due = times[wanted.since] + wanted.after if wanted.since else trigger.due
    if trigger.due != due:
        found.append(f"{wanted.rule} fired {(trigger.due - due) / MILLISECOND:g} ms after it was due")
    late = mail.summary.received_us - due
    if not 0 <= late < PROMISE:
        found.append(f"the mail came {late / MILLISECOND:g} ms after it was due")
    if wanted.shows:
        picture = f"/pictures/{wanted.shows.product_id}.png"
        for what in (wanted.shows.name, wanted.shows.shown_price, picture):
            if what not in (mail.html or ""):
                found.append(f"the mail does not show {what}")
    return found


def _of_stop(wanted: Stopped, fired: Sequence[Fired]) -> list[str]:
    trigger = next((trigger for trigger in fired if trigger.rule == wanted.rule), None)
    if trigger is None:
        return [f"{wanted.rule} did not fire"]
    if trigger.outcome != wanted.outcome or not trigger.reason.startswith(wanted.reason):
        return [f"{wanted.rule} ended as {trigger.outcome or 'nothing yet'}: {trigger.reason}"]
    return []
