"""``beckon dkim new``: what it writes the mailer can read, and what it prints is what belongs to it."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.failure import Failure
from services.cli.main import app
from services.mailer.settings import Settings
from shared.dkim import read_keys, record
from shared.settings import load

MAILER = {
    "NATS_URL": "nats://mailer:x@127.0.0.1:4222",
    "DATABASE_URL": "postgresql://mailer:x@127.0.0.1/beckon",
    "SMTP_URL": "smtp://127.0.0.1:2525",
    "MAIL_FROM": "Shop <shop@shop.example>",
}


def new(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["dkim", "new", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_the_mailer_reads_the_file_and_the_records_are_of_its_keys(tmp_path: Path) -> None:
    out = tmp_path / "dkim.keys"
    told = json.loads(new("shop.example", "--out", str(out), "--json"))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    keys = read_keys(load(Settings, MAILER | {"DKIM_KEYS_FILE": str(out)}).dkim_keys)
    assert [key.type for key in keys] == ["rsa", "ed25519"]
    assert [(found["name"], found["value"]) for found in told["records"]] == [
        (f"{key.selector}._domainkey.shop.example", record(key)) for key in keys
    ]


def test_keys_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    out = tmp_path / "dkim.keys"
    printed = new("shop.example", "--type", "ed25519", "--selector", "may", "--out", str(out))
    assert 'may-ed25519._domainkey.shop.example. TXT "v=DKIM1; k=ed25519; p=' in printed
    before = out.read_text()
    with pytest.raises(Failure, match="is there already"):
        new("shop.example", "--out", str(out))
    assert out.read_text() == before


@pytest.mark.parametrize("arguments", [("shop",), ("shop.example", "--selector", "a_b")])
def test_what_dns_does_not_take_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(Failure, match="dkim new: '"):
        new(*arguments, "--out", str(tmp_path / "keys"))
    assert list(tmp_path.iterdir()) == []
