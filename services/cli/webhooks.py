"""``beckon webhooks list|show|replay|enable``."""

from typing import Annotated

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table, say, shown
from shared import subjects
from shared.clock import MILLISECOND
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

app = typer.Typer(no_args_is_help=True)

SERVICE = "the webhook service"
STATUSES = ("pending", "sent", "failed", "expired", "suppressed")

Endpoint = Annotated[str, typer.Option("--endpoint", help="Of one endpoint: its id or its URL.")]


@app.command("list")
def list_webhooks(
    status: Annotated[str, typer.Option(help=f"One of {', '.join(STATUSES)}.")] = "",
    endpoint: Endpoint = "",
    rule: Annotated[str, typer.Option(help="Of one rule.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many webhooks, the latest.")] = 50,
    as_json: Json = False,
) -> None:
    """Every endpoint, and what became of the latest webhooks."""
    if status and status not in STATUSES:
        raise Failure(f"webhooks list: --status {status} is not one of {', '.join(STATUSES)}", code=2)
    request = ListWebhooks(status, endpoint, rule, limit)
    found = run(lambda bus: ask(bus, SERVICE, subjects.WEBHOOKS_LIST, request, WebhooksListed))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    print_table(
        ("endpoint", "URL", "waiting", "enabled"), [_endpoint(each) for each in found.endpoints], "no endpoints yet"
    )
    say("")
    columns = ("webhook", "created", "status", "attempts", "next", "rule", "endpoint", "reason")
    print_table(columns, [_webhook(each) for each in found.webhooks], "no webhooks")


def _endpoint(endpoint: WebhookEndpoint) -> tuple[str, ...]:
    since = f"no, since {shown(endpoint.disabled_at)}: {endpoint.reason}" if endpoint.disabled_at is not None else "yes"
    return endpoint.id, endpoint.url, str(endpoint.waiting), since


def _webhook(webhook: WebhookSummary) -> tuple[str, ...]:
    return (
        webhook.id,
        shown(webhook.created_at),
        webhook.status,
        str(webhook.attempts),
        shown(webhook.due_at),
        webhook.rule,
        webhook.endpoint,
        webhook.reason,
    )


@app.command()
def show(webhook: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """One webhook: every attempt, and what it says."""
    found = run(lambda bus: ask(bus, SERVICE, subjects.WEBHOOKS_GET, GetWebhook(webhook), WebhookFound))
    if found.webhook is None:
        raise Failure(f"there is no webhook {webhook}, or it is known no more")
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    about = found.webhook
    because = f": {about.reason}" if about.reason else ""
    say(f"{about.id}  rule {about.rule}  person {about.person}")
    say(f"to {about.url}")
    say(f"{about.status}{because}" + (f", next at {shown(about.due_at)}" if about.due_at is not None else ""))
    say("")
    print_table(("attempt", "answer", "took"), [_attempt(each) for each in found.attempts], "not tried yet")
    if found.body:
        say("")
        say(found.body)


def _attempt(attempt: WebhookAttempt) -> tuple[str, str, str]:
    return shown(attempt.at), attempt.error or f"HTTP {attempt.status}", f"{attempt.took / MILLISECOND:.0f} ms"


@app.command()
def replay(
    webhooks: Annotated[list[str] | None, typer.Argument(metavar="ID…")] = None,
    endpoint: Endpoint = "",
    as_json: Json = False,
) -> None:
    """Send again: these, or all of an endpoint that failed or expired. Those that wait are tried at once."""
    asked = webhooks or []
    if bool(asked) == bool(endpoint):
        raise Failure("webhooks replay: name webhooks, or an --endpoint", code=2)
    request = ReplayWebhooks(asked, endpoint)
    answer = run(lambda bus: ask(bus, SERVICE, subjects.WEBHOOKS_REPLAY, request, WebhooksReplayed))
    left = sorted(set(asked) - set(answer.ids))
    if as_json:
        print_json({"replayed": answer.ids, "not_replayed": left})
    else:
        say(f"{len(answer.ids)} will be sent")
    if left:
        raise Failure(f"not sent again, being suppressed, under way or not known: {', '.join(left)}")


@app.command()
def enable(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id or its URL.")], as_json: Json = False
) -> None:
    """Send to an endpoint again that answered 410 Gone."""
    request = EnableEndpoint(endpoint)
    answer = run(lambda bus: ask(bus, SERVICE, subjects.WEBHOOKS_ENABLE, request, EndpointEnabled))
    if as_json:
        print_json(msgspec.to_builtins(answer))
    else:
        say(f"{answer.endpoint}: enabled, {answer.waiting} waiting")
