"""Rules and events in files, and what came of playing them."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.failure import Failure
from services.cli.offline import EventFile, Outcome, backtest, read_rules
from services.throttle.policy import Policy
from shared.clock import MINUTE, SECOND, Instant, rfc3339

BEGIN = 1_769_850_000 * SECOND  # 2026-01-31T09:00:00Z
HALF = 30 * MINUTE
CART = """\
id: cart
when:
  all:
    - {event: added_to_cart, within: 24h}
    - not: {event: purchased, since: added_to_cart}
    - {elapsed: 30m, since: added_to_cart}
throttle: {category: nudge}
action: {email: {template: t}}
"""
ONCE = "id: once\nwhen: {event: a, count: {gte: 2}}\naction: {email: {template: t}}\n"
EVERY = "id: every\nwhen: {event: a, within: 1s}\nthrottle: {category: news}\naction: {email: {template: t}}\n"


def line(event: str, at: Instant, **fields: Any) -> dict[str, Any]:
    """``at``: after the beginning. Ada's, if nobody else's is said."""
    who = {} if fields.keys() & {"user_id", "anonymous_id"} else {"user_id": "ada"}
    return {**who, "event": event, "timestamp": rfc3339(BEGIN + at), **fields}


def received(at: Instant) -> dict[str, str]:
    return {"received_at": rfc3339(BEGIN + at)}


class Files:
    """Writes files and plays them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress: list[tuple[int, int]] = []

    def rules(self, text: str, name: str = "rules.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def events(self, *lines: dict[str, Any] | str, end: str = "\n") -> Path:
        path = self.folder / "events.ndjson"
        texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
        path.write_text("\n".join(texts) + end, encoding="utf-8")
        return path

    def play(
        self,
        rules: str,
        *lines: dict[str, Any] | str,
        until: Instant | None = None,
        policy: Policy | None = None,
        end: str = "\n",
    ) -> Outcome:
        events = EventFile(self.events(*lines, end=end))
        return backtest(
            read_rules(self.rules(rules)),
            events,
            BEGIN + until if until is not None else None,
            policy,
            lambda count, of: self.progress.append((count, of)),
        )

    def refused(self, rules: str, *lines: dict[str, Any] | str) -> list[str]:
        with pytest.raises(Failure) as caught:
            self.play(rules, *lines)
        assert caught.value.code == 2
        return str(caught.value).splitlines()


def fired(outcome: Outcome) -> list[tuple[str, str, Instant]]:
    return [(firing.person, firing.rule, firing.at - BEGIN) for firing in outcome.firings]
