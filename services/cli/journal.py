"""How far an import came, beside the file that is imported: what makes it go on after whatever ended it."""

import hashlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from services.cli.failure import Failure
from services.cli.infile import Place

DIGESTED = 64 * 1024
"""Bytes at a file's beginning by which it is known again."""


class Journal(Struct, frozen=True):
    """``size`` and ``digest``: of the file when it was last begun with. ``how``: how it is read, and where it goes to.
    ``rows`` were read until ``place``; ``events`` of them are stored, ``rejected`` rows stand in the first ``rejected_bytes``
    of the file beside it."""

    size: int
    digest: str
    how: list[str]
    place: Place
    rows: int = 0
    events: int = 0
    rejected: int = 0
    rejected_bytes: int = 0
    done: bool = False


def beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}.{ending}")


def begin(path: Path, how: list[str], place: Place) -> Journal:
    size = path.stat().st_size
    return Journal(size, _digest(path, size), how, place)


def resume(path: Path, how: list[str]) -> Journal | None:
    """What is known of an earlier import of the file; none, if there was none. Raises ``Failure`` if it was of another file, or
    was read in another way."""
    kept = beside(path, "progress")
    again = "--restart imports it from the beginning"
    try:
        journal = msgspec.json.decode(kept.read_bytes(), type=Journal)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Failure(f"{kept}: cannot be read: {error}; {again}", code=2) from None
    size = path.stat().st_size
    if size < journal.size or _digest(path, journal.size) != journal.digest:
        raise Failure(f"{path}: is not the file that {kept} is about; {again}", code=2)
    if journal.how != how:
        was = " ".join(journal.how)
        raise Failure(f"{path}: was begun with {was}; with the same it goes on, {again}", code=2)
    return structs.replace(journal, size=size, digest=_digest(path, size), done=journal.done and size == journal.size)


def save(path: Path, journal: Journal) -> None:
    """Whole or not at all."""
    kept = beside(path, "progress")
    fresh = kept.with_suffix(".progress-new")
    fresh.write_bytes(msgspec.json.encode(journal))
    os.replace(fresh, kept)


def _digest(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(min(size, DIGESTED))).hexdigest()


class Rejects:
    """The rows that were rejected, in a file that is there only if there are any. ``head``: how it begins."""

    def __init__(self, path: Path, head: bytes, size: int) -> None:
        """``size``: what of it an earlier import knows of; the rest will come again."""
        self.path = beside(path, "rejected")
        self._head = head
        self.size = min(size, self.path.stat().st_size) if self.path.exists() else 0
        if self.size:
            os.truncate(self.path, self.size)
        else:
            self.path.unlink(missing_ok=True)

    def write(self, rows: list[bytes]) -> None:
        if not rows:
            return
        with self.path.open("ab") as file:
            file.write(b"".join([b"" if self.size else self._head, *rows]))
            self.size = file.tell()
