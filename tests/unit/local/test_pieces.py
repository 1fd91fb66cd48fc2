"""Keys, ports, pauses and logs of the one-machine run."""

import socket
from pathlib import Path

import pytest

from services.local.child import restart_delay_s
from services.local.keys import DATABASE_ROLES, NATS_USERS, load_keys
from services.local.ports import Ports
from services.local.process import describe_exit, tail
from services.local.runfile import RunFile, read_run_file, write_run_file


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    keys = load_keys(path)
    assert load_keys(path) == keys
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(keys.nats) == set(NATS_USERS)
    assert set(keys.database) == set(DATABASE_ROLES)
    # nats-server reads a password like 12e4 as a number
    assert all(word[0].isalpha() and word.isalnum() for word in keys.nats.values())


def test_keys_that_are_new_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text('{"write_key": "kept", "nats": {"tracker": "kept"}}')
    keys = load_keys(path)
    assert (keys.write_key, keys.nats["tracker"]) == ("kept", "kept")
    assert load_keys(path) == keys


def test_a_preferred_port_is_had_if_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert Ports().take(port) != port
    ports = Ports()
    assert ports.take(port) == port
    assert ports.take(port) != port, "nobody gets what another was given"


def test_a_port_that_somebody_has_on_every_address_is_taken() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert Ports().take(taken.getsockname()[1]) != taken.getsockname()[1]


def test_pauses_grow_up_to_a_limit() -> None:
    assert [restart_delay_s(ends) for ends in (1, 2, 3, 4)] == [0.2, 0.4, 0.8, 1.6]
    assert restart_delay_s(50) == 15.0


@pytest.mark.parametrize(("code", "text"), [(1, "ended with exit code 1"), (-9, "was ended by SIGKILL")])
def test_how_a_process_ended(code: int, text: str) -> None:
    assert describe_exit(code) == text


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    assert tail(log) == ""
    log.write_bytes(b"old run\n" + b"one\n\xfftwo\nthree\n")
    assert tail(log, 2, since=8) == "�two\nthree"
    assert tail(log, since=8).startswith("one")


def test_the_run_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    assert read_run_file(path) is None
    run = RunFile("t", "c", "i", "n", "o", "d", "s", "wk", "sk", 7)
    write_run_file(path, run)
    assert read_run_file(path) == run
    assert path.stat().st_mode & 0o777 == 0o600
