"""A bad environment stops the tracker at its start with a line that names the variable."""

import hashlib

import pytest

from services.tracker.settings import Settings
from shared.settings import SettingsError, load

GOOD = {"NATS_URL": "nats://tracker:x@127.0.0.1", "WRITE_KEYS": "wk_1, wk_2"}


def test_the_least_that_is_needed() -> None:
    settings = load(Settings, GOOD)
    assert settings.write_keys == ("wk_1", "wk_2")
    assert settings.secret_keys == ()
    assert settings.pixel_key_required is False
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"WRITE_KEYS": ""}, "WRITE_KEYS is not set (a list separated by commas)"),
        (
            {"SES_TOPIC_ARNS": "bounces"},
            "SES_TOPIC_ARNS: 'bounces' is not like arn:aws:sns:eu-central-1:123456789012:bounces",
        ),
        (
            {"SENDGRID_PUBLIC_KEY": "c2VjcmV0"},
            "SENDGRID_PUBLIC_KEY: number 1 is not a verification key as SendGrid shows it",
        ),
        ({"MAILGUN_SIGNING_KEY": "short"}, "MAILGUN_SIGNING_KEY: number 1 has fewer than 16 characters"),
        (
            {"POSTMARK_HOOK_AUTH": "postmark:short"},
            "POSTMARK_HOOK_AUTH: number 1 is not USER:PASSWORD with a password of at least 16 characters",
        ),
        ({"HTTP_PORT": "http"}, "HTTP_PORT: 'http' is not a whole number"),
        ({"HTTP_PORT": "65536"}, "HTTP_PORT must be 0 to 65535"),
        ({"PIXEL_KEY_REQUIRED": "perhaps"}, "PIXEL_KEY_REQUIRED: 'perhaps' is not true or false"),
        ({"SECRET_KEYS": "sk_1,wk_2"}, "SECRET_KEYS: 1 of them stand in WRITE_KEYS as well, which are public"),
        ({"PUBLISH_CAPACITY_MIB": "3"}, "PUBLISH_CAPACITY_MIB must be at least 4, for one large request"),
        ({"PUBLISH_TIMEOUT_S": "0"}, "BODY_TIMEOUT_S and PUBLISH_TIMEOUT_S must be greater than 0"),
        (
            {"WRITE_KEYS": "wk_2@https://shop.example", "SECRET_KEYS": "sk_1,wk_2"},
            "SECRET_KEYS: 1 of them stand in WRITE_KEYS as well, which are public",
        ),
        (
            {"SECRET_KEYS": "sha256:" + hashlib.sha256(b"wk_2").hexdigest()},
            "SECRET_KEYS: 1 of them stand in WRITE_KEYS as well, which are public",
        ),
        ({"WRITE_KEYS": "wk@shop"}, "WRITE_KEYS: 'shop' is not an origin like https://shop.example"),
        ({"SECRET_KEYS": "sha256:x"}, "SECRET_KEYS: sha256: must be followed by 64 hexadecimal digits in lower case"),
        (
            {"USER_TOKEN_SECRETS": "short:secret"},
            "USER_TOKEN_SECRETS: number 1 is not NAME:SECRET with at least 32 characters of secret",
        ),
        (
            {"SHOPIFY_SECRETS": "long-enough-to-be-kept,too-short"},
            "SHOPIFY_SECRETS: number 2 has fewer than 16 characters",
        ),
        ({"WOOCOMMERCE_SECRETS": "too-short"}, "WOOCOMMERCE_SECRETS: number 1 has fewer than 16 characters"),
        (
            {"PROTECTED_EVENTS": "a/b"},
            "PROTECTED_EVENTS: event: 'a/b' is not 1 to 64 letters, digits, spaces, or any of _ . : -",
        ),
        (
            {"RATE_PER_ADDRESS": "100"},
            "RATE_PER_ADDRESS: '100' is not PER_SECOND:BURST, like 100:1000, nor 0 for no limit",
        ),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES: 10.0.0.1/8 has host bits set"),
        ({"MAX_EVENT_NAMES": "0"}, "MAX_EVENT_NAMES and MAX_PROPERTY_NAMES must be at least 1"),
        (
            {"PUBLIC_URL": "events.shop.example"},
            "PUBLIC_URL: must be like https://events.shop.example, with no path behind it",
        ),
        ({"PARTITIONS": "0"}, "PARTITIONS must be at least 1"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(Settings, GOOD | changes)
    assert error.value.lines == [line]
