"""What the webhook service takes from its environment, and how it says no."""

import pytest

from services.webhook.settings import Settings
from shared.clock import HOUR, SECOND
from shared.settings import SettingsError, load

COMPLETE = {"NATS_URL": "nats://webhook:x@nats:4222", "DATABASE_URL": "postgresql://webhook:x@postgres:5432/beckon"}


def test_without_secrets_it_starts_all_the_same() -> None:
    settings = load(Settings, COMPLETE)
    assert settings.webhook_secrets == ()
    assert (settings.delays[0], settings.delays[-1], len(settings.delays)) == (5 * SECOND, 24 * HOUR, 9)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("WEBHOOK_SECRETS", "crm=whsec_c2hvcnQ=", "WEBHOOK_SECRETS: the secret crm has 5 bytes, expected 24 to 64 in base64"),
        ("WEBHOOK_ALLOW", "10.0.0.0/99", "WEBHOOK_ALLOW: '10.0.0.0/99' is neither a host nor a network such as 10.0.0.0/8"),
        ("WEBHOOK_TEST_URL", "ftp://x", "WEBHOOK_TEST_URL begins with 'ftp', expected one like https://hooks.example.com/beckon"),
        ("WEBHOOK_DELAYS", "5s,5x", "WEBHOOK_DELAYS: '5x' is not a duration, try 5m"),
        ("WEBHOOK_KEPT", "30", "WEBHOOK_KEPT: '30' is not a duration, try 30m"),
        ("WEBHOOK_PARALLEL", "0", "WEBHOOK_PARALLEL must be at least 1"),
        ("WEBHOOK_TIMEOUT_S", "0", "WEBHOOK_TIMEOUT_S must be more than 0"),
        ("CLAIM_S", "15", "CLAIM_S must be more than WEBHOOK_TIMEOUT_S, or what is under way is taken for left behind"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(variable: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(Settings, {**COMPLETE, variable: value})
    assert refused.value.lines == [told]
