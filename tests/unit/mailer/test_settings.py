"""The mailer's environment: what is read, and the line that names what is wrong."""

import pytest

from services.mailer.server import Server, place, server, servers
from services.mailer.settings import Settings
from shared.settings import SettingsError, load

GOOD = {
    "NATS_URL": "nats://mailer:x@127.0.0.1:4222",
    "DATABASE_URL": "postgresql://mailer:x@127.0.0.1/beckon",
    "SMTP_URL": "smtp://127.0.0.1:2525",
    "MAIL_FROM": "Shop <shop@example.test>",
}


def test_what_must_be_set_is_enough() -> None:
    settings = load(Settings, GOOD)
    assert (settings.smtp_pool, settings.test_recipients) == (8, ())
    assert load(Settings, GOOD | {"TEST_RECIPIENTS": "a@x.test, b@x.test"}).test_recipients == ("a@x.test", "b@x.test")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMTP_URL", "http://127.0.0.1"),
        ("SMTP_URL", "127.0.0.1:25"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://host:port"),
        ("SMTP_URL", "smtp://host:25/path"),
        ("SMTP_URL", "smtp://host?rate=fast"),
        ("SMTP_URL", "smtp://host?rate=0/s"),
        ("SMTP_URL", "smtp://host?pool=0"),
        ("SMTP_URL", "smtp://host?priority=1"),
        ("SMTP_URL", ","),
        ("SMTP_URL", "smtp://a,http://b"),
        ("SMTP_URL", "smtp://a,smtp://b,smtp://a:25"),
        ("SMTP_TLS", "none"),
        ("DOMAIN_CONCURRENCY", "0"),
        ("MAIL_FROM", "Shop"),
        ("MAIL_FROM", "Shop <shop>"),
        ("TEST_RECIPIENTS", "qa"),
        ("REPLY_TO", "Help"),
        ("DKIM_KEYS", "a:c2VjcmV0"),
        ("DKIM_DOMAIN", "other.test"),
        ("BOUNCE_DOMAIN", "shop"),
        ("BOUNCE_DOMAIN", "bounces.shop.example"),  # there is no SECRET_KEY
        ("BOUNCE_LISTEN", "0.0.0.0:2525"),  # there is no BOUNCE_DOMAIN
        ("MAIL_PROVIDER", "pigeon"),
        ("SMTP_POOL", "0"),
        ("SMTP_POOL", "many"),
        ("RETRY_FIRST_S", "0"),
        ("BECKON_ENV", "test"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, GOOD | {name: value})
    (line,) = caught.value.lines
    assert line.startswith(name)


@pytest.mark.parametrize("name", ["SMTP_URL", "MAIL_FROM", "DATABASE_URL", "NATS_URL"])
def test_a_missing_value_is_named(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {key: value for key, value in GOOD.items() if key != name})
    (line,) = caught.value.lines
    assert line.startswith(f"{name} is not set")


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("smtp://mail.test", Server("mail.test", 25, tls=False)),
        ("smtp://mail.test:1025", Server("mail.test", 1025, tls=False)),
        ("smtp://me%40mail.test:p%3Aw@mail.test", Server("mail.test", 587, False, "me@mail.test", "p:w")),
        ("smtps://me:@mail.test/", Server("mail.test", 465, True, "me", "")),
        ("smtp://mail.test?rate=100/s&pool=8", Server("mail.test", 25, False, interval_s=0.01, pool=8)),
        ("smtp://mail.test/?rate=30/m", Server("mail.test", 25, False, interval_s=2)),
        ("smtp://mail.test?rate=3600/h", Server("mail.test", 25, False, interval_s=1)),
    ],
)
def test_where_the_server_is(url: str, read: Server) -> None:
    assert server(url) == read


def test_several_servers_are_in_the_order_of_priority() -> None:
    urls = "smtps://me:p%2Cw@first.test?rate=14/s, smtp://second.test:2525"
    found = servers(load(Settings, GOOD | {"SMTP_URL": urls}).smtp_url)
    assert [(each.name, each.password) for each in found] == [("first.test:465", "p,w"), ("second.test:2525", None)]


def test_a_password_is_never_repeated() -> None:
    with pytest.raises(ValueError) as caught:
        server("smtp://me:secret@mail.test:99999")
    assert "secret" not in str(caught.value)


def test_a_place_to_listen_at() -> None:
    assert place("0.0.0.0:2525") == ("0.0.0.0", 2525)
    assert place("[::1]:25") == ("::1", 25)
    for bad in ("2525", "host", ":2525", "host:port", "host:70000", "a@host:25", "host:25/path", "smtp://host:25"):
        with pytest.raises(ValueError, match=r"is not like 0\.0\.0\.0:2525"):
            place(bad)
