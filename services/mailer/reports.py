"""What is said of mails after they were sent: kept, told as events, and heeded. It comes from the servers that handled a mail,
by mail (``inbound``), and from providers, by the tracker. The same report again is the same event."""

import structlog

from services.mailer.address import normal
from services.mailer.bounces import classify, reason
from services.mailer.suppressions import Report, Reported, Suppressions
from services.mailer.verp import report_key
from shared import metrics, subjects
from shared.bus import Bus
from shared.clock import Clock
from shared.endpoints import Endpoint
from shared.errors import RequestRefused, Unavailable
from shared.logs import bind
from shared.messages import Event
from shared.outcomes import own_event
from shared.reports import AddressSuppressed, MailReport, MailsReported, ReportMails, SuppressAddress

log = structlog.get_logger()


class Reports:
    def __init__(self, bus: Bus, suppressions: Suppressions, clock: Clock) -> None:
        self._bus = bus
        self._suppressions = suppressions
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(subjects.DELIVERIES_REPORT, ReportMails, self.on_reports),
            Endpoint(subjects.ADDRESSES_SUPPRESS, SuppressAddress, self.on_suppress),
        ]

    async def on_reports(self, request: ReportMails) -> MailsReported:
        """Raises ``Unavailable`` if one of them cannot be kept yet; the whole may come again."""
        known, later = 0, ""
        for report in request.reports:
            try:
                known += await self.take(report)
            except Unavailable as error:  # the others need not wait for this one
                later = str(error)
        if later:
            raise Unavailable(later)
        return MailsReported(known, len(request.reports) - known)

    async def take(self, report: MailReport, key: bytes | None = None) -> bool:
        """``key``: of an authenticated token, instead of the names in the report. False: no mail of ours. Raises
        ``Unavailable`` while what it means cannot be kept and told."""
        if key is None and report.message_id:
            key = report_key(report.message_id)
        about = await self._suppressions.find(report.trigger, key)
        if about is None:
            metrics.MAIL_REPORTS.labels(report.source, "unknown").inc()
            log.info("mail_report_unknown", source=report.source)
            return False
        with bind(trigger=about.send, person=about.person, rule=about.rule):
            await self._take(about, report)
        return True

    async def _take(self, about: Reported, report: MailReport) -> None:
        if not about.facts:
            raise Unavailable("the mail is still being handed over")
        if about.facts[0].properties.get("trial"):
            metrics.MAIL_REPORTS.labels(report.source, "trial").inc()
            log.info("mail_report_of_trial", source=report.source)
            return
        kind = report.kind or classify(report.status, report.code)
        said = Report(kind, reason(report.reason or report.status), report.source, self._clock.now())
        kept = await self._suppressions.report(about, said)
        await self._bus.publish_event(_event(about, kept))
        metrics.MAIL_REPORTS.labels(report.source, kind).inc()
        log.info("mail_reported", kind=kind, source=report.source)

    async def on_suppress(self, request: SuppressAddress) -> AddressSuppressed:
        """Raises ``RequestRefused`` if it is no address."""
        try:
            address = self._suppressions.hash(normal(request.address))
        except ValueError as error:
            raise RequestRefused(f"the address cannot be read: {error}") from None
        if request.remove:
            await self._suppressions.lift(address)
        else:
            await self._suppressions.suppress(address, request.reason or "by an operator", self._clock.now())
        log.info("address_suppression_put", suppressed=not request.remove)
        return AddressSuppressed(not request.remove)


def _event(about: Reported, report: Report) -> Event:
    """The fact, as it was first reported."""
    version = about.facts[0].properties.get("version")
    properties = {"trigger_id": about.send, "rule": about.rule, "version": version, "source": report.source}
    if report.kind == "complaint":
        return own_event("email_complained", f"{about.send}.email_complained", about.person, report.at, properties)
    properties |= {"kind": report.kind, "stage": "report", "reason": report.reason}
    occasion = f"{about.send}.email_bounced.{report.kind}"
    return own_event("email_bounced", occasion, about.person, report.at, properties)
