"""What an operator asks and changes: what became of webhooks, sending some again, and enabling an endpoint."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import asyncpg
import msgspec
import structlog

from services.webhook.endings import PATIENCE
from shared import db
from shared.clock import Clock, Instant, from_datetime, to_datetime
from shared.errors import RequestRefused
from shared.webhooks import (
    EnableEndpoint,
    EndpointEnabled,
    GetWebhook,
    ListWebhooks,
    ReplayWebhooks,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookFound,
    WebhooksListed,
    WebhooksReplayed,
    WebhookSummary,
)

log = structlog.get_logger()

MOST = 500
"""Webhooks in one answer."""

_SQL = db.queries(Path(__file__).parent / "sql" / "operating.sql")
_attempts = msgspec.json.Decoder(list[WebhookAttempt]).decode


class Operating:
    """``wake`` is called when there may be something to send."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._clock = clock
        self._wake = wake

    async def on_list(self, request: ListWebhooks) -> WebhooksListed:
        limit = max(1, min(request.limit, MOST))
        endpoints = await self._pool.fetch(_SQL["endpoints"])
        rows = await self._pool.fetch(_SQL["list"], request.status, request.endpoint, request.rule, limit)
        return WebhooksListed(
            [
                WebhookEndpoint(row["id"], row["url"], row["waiting"], _instant(row["disabled_at"]), row["reason"])
                for row in endpoints
            ],
            [_summary(row) for row in rows],
        )

    async def on_get(self, request: GetWebhook) -> WebhookFound:
        row = await self._pool.fetchrow(_SQL["find"], request.id)
        if row is None:
            return WebhookFound()
        return WebhookFound(_summary(row), _attempts(row["log"]), row["body"].decode())

    async def on_replay(self, request: ReplayWebhooks) -> WebhooksReplayed:
        now = self._clock.now()
        sooner = await self._pool.fetch(_SQL["hasten"], request.ids, to_datetime(now))
        again = await self._pool.fetch(
            _SQL["replay"], request.ids, request.endpoint, to_datetime(now), to_datetime(now + PATIENCE)
        )
        self._wake()
        ids = [row["id"] for row in (*sooner, *again)]
        log.info("webhooks_replayed", count=len(ids), endpoint=request.endpoint)
        return WebhooksReplayed(ids)

    async def on_enable(self, request: EnableEndpoint) -> EndpointEnabled:
        """Raises ``RequestRefused`` if there is no such endpoint."""
        row = await self._pool.fetchrow(_SQL["enable"], request.endpoint, to_datetime(self._clock.now()))
        if row is None:
            raise RequestRefused(f"there is no endpoint {request.endpoint}")
        self._wake()
        log.info("endpoint_enabled", endpoint=row["id"], waiting=row["waiting"])
        return EndpointEnabled(row["id"], row["waiting"])


def _summary(row: asyncpg.Record) -> WebhookSummary:
    return WebhookSummary(
        id=row["id"],
        person=row["person"],
        rule=row["rule"],
        endpoint=row["endpoint"],
        url=row["url"],
        status=row["status"],
        attempts=row["attempts"],
        reason=row["reason"],
        created_at=from_datetime(row["created_at"]),
        due_at=_instant(row["due_at"]) if row["status"] == "pending" else None,
        ended_at=_instant(row["ended_at"]),
    )


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)
