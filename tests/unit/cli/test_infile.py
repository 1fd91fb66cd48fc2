"""Reading files of rows: what CSV and lines of JSON come as, where each row is, and what a bad one spoils."""

import gzip
from pathlib import Path

import pytest

from services.cli.failure import Failure
from services.cli.infile import LONGEST, MOST_LINES, Lines, Place, Row, open_rows, split
from services.cli.rows import REASON, Kind
from services.tracker.flaws import Flaw

AT = "2024-12-31T14:05:00Z"
ROW = "user_id,timestamp,event,name\n"


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, content: str | bytes, name: str = "rows.csv") -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def rows(self, content: str | bytes, delimiter: str = ",", width: int = 0) -> list[Row]:
        return list(split(Lines(self.write(content)), delimiter, width))

    def cells(self, content: str | bytes, delimiter: str = ",") -> list[list[str]]:
        return [list(row.cells) for row in self.rows(content, delimiter)]

    def refused(self, content: str | bytes, kind: Kind = Kind.EVENTS, name: str = "rows.csv") -> str:
        with pytest.raises(Failure) as failure:
            open_rows(self.write(content, name), kind, {})
        assert failure.value.code == 2
        return str(failure.value).replace(str(self.folder), "")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# --- Cells ------------------------------------------------------------------------------------------------------------


def test_quotes_delimiters_and_lines_in_a_cell(files: Files) -> None:
    content = 'a,"b ""c"", d","e\r\nf"\r\n\r\n1,2, "3"\n5" pipe,x,'
    assert files.cells(content) == [["a", 'b "c", d', "e\r\nf"], ["1", "2", "3"], ['5" pipe', "x", ""]]


def test_each_row_knows_its_first_line_and_how_it_stood_there(files: Files) -> None:
    rows = files.rows('a,"x\ny"\r\n\nb,"2"\n')
    assert [(row.number, row.raw) for row in rows] == [(1, b'a,"x\ny"'), (4, b'b,"2"')]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'17,"never closed', "cannot be read as CSV"),
        (b'17,"closed"badly', "cannot be read as CSV"),
        (b"17,\xe9", "is not UTF-8"),
        (b"17," + b"x" * 200_000, "cannot be read as CSV: field larger than field limit"),
        (b"17,a\rb", "cannot be read as CSV"),
    ],
)
def test_a_row_that_cannot_be_read_spoils_its_own_line_only(files: Files, bad: bytes, why: str) -> None:
    first, broken, *rest = files.rows(b"1,a\n" + bad + b'\n2,b\n3,"c\nd"\n4,e\n')
    assert first.cells == ["1", "a"]
    assert broken.number == 2
    assert broken.flaw.startswith(why)
    assert broken.raw == bad
    assert [(row.number, row.cells) for row in rest] == [(3, ["2", "b"]), (4, ["3", "c\nd"]), (6, ["4", "e"])]


def test_a_row_of_too_many_lines_is_one_line(files: Files) -> None:
    rows = files.rows(b'1,"a\n2,b\n3,"c\n4,d\n', width=2)
    assert [(row.number, list(row.cells)) for row in rows if not row.flaw and len(row.cells) == 2] == [
        (2, ["2", "b"]),
        (4, ["4", "d"]),
    ]
    assert [row.number for row in rows] == [1, 2, 3, 4]


def test_a_row_without_end_is_one_bad_line(files: Files) -> None:
    lines = MOST_LINES + 10
    first, *rest = files.rows(b"1," + b'"\n",' * lines)
    assert (first.raw, first.flaw) == (b'1,"', "cannot be read as CSV: a row of more than 1000 lines, or of 1 MiB")
    assert rest[0].number == 2


def test_a_line_without_end_is_one_bad_row(files: Files) -> None:
    rows = files.rows(b"1,a\n" + b"x" * (3 * LONGEST + 5) + b"\n2,b\n")
    assert [(row.number, len(row.raw)) for row in rows] == [(1, 3), (2, LONGEST), (3, 3)]
    assert rows[1].flaw.startswith("cannot be read as CSV: a row of more than")


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_says_by_its_header_what_stands_between_cells(
    files: Files, delimiter: str, bom: bytes, packed: bool
) -> None:
    text = f'"user_id"|timestamp|event|"a,b;c,d;e,f"\n17|{AT}|x|"1;2,3\t4"\n'.replace("|", delimiter)
    content = bom + text.encode()
    table = open_rows(files.write(gzip.compress(content) if packed else content), Kind.EVENTS, {})
    (row,) = table
    (event,) = table.events(row)
    assert (event.user_id, event.properties) == ("17", {"a,b;c,d;e,f": "1;2,3\t4"})
    assert row.number == 2


def test_lines_of_json_are_known_by_the_first_one_or_by_the_name(files: Files) -> None:
    content = '\ufeff{"user_id": "1", "event": "x"}\r\n\n  {"user_id": "2", "event": "x"}'
    for name, text in (("a.txt", content), ("b.jsonl", f"oops\n{content[1:]}")):
        events = open_rows(files.write(text, name), Kind.EVENTS, {})
        good = [row for row in events if row.raw.startswith(b"{")]
        assert [events.events(row)[0].user_id for row in good] == ["1", "2"]
    assert [row.number for row in good] == [2, 4]


def test_reading_goes_on_from_any_place(files: Files) -> None:
    content = f'{ROW}1,{AT},x,a\n2,{AT},x,"b\nc"\n\n3,{AT},x,"d\n4,{AT},x,e\n'
    for packed in (False, True):
        path = files.write(gzip.compress(content.encode()) if packed else content)
        table = open_rows(path, Kind.EVENTS, {})
        places = [(row, table.lines.place) for row in table]
        assert [row.number for row, _ in places] == [2, 3, 6, 7]
        for at, (_, place) in enumerate(places):
            again = open_rows(path, Kind.EVENTS, {})
            again.lines.seek(place)
            assert list(again) == [row for row, _ in places[at + 1 :]]
        assert places[-1][1] == Place(len(content.encode()), 7)


def test_rejected_rows_stand_as_they_were_beside_the_reason_and_can_be_imported(files: Files) -> None:
    table = open_rows(files.write(f'\ufeff"user_id";timestamp;event\r\n1;{AT};"x"\r\n2;soon;x;;\r\n'), Kind.EVENTS, {})
    rows = list(table)
    told = table.head + b"".join(table.rejected(row, f'why "{row.number}"') for row in rows)
    assert told.decode() == f'{REASON};"user_id";timestamp;event\n"why ""2""";1;{AT};"x"\n"why ""3""";2;soon;x;;\n'
    again = open_rows(files.write(told, "again.csv"), Kind.EVENTS, {})
    good, bad = again
    assert again.events(good)[0].user_id == "1"
    with pytest.raises(Flaw, match="6 cells, but the header has 4"):
        again.events(bad)


def test_rejected_lines_of_json_too(files: Files) -> None:
    events = open_rows(
        files.write(f'{{ "user_id":"1","event":"x","timestamp":"{AT}"}}\n{{}}\n[1]\n{{"a": '), Kind.EVENTS, {}
    )
    told = [events.rejected(row, 'a "b"') for row in events]
    assert told == [
        b'{"rejected_because":"a \\"b\\"","user_id":"1","event":"x","timestamp":"%b"}\n' % AT.encode(),
        b'{"rejected_because":"a \\"b\\"","line":"{}"}\n',
        b'{"rejected_because":"a \\"b\\"","line":"[1]"}\n',
        b'{"rejected_because":"a \\"b\\"","a":\n',
    ]
    (event,) = events.events(Row(1, told[0]))
    assert event.user_id == "1"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "/rows.csv: the header is missing"),
        ('"open\n', "/rows.csv: the header cannot be read as CSV: unexpected end of data"),
        (b"\xe9,b\n", "/rows.csv: the header is not UTF-8"),
        ("user_id".encode("utf-16"), "/rows.csv: is text in UTF-16, save it in UTF-8"),
        ('[{"event": "x"}]', "/rows.csv: is an array; one object a line is read, as of jq -c '.[]' /rows.csv"),
        ("a,b\n", "/rows.csv: no column is called user_id, email or anonymous_id"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(files: Files, content: str | bytes, why: str) -> None:
    assert files.refused(content).startswith(why)


def test_a_compressed_file_that_breaks_off(files: Files) -> None:
    whole = gzip.compress(f"{ROW}1,{AT},x,a\n".encode())
    table = open_rows(files.write(whole[:-1]), Kind.EVENTS, {})
    with pytest.raises(Failure, match=r"rows\.csv: Compressed file ended before"):
        list(table)


def test_what_is_of_a_table_is_not_of_json(files: Files) -> None:
    assert files.refused("{}", Kind.PROFILES) == (
        "/rows.csv: holds events as JSON; --as profiles, --column and --event are for a CSV"
    )


def test_there_must_be_a_file(files: Files) -> None:
    for path, why in ((files.folder / "none.csv", "No such file"), (files.folder, "is not a file")):
        with pytest.raises(Failure, match=why):
            open_rows(path, Kind.EVENTS, {})
