"""What is kept of an import, and when it is of no use any more."""

import gzip
from pathlib import Path

import pytest
from msgspec import structs

from services.cli import journal
from services.cli.failure import Failure
from services.cli.importer import CHUNK_ROWS, Chunk, Reader
from services.cli.infile import Place, open_rows
from services.cli.journal import DIGESTED, Rejects
from services.cli.rows import Kind
from shared.clock import SystemClock

HOW = ["--as events"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "orders.csv"
    path.write_bytes(b"x" * (DIGESTED + 10))
    return path


def refused(path: Path, how: list[str] = HOW) -> str:
    with pytest.raises(Failure) as failure:
        journal.resume(path, how)
    assert failure.value.code == 2
    return str(failure.value).replace(f"{path.parent}/", "")


def test_it_is_kept_whole(path: Path) -> None:
    assert journal.resume(path, HOW) is None
    begun = structs.replace(journal.begin(path, HOW, Place(7, 1)), place=Place(70, 9), rows=8, events=9, rejected=1)
    journal.save(path, begun)
    assert journal.resume(path, HOW) == begun
    assert sorted(file.name for file in path.parent.iterdir()) == ["orders.csv", "orders.csv.progress"]


def test_another_file_is_refused(path: Path) -> None:
    journal.save(path, journal.begin(path, HOW, Place()))
    path.write_bytes(b"y" + b"x" * (DIGESTED + 9))
    assert refused(path) == (
        "orders.csv: is not the file that orders.csv.progress is about; --restart imports it from the beginning"
    )
    path.write_bytes(b"x" * DIGESTED)
    assert "is not the file" in refused(path), "rows are missing"


def test_another_way_to_read_it_is_refused(path: Path) -> None:
    journal.save(path, journal.begin(path, HOW, Place()))
    assert refused(path, ["--as profiles"]) == (
        "orders.csv: was begun with --as events; with the same it goes on, --restart imports it from the beginning"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"size": "x"}'])
def test_one_that_cannot_be_read_says_so(path: Path, content: bytes) -> None:
    journal.beside(path, "progress").write_bytes(content)
    assert refused(path).startswith("orders.csv.progress: cannot be read: ")


def test_rows_that_are_added_are_still_to_be_done(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_bytes(b"a\n")
    journal.save(path, structs.replace(journal.begin(path, HOW, Place(2, 1)), done=True))
    found = journal.resume(path, HOW)
    assert found is not None
    assert found.done
    path.write_bytes(b"a\nb\n")
    found = journal.resume(path, HOW)
    assert found is not None
    assert (found.done, found.place, found.size) == (False, Place(2, 1), 4)
    journal.save(path, found)
    path.write_bytes(b"a\nc\n")
    assert "is not the file" in refused(path), "known by all it had when it was begun with last"


# --- Rejected rows ----------------------------------------------------------------------------------------------------


def test_rejected_rows_that_will_come_again_are_taken_back(path: Path) -> None:
    first = Rejects(path, b"head\n", 0)
    assert not first.path.exists()
    first.write([])
    first.write([b"one\n"])
    known = first.size
    first.write([b"two\n"])
    second = Rejects(path, b"head\n", known)
    second.write([b"two\n", b"three\n"])
    assert second.path.read_bytes() == b"head\none\ntwo\nthree\n"
    Rejects(path, b"head\n", 0)
    assert not first.path.exists(), "none yet"


# --- Chunks -----------------------------------------------------------------------------------------------------------


def chunks(path: Path, place: Place | None = None) -> list[Chunk]:
    source = open_rows(path, Kind.EVENTS, {})
    reader = Reader(source, place or source.begin, SystemClock())
    return list(iter(reader.chunk, None))


def test_chunks_go_on_from_wherever_one_ended(tmp_path: Path) -> None:
    rows = [
        f'{number},{number % 50}@example.test,2024-01-01T00:00:00Z,x,"a\nb"' for number in range(2 * CHUNK_ROWS + 10)
    ]
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["user_id,email,timestamp,event,note", *rows]).encode()))
    every = chunks(path)
    assert [chunk.rows for chunk in every] == [CHUNK_ROWS, CHUNK_ROWS, 10]
    bodies = [[ready.event.body for ready in chunk.ready] for chunk in every]
    for number, chunk in enumerate(every):
        assert [[r.event.body for r in c.ready] for c in chunks(path, chunk.place)] == bodies[number + 1 :]
    assert every[-1].position == path.stat().st_size


def test_who_is_the_same_is_said_once_in_a_row(tmp_path: Path) -> None:
    people = ["1,a@example.test"] * 3 + ["2,b@example.test"] + ["1,a@example.test"] * 2
    path = tmp_path / "orders.csv"
    path.write_text("user_id,email,timestamp,event\n" + "".join(f"{who},2024-01-01T00:00:00Z,x\n" for who in people))
    (chunk,) = chunks(path)
    aliases = [ready.event.person for ready in chunk.ready if b'"alias"' in ready.event.body]
    assert aliases == ["1", "2", "1"]
    assert len(chunk.ready) == 6 + 3
