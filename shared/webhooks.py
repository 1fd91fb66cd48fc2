"""What is asked about webhooks and their endpoints."""

from msgspec import Struct

from shared.clock import Duration, Instant


class WebhookAttempt(Struct, frozen=True, omit_defaults=True):
    """``status`` 0: there was no answer, and ``error`` says why."""

    at: Instant
    status: int
    took: Duration
    error: str = ""


class WebhookEndpoint(Struct, frozen=True):
    """``waiting``: webhooks that are not taken yet. ``disabled_at`` is none while the endpoint is enabled."""

    id: str
    url: str
    waiting: int
    disabled_at: Instant | None = None
    reason: str = ""


class WebhookSummary(Struct, frozen=True):
    """``status``: pending, sent, failed, expired, suppressed. ``reason``: why it ended so, or why the last attempt failed.
    ``due_at``: when it is tried next, if it is pending."""

    id: str
    person: str
    rule: str
    endpoint: str
    url: str
    status: str
    attempts: int
    reason: str
    created_at: Instant
    due_at: Instant | None = None
    ended_at: Instant | None = None


class ListWebhooks(Struct):
    """Request on ``webhooks.list``: every endpoint, and the latest webhooks of a status, an endpoint (its id or its URL) and a
    rule, where these are given."""

    status: str = ""
    endpoint: str = ""
    rule: str = ""
    limit: int = 50


class WebhooksListed(Struct):
    endpoints: list[WebhookEndpoint]
    webhooks: list[WebhookSummary]


class GetWebhook(Struct):
    """Request on ``webhooks.get``."""

    id: str


class WebhookFound(Struct):
    """Reply to ``GetWebhook``; ``webhook`` is none if it is not known, or no more. ``body`` is empty before the first attempt."""

    webhook: WebhookSummary | None = None
    attempts: list[WebhookAttempt] = []
    body: str = ""


class ReplayWebhooks(Struct):
    """Request on ``webhooks.replay``: send these again, and all of an endpoint (its id or its URL) that failed or expired. Those
    that wait for their next attempt are tried at once."""

    ids: list[str] = []
    endpoint: str = ""


class WebhooksReplayed(Struct):
    """Reply to ``ReplayWebhooks``: those that will be sent. Not those that are suppressed, under way, or not known."""

    ids: list[str]


class EnableEndpoint(Struct):
    """Request on ``webhooks.enable``: the endpoint's id, or its URL."""

    endpoint: str


class EndpointEnabled(Struct):
    """Reply to ``EnableEndpoint``: how many webhooks waited for that."""

    endpoint: str
    waiting: int
