"""Files of rows: CSV and lines of JSON, compressed or not, read one row at a time from any place on.

However large a file is, memory holds one row. A row that cannot be read is one line of the file; reading goes on with the next.
"""

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from services.cli import rows
from services.cli.failure import Failure
from services.cli.rows import REASON, Kind, Layout, Wanted
from services.tracker.events import EventIn
from services.tracker.flaws import Flaw
from services.tracker.timestamps import Time

LONGEST = 1024 * 1024
"""Bytes of a row. No event is nearly as large."""
MOST_LINES = 1000
"""Of a row. A quote that is never closed is told from a long cell by it."""
DELIMITERS = ",;\t"

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP = b"\x1f\x8b"
_JSON_ENDINGS = {".ndjson", ".jsonl"}


class Place(NamedTuple):
    """So far into a file, once decompressed."""

    bytes: int = 0
    lines: int = 0


class Line(NamedTuple):
    """``size``: its bytes in the file; of one that is too long ``data`` is the beginning."""

    data: bytes
    size: int


class Row(NamedTuple):
    """``number``: its first line, from 1. ``raw``: as it stands in the file, without the line's end. ``flaw``: why it cannot be
    split into cells."""

    number: int
    raw: bytes
    cells: Sequence[str] = ()
    flaw: str = ""


class Rows(Protocol):
    """The rows from where ``lines`` are on. ``begin``: where the first one is. ``head``: how a file of such rows begins."""

    lines: "Lines"
    begin: Place
    head: bytes

    def __iter__(self) -> Iterator[Row]: ...

    def events(self, row: Row) -> list[EventIn]:
        """Raises ``Flaw``."""

    def in_words(self, reason: str) -> str:
        """A flaw of the events, as the file calls things."""

    def rejected(self, row: Row, reason: str) -> bytes:
        """The row as it was, with the reason, for a file that can be mended and imported."""


class Lines:
    """The lines of a file, decompressed if need be, with their ends. ``place``: after the last one that was given."""

    def __init__(self, path: Path) -> None:
        """Raises ``Failure``."""
        self.path = path
        self._back: deque[Line] = deque()
        try:
            if not path.is_file() and path.exists():
                raise Failure(f"{path}: is not a file", code=2)
            self._file = path.open("rb")
            packed = self._file.peek(len(_GZIP)).startswith(_GZIP)
            self.size = path.stat().st_size
        except OSError as error:
            raise Failure(f"{path}: {error.strerror}", code=2) from None
        self._plain = gzip.GzipFile(fileobj=self._file) if packed else self._file
        start = self._read(len(_BOM))
        if start.startswith(_UTF16):
            raise Failure(f"{path}: is text in UTF-16, save it in UTF-8", code=2)
        self.begin = Place(len(_BOM) if start == _BOM else 0)
        self.seek(self.begin)

    @property
    def position(self) -> int:
        """Bytes that were read, of ``size`` on the disk."""
        return self._file.tell()

    def seek(self, place: Place) -> None:
        self._back.clear()
        self._plain.seek(place.bytes)
        self.place = place

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        line = self._back.popleft() if self._back else self._next()
        if not line.size:
            raise StopIteration
        self.place = Place(self.place.bytes + line.size, self.place.lines + 1)
        return line

    def back(self, lines: Sequence[Line]) -> None:
        """Give the last ``lines`` once more."""
        self._back.extendleft(reversed(lines))
        self.place = Place(self.place.bytes - sum(line.size for line in lines), self.place.lines - len(lines))

    def close(self) -> None:
        self._file.close()

    def _next(self) -> Line:
        data = more = self._read(LONGEST, line=True)
        size = len(data)
        while len(more) == LONGEST and not more.endswith(b"\n"):
            more = self._read(LONGEST, line=True)
            size += len(more)
        return Line(data, size)

    def _read(self, most: int, *, line: bool = False) -> bytes:
        try:
            return self._plain.readline(most) if line else self._plain.read(most)
        except (OSError, EOFError, zlib.error) as error:
            raise Failure(f"{self.path}: {error}") from None


class JsonLines:
    """Events as ``POST /v1/events`` takes them, one a line."""

    head = b""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.begin = lines.begin

    def __iter__(self) -> Iterator[Row]:
        for line in self.lines:
            if raw := line.data.strip():
                yield Row(self.lines.place.lines, raw)

    def events(self, row: Row) -> list[EventIn]:
        return rows.read_json(row.number, row.raw)

    def in_words(self, reason: str) -> str:
        return reason

    def rejected(self, row: Row, reason: str) -> bytes:
        rest = row.raw[1:].lstrip()
        if row.raw.startswith(b"{") and not rest.startswith(b"}"):
            return b'{"%b":%b,%b\n' % (REASON.encode(), rows.encode(reason), rest)
        return rows.encode({REASON: reason, "line": row.raw.decode(errors="replace")}) + b"\n"


class Table:
    """A CSV with a header."""

    def __init__(self, lines: Lines, delimiter: str, header: Row, layout: Layout) -> None:
        self.lines = lines
        self.begin = lines.place
        self._delimiter = delimiter
        self._layout = layout
        self.head = self._beside(REASON, header)

    def __iter__(self) -> Iterator[Row]:
        return split(self.lines, self._delimiter, len(self._layout.columns))

    def events(self, row: Row) -> list[EventIn]:
        if row.flaw:
            raise Flaw(row.flaw)
        return rows.read_row(self._layout, row.cells, row.number, row.raw)

    def in_words(self, reason: str) -> str:
        return rows.in_words(self._layout, reason)

    def rejected(self, row: Row, reason: str) -> bytes:
        quoted = reason.replace('"', '""')
        return self._beside(f'"{quoted}"', row)

    def _beside(self, cell: str, row: Row) -> bytes:
        return cell.encode() + self._delimiter.encode() + row.raw + b"\n"


def split(lines: Lines, delimiter: str, width: int = 0) -> Iterator[Row]:
    """The rows of a CSV as in RFC 4180, of ``width`` cells; 0: any number of them. A quote that is never closed, or not as it
    should be, spoils its own line only."""
    record = _Record(lines)
    reader = csv.reader(record, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        record.begin()
        cells: Sequence[str] = ()
        flaw = ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError:
            flaw = "is not UTF-8"
        except (csv.Error, Flaw) as error:
            flaw = f"cannot be read as CSV: {error}"
        number = lines.place.lines - len(record.lines) + 1
        if flaw or (width and len(cells) != width):
            lines.back(record.lines[1:])
            del record.lines[1:]
        if cells or flaw:  # not an empty line
            yield Row(number, b"".join(line.data for line in record.lines).rstrip(b"\r\n"), cells, flaw)


class _Record:
    """What the reader of a CSV has taken for one row."""

    def __init__(self, lines: Lines) -> None:
        self._source = lines
        self.begin()

    def begin(self) -> None:
        self.lines: list[Line] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._source)
        self.lines.append(line)
        self._size += line.size
        if self._size > LONGEST or len(self.lines) > MOST_LINES:
            raise Flaw(f"a row of more than {MOST_LINES} lines, or of 1 MiB")
        return line.data.decode()


def _header(lines: Lines, delimiter: str) -> Row:
    lines.seek(lines.begin)
    return next(split(lines, delimiter), Row(1, b""))


def open_rows(
    path: Path, kind: Kind, wanted: Mapping[str, Wanted], event: str = "", at: Time = None
) -> JsonLines | Table:
    """``wanted``, ``event`` and ``at`` are for a CSV, as in ``rows.layout``. Raises ``Failure``."""
    lines = Lines(path)
    first = next(lines, Line(b"", 0)).data.lstrip()
    lines.seek(lines.begin)
    if first.startswith(b"["):
        raise Failure(f"{path}: is an array; one object a line is read, as of jq -c '.[]' {path}", code=2)
    if first.startswith(b"{") or _JSON_ENDINGS & set(path.suffixes):
        if kind is not Kind.EVENTS or wanted or event:
            raise Failure(f"{path}: holds events as JSON; --as profiles, --column and --event are for a CSV", code=2)
        return JsonLines(lines)
    found = [(_header(lines, delimiter), delimiter) for delimiter in DELIMITERS]
    delimiter = max(found, key=lambda one: len(one[0].cells))[1]
    header = _header(lines, delimiter)  # once more: what follows is read from there on
    if not header.cells:
        raise Failure(f"{path}: the header {header.flaw or 'is missing'}", code=2)
    try:
        return Table(lines, delimiter, header, rows.layout(header.cells, wanted, kind, event, at))
    except ValueError as error:
        raise Failure(f"{path}: {error}", code=2) from None
