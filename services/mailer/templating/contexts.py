"""What is shown where in HTML: a value of a person or a product is safe between two tags and in a quoted attribute once it
is escaped. In an address and in CSS more is needed, which is added here; elsewhere it has no place."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from services.mailer.templating.markup import VERBATIM, Attribute, Tag, tags
from services.mailer.templating.pieces import MASK, OUTPUT, TAG_MASK, Piece, masked
from services.mailer.templating.places import MOST_FLAWS, Flaw, Source

LINK = "link"
CSS = "css"
CSS_LINK = "css_link"
"""The filters that are added. ``link``: nothing but a web address. ``css``: nothing but a plain value. ``css_link``: an address
that can stand in CSS."""
SHOWING = frozenset({"cycle", "include", "render"})
"""Tags that show something, which no filter can be added to."""

ADDRESSES = frozenset(
    {
        "action", "background", "background-url", "base-url", "cite", "formaction", "href", "icon-unwrapped-url",
        "icon-wrapped-url", "left-icon", "poster", "right-icon", "src", "srcset", "thumbnails-src", "xlink:href",
    }
)  # fmt: skip
"""Attributes that hold an address."""
WORDS = frozenset({"alt", "css-class", "dir", "lang", "name", "rel", "sizes", "target", "title", "usemap"})
"""Attributes of MJML that hold neither an address nor what becomes CSS."""


class Contexts:
    """``filters``: which filter a piece needs, by the piece's start."""

    def __init__(self, source: Source, pieces: Sequence[Piece]) -> None:
        self.source = source
        self.masked = masked(source.text, list(pieces))
        self.flaws: list[Flaw] = []
        self.filters: dict[int, str] = {}
        self._outputs = [piece for piece in pieces if piece.name == OUTPUT]
        self._showing = [piece for piece in pieces if piece.name in SHOWING]
        self._starts = [piece.start for piece in self._outputs]

    def all(self) -> None:
        """Look at the whole of an HTML file."""
        within = ""
        for tag in tags(self.masked):
            if tag.name == "!--":
                self.condition(tag)
            elif tag.name:
                self.attributes(tag)
                within = tag.name if tag.name in VERBATIM and not tag.closing else ""
            else:
                self.verbatim(within, tag)

    def condition(self, tag: Tag) -> None:
        """``<!--[if mso]> … <![endif]-->``: markup for Outlook."""
        if self.masked.startswith("<!--[if", tag.start):
            for inner in tags(self.masked, self.masked.find(">", tag.start) + 1, tag.end):
                self.attributes(inner)

    def attributes(self, tag: Tag) -> None:
        for attribute in tag.attributes:
            self._attribute(tag, attribute)

    def verbatim(self, element: str, text: Tag) -> None:
        """The content of an element that holds no tags; of ``""``: any text."""
        if element == "script" and MASK in self.masked[text.start : text.end]:
            at = self.masked.index(MASK, text.start)
            self.flaws.append(self.source.flaw(at, "a value cannot be shown in <script>, and no mail program runs one"))
        if element in ("style", "mj-style"):
            self._add(CSS, self._within(text.start, text.end))
            self._no_tags(text.start, text.end, "CSS")

    def _attribute(self, tag: Tag, attribute: Attribute) -> None:
        def flaw(at: int, message: str) -> None:
            if len(self.flaws) < MOST_FLAWS:
                self.flaws.append(self.source.flaw(at, message))

        if MASK in attribute.name:
            flaw(
                attribute.start,
                f"a value cannot be shown here in <{tag.name}>: put it into an attribute with quotation marks",
            )
        elif not attribute.quoted and MASK in attribute.value:
            flaw(attribute.begin, f'a value in <{tag.name}> needs quotation marks: {attribute.name}="…"')
        elif attribute.name.startswith("on") and MASK in attribute.value:
            flaw(attribute.begin, f"a value cannot be shown in {attribute.name}: no mail program runs scripts")
        elif attribute.name in ADDRESSES:
            self._add(CSS_LINK if attribute.name == "background-url" else LINK, self._leading(attribute))
            self._no_tags(attribute.begin, attribute.begin + len(attribute.value), attribute.name)
        elif attribute.name == "style" or (tag.name.startswith("mj") and attribute.name not in WORDS):
            self._add(CSS, self._within(attribute.begin, attribute.begin + len(attribute.value)))
            self._no_tags(attribute.begin, attribute.begin + len(attribute.value), attribute.name)

    def _no_tags(self, start: int, end: int, where: str) -> None:
        for piece in self._showing:
            if start <= piece.start < end and len(self.flaws) < MOST_FLAWS:
                message = f"{{% {piece.name} %}} cannot stand in {where}: what it shows cannot be checked"
                self.flaws.append(self.source.flaw(piece.start, message))

    def _leading(self, attribute: Attribute) -> Iterator[Piece]:
        """The outputs that an address may begin with."""
        for piece in self._within(attribute.begin, attribute.begin + len(attribute.value)):
            before = self.masked[attribute.begin : piece.start]
            if not before.strip(MASK + TAG_MASK + " \t\r\n"):
                yield piece

    def _within(self, start: int, end: int) -> Sequence[Piece]:
        return self._outputs[bisect_left(self._starts, start) : bisect_left(self._starts, end)]

    def _add(self, name: str, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self.filters[piece.start] = name
