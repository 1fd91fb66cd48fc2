"""Google Merchant's product feeds: RSS 2.0 and Atom with fields in the namespace ``g:``
(https://support.google.com/merchants/answer/7052112).

XML is read as it comes, by expat. A document type is refused: without one there are no entities to expand, and nothing to
fetch.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.parsers import expat

from services.cli.failure import Failure

_G = "http://base.google.com/ns/1.0"
_ATOM = "http://www.w3.org/2005/Atom"
_ITEMS = frozenset({"item", f"{_ATOM} entry"})
LONGEST_TEXT = 64 * 1024
"""Characters of a field. No field of ours is nearly as long; a description may be."""

Found = tuple[int, dict[str, str]]
"""The line on which an item begins, and its fields."""


class _Refused(Exception):
    pass


class _Reader:
    """What expat tells, put together to items. A field within a field, such as a shipping price, is none of the item's."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._parser = parser
        self._fields: dict[str, str] | None = None
        self._line = 0
        self._depth = 0
        self._text: list[str] = []
        self._length = 0
        self.found: list[Found] = []
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._doctype
        parser.buffer_text = True

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._fields is None:
            if name in _ITEMS:
                self._fields, self._line, self._depth = {}, self._parser.CurrentLineNumber, 0
            return
        self._depth += 1
        if self._depth == 1:
            self._text.clear()
            self._length = 0
            if name == f"{_ATOM} link" and "href" in attributes:
                self._fields.setdefault("link", attributes["href"])

    def _end(self, name: str) -> None:
        if self._fields is None:
            return
        if self._depth == 0:
            self.found.append((self._line, self._fields))
            self._fields = None
            return
        space, _, field = name.rpartition(" ")
        text = "".join(self._text).strip()
        if self._depth == 1 and text:
            if space == _G:
                self._fields[field] = text
            elif space in ("", _ATOM):
                self._fields.setdefault(field, text)
        self._depth -= 1

    def _characters(self, text: str) -> None:
        if self._fields is not None and self._depth == 1:
            self._text.append(text)
            self._length += len(text)
            if self._length > LONGEST_TEXT:
                raise _Refused(f"a field of more than {LONGEST_TEXT} characters")

    def _doctype(self, *_: object) -> None:
        raise _Refused("a document type (<!DOCTYPE …>) is not taken, leave it out")


def read_merchant(path: Path, parts: Iterable[bytes]) -> Iterator[Found]:
    """``parts``: the file, in order. Raises ``Failure``, naming the line, where it is no such feed."""
    parser = expat.ParserCreate(namespace_separator=" ")
    reader = _Reader(parser)
    items = 0
    try:
        for part in parts:
            parser.Parse(part, False)
            items += len(reader.found)
            yield from reader.found
            reader.found.clear()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise Failure(f"{path}: line {error.lineno}: is not XML: {expat.ErrorString(error.code)}", code=2) from None
    except _Refused as error:
        raise Failure(f"{path}: line {parser.CurrentLineNumber}: {error}", code=2) from None
    if not items:
        raise Failure(f"{path}: holds no <item> (RSS 2.0) and no <entry> (Atom)", code=2)
