"""What the setup job accepts, and how it says no."""

import pytest

from services.setup.settings import Settings
from shared.settings import SettingsError, load
from shared.streams import Sizes

COMPLETE = {
    "NATS_URL": "nats://setup:x@nats:4222",
    "DATABASE_URL": "postgresql://postgres:x@postgres:5432/beckon",
    "STATE_DB_PASSWORD": "s",
    "RULES_DB_PASSWORD": "r",
    "THROTTLE_DB_PASSWORD": "t",
    "MAILER_DB_PASSWORD": "m",
    "WEBHOOK_DB_PASSWORD": "w",
}


def test_servers_and_passwords_are_all_it_needs() -> None:
    settings = load(Settings, COMPLETE)
    assert settings.passwords == {"state": "s", "rules": "r", "throttle": "t", "mailer": "m", "webhook": "w"}
    assert settings.sizes == Sizes()
    assert (settings.partitions, settings.stream_replicas) == (64, 1)


def test_sizes_go_to_their_streams() -> None:
    sizes = {"EVENTS_MAX_BYTES": "4", "TRIGGERS_MAX_BYTES": "3", "SENDS_MAX_BYTES": "2", "DEAD_MAX_BYTES": "1"}
    assert load(Settings, {**COMPLETE, **sizes}).sizes == Sizes(events=4, triggers=3, sends=2, dead=1)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PARTITIONS", "0", "PARTITIONS must be at least 1"),
        ("STREAM_REPLICAS", "2", "STREAM_REPLICAS must be 1, 3 or 5"),
        ("DEAD_MAX_BYTES", "0", "DEAD_MAX_BYTES must be at least 1"),
        ("RULES_DB_PASSWORD", "pässword", "RULES_DB_PASSWORD must consist of printable ASCII characters"),
        ("EVENTS_MAX_BYTES", "2GB", "EVENTS_MAX_BYTES: '2GB' is not a whole number"),
    ],
)
def test_a_bad_value_is_named(variable: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(Settings, {**COMPLETE, variable: value})
    assert refused.value.lines == [told]
