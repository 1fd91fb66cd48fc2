"""Signatures, verified by the library of Standard Webhooks and by what the guide shows."""

import json
import re
import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.rule_evaluator.document import parse_document
from services.webhook.payload import payload
from services.webhook.signing import read_keys, signed_headers
from shared.clock import SECOND, SystemClock
from shared.messages import HistoryEvent, Person, Terms, Trigger, WebhookAction
from tests.support.stack import ROOT

OLD = "whsec_" + "b2xk" * 8
NEW = "whsec_" + "bmV3" * 16
GUIDE = (ROOT / "docs/webhooks.md").read_text(encoding="utf-8")


def body() -> bytes:
    terms = Terms(None, webhook=WebhookAction("https://crm.example.test", "crm"))
    because = [HistoryEvent(1, "e1", "added_to_cart", 0, 0, {"name": "Käffchen ☕", "price": 1.5})]
    trigger = Trigger("t1", "ada", "cart", 3, 7 * SECOND, terms, because=because)
    return payload(trigger, Person("ada", {"first_name": "Zoë"}), test=False)


def guide() -> Any:
    """The function of the guide, as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    return found["verify"]


def test_every_key_of_a_name_signs() -> None:
    keys = read_keys([f"crm={NEW}", f"crm={OLD}", "gateway=whsec_" + "Z3c0" * 8])
    assert sorted(keys) == ["crm", "gateway"]
    headers = signed_headers(keys["crm"], "t1", SystemClock().now(), body())
    for secret in (OLD, NEW):
        said = Webhook(secret).verify(body(), headers)
        assert said["data"]["because"][0]["properties"]["name"] == "Käffchen ☕"
        assert guide()(secret, headers, body())
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "Z3c0" * 8).verify(body(), headers)


def test_what_was_changed_on_the_way_or_is_old_is_not_verified() -> None:
    keys, now = read_keys([f"crm={NEW}"])["crm"], SystemClock().now()
    good, old = signed_headers(keys, "t1", now, body()), signed_headers(keys, "t1", now - 400 * SECOND, body())
    for headers, content in (
        (good, body() + b" "),
        (good | {"webhook-id": "t2"}, body()),
        (good | {"webhook-timestamp": str(int(time.time()) + 60)}, body()),
        (old, body()),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(NEW).verify(content, headers)
        assert not guide()(NEW, headers, content)


def test_a_known_signature() -> None:
    """Worked out with openssl: ``printf 't1.1700000000.{}' | openssl dgst -sha256 -hmac "$KEY" -binary | base64``."""
    headers = signed_headers([b"k" * 24], "t1", 1_700_000_000 * SECOND + 999_999, b"{}")
    assert headers == {
        "webhook-id": "t1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,eVI8b2hVSjHnAuAwpaiG1CYIdAWa8dd3d3maGbBhWss=",
    }


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("crm", "entry 1 is not like NAME=whsec_…"),
        ("crm=topsecretvalue", "entry 1 is not like NAME=whsec_…"),
        ("c r m=whsec_dG9wc2VjcmV0", "entry 1 is not like NAME=whsec_…"),
        ("crm=whsec_topsecret!value", "the secret crm is not base64 after whsec_"),
        ("crm=whsec_dG9wc2VjcmV0", "the secret crm has 9 bytes, expected 24 to 64 in base64"),
        ("crm=whsec_" + "dG9w" * 22, "the secret crm has 66 bytes, expected 24 to 64 in base64"),
    ],
)
def test_a_bad_secret_is_named_and_not_repeated(entry: str, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_keys([entry])
    assert str(refused.value).startswith(told)
    assert not any(part in str(refused.value) for part in ("topsecret", "dG9w"))


def test_the_rule_of_the_guide_is_one() -> None:
    reading = parse_document(re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[0])
    assert reading.rule is not None, reading.errors
    assert reading.rule.terms.webhook == WebhookAction("https://hooks.example.com/beckon", "crm")


def test_the_guide_shows_the_fields_there_are() -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)[0])
    said = json.loads(body())
    assert list(shown) == list(said)
    assert list(shown["data"]) == list(said["data"])
    assert list(shown["data"]["because"][0]) == list(said["data"]["because"][0])
