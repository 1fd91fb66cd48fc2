"""The little of MIME that reports are made of, read from whatever bytes come. Pure.

Nothing here raises, and each byte is looked at a few times at most. The standard library's parser recurses as deep as a mail
is nested, and asks every boundary that is open about each line.
"""

import binascii
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

MAX_HEADERS = 200
MAX_PARTS = 20
MAX_DEPTH = 3
_TEXT = 20_000
"""Characters of a header's value, and more than any text that is looked at."""
_BLANK = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(r"\r?\n[ \t]+")
_PARAMETER = re.compile(r""";\s*([\w*-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]+))""")

Headers = Mapping[str, str]
"""By name in small letters; of several of a name the first."""


class Part(Struct, frozen=True):
    headers: Headers
    body: bytes

    @property
    def type(self) -> str:
        """Like ``message/delivery-status``."""
        return self.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()

    def parameter(self, name: str) -> str:
        """Of the content type; empty if there is none."""
        found = _PARAMETER.finditer(self.headers.get("content-type", ""))
        return next((match[2] or match[3] or "" for match in found if match[1].lower() == name), "")

    def decoded(self) -> bytes:
        """The body without its transfer encoding; as it is, if that is broken."""
        encoding = self.headers.get("content-transfer-encoding", "").strip().lower()
        if encoding == "quoted-printable":
            return binascii.a2b_qp(self.body)
        if encoding == "base64":
            try:
                return binascii.a2b_base64(self.body)
            except binascii.Error:
                return self.body
        return self.body

    def text(self) -> str:
        return self.decoded()[:_TEXT].decode("utf-8", "replace")


def read(data: bytes) -> Part:
    """A mail, or a part of one."""
    if data.startswith((b"\r\n", b"\n")):  # a part without headers
        return Part({}, data)
    blank = _BLANK.search(data)
    head, body = (data[: blank.start()], data[blank.end() :]) if blank else (data, b"")
    return Part(headers(head), body)


def headers(head: bytes) -> Headers:
    """``Name: value`` lines, folded ones made one."""
    found: dict[str, str] = {}
    lines = _FOLD.sub(" ", head[: MAX_HEADERS * _TEXT].decode("utf-8", "replace")).split("\n", MAX_HEADERS)
    for line in lines[:MAX_HEADERS]:
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip().lower(), value.strip()[:_TEXT])
    return found


def walk(part: Part, depth: int = 0) -> Iterator[Part]:
    """The part itself, then all below it, as far as anybody nests them."""
    yield part
    if depth < MAX_DEPTH and part.type.startswith("multipart/"):
        for each in _parts(part):
            yield from walk(each, depth + 1)


def _parts(part: Part) -> Iterator[Part]:
    boundary = part.parameter("boundary").encode("utf-8", "replace")
    if not boundary:
        return
    # The line before a boundary ends with the boundary (RFC 2046 section 5.1.1), so a line break is put before the first.
    pieces = (b"\n" + part.body).split(b"\n--" + boundary, MAX_PARTS + 1)
    for piece in pieces[1 : MAX_PARTS + 1]:
        if piece.startswith(b"--"):
            return
        _, _, content = piece.partition(b"\n")
        yield read(content)
