"""The safety net under the timers: a slow look for any that is overdue and was not taken."""

import asyncio

import structlog

from services.state.group import Group
from shared import db, metrics
from shared.bus import describe
from shared.clock import SECOND

log = structlog.get_logger()

OVERDUE = 10 * SECOND


async def sweep_stragglers(groups: list[Group], every_s: float) -> None:
    """Arms what it finds, counts it and logs an error: the count must stay 0."""
    while True:
        await asyncio.sleep(every_s)
        for group in groups:
            try:
                found = await group.arm_overdue(OVERDUE)
            except db.AWAY as error:
                log.warning("straggler_sweep_waits", **describe(error))
                continue
            if found:
                metrics.TIMERS_STRAGGLING.inc(found)
                log.error("timers_straggling", count=found)
