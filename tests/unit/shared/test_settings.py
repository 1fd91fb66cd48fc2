"""A bad or missing variable is named, all of them at once, and no secret is shown."""

from pathlib import Path
from typing import Literal

import pytest
from msgspec import Struct

from shared.settings import Common, SettingsError, load


class Settings(Struct, frozen=True, kw_only=True):
    nats_url: str
    size: int = 3
    share: float = 0.5
    strict: bool = False
    keys: tuple[str, ...] = ()
    mode: Literal["one", "two"] = "one"


GOOD = {"NATS_URL": "nats://127.0.0.1"}


def refused(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Settings, environ)
    return caught.value.lines


def test_defaults_stand_where_nothing_is_set() -> None:
    assert load(Settings, GOOD) == Settings(nats_url="nats://127.0.0.1")


def test_every_kind_is_read() -> None:
    environ = GOOD | {"SIZE": "7", "SHARE": "0.25", "STRICT": "TRUE", "KEYS": "a, b,,c", "MODE": "two"}
    assert load(Settings, environ) == Settings(
        nats_url="nats://127.0.0.1", size=7, share=0.25, strict=True, keys=("a", "b", "c"), mode="two"
    )


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert load(Settings, GOOD | {"SIZE": ""}).size == 3


def test_all_flaws_are_named_at_once() -> None:
    assert refused({"SIZE": "many", "SHARE": "half", "STRICT": "maybe", "MODE": "three"}) == [
        "NATS_URL is not set (a text)",
        "SIZE: 'many' is not a whole number",
        "SHARE: 'half' is not a number",
        "STRICT: 'maybe' is not true or false",
        "MODE: 'three' is not one of one, two",
    ]


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("nats://from-file\n")
    assert load(Settings, {"NATS_URL_FILE": str(secret)}).nats_url == "nats://from-file"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (line,) = refused({"NATS_URL_FILE": str(tmp_path / "none")})
    assert line.startswith("NATS_URL_FILE: cannot read")


def test_what_a_struct_refuses_is_a_line_as_well() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Common, GOOD | {"PARTITIONS": "0"})
    assert caught.value.lines == ["PARTITIONS must be at least 1"]


def test_no_secret_is_shown() -> None:
    class Secretive(Struct, frozen=True):
        secret_number: int

    with pytest.raises(SettingsError) as caught:
        load(Secretive, {"SECRET_NUMBER": "hunter2"})
    assert "hunter2" not in str(caught.value)
