"""MJML becomes HTML once, when a template is published; a mail costs only the Liquid that is left in it.

Liquid tags that stand between elements, where MJML takes only elements, are put into ``<mj-raw>``, which is how MJML lets
something through. What MJML would drop or not understand is told with its place.
"""

import re
from bisect import bisect_left
from collections.abc import Callable

import mrml
from msgspec import Struct

from services.mailer.templating.contexts import Contexts
from services.mailer.templating.html import Page
from services.mailer.templating.markup import VERBATIM, VOID, Attribute, Tag, tags
from services.mailer.templating.mjml_tags import ATTRIBUTES, CHILDREN, ENDING, MEASURES, PICTURES
from services.mailer.templating.pieces import MASK, TAG_MASK, Piece, pieces
from services.mailer.templating.places import MOST_FLAWS, Flaw, Flawed, Source, instead
from services.mailer.templating.protecting import Hidden, comment, filtered, token

DEEPEST = 60
"""Elements within elements. MRML goes down them by recursion, and ends the process where that is too deep."""

_BLOCKS = frozenset({"if", "unless", "case", "for", "tablerow", "capture"})
_BETWEEN = frozenset({"else", "elsif", "when"})
_BEYOND = re.compile(r"[^\x00-\x7f]+|\\+")
_INVISIBLE = frozenset({"comment", "#", "doc"})
_STRANGERS = re.compile(r"https?://(?:www\.mailjet\.com|i\.imgur\.com)/[\w./-]+")
"""Where MJML's own pictures lie. Who serves them knows who opens a mail, and when."""
_OPTIONS = mrml.RenderOptions(fonts={})
"""MJML would load a font from Google wherever its name occurs; ``<mj-font>`` does where it is wanted."""


def to_html(source: Source, hidden: Hidden) -> Page:
    """Raises ``Flawed``."""
    reading = _Reading(source, hidden)
    reading.read()
    if reading.flaws:
        raise Flawed(reading.flaws)
    try:
        html = mrml.to_html("".join(reading.written), render_options=_OPTIONS).content
    except OSError as error:  # what MRML raises for markup it cannot parse
        raise Flawed([Flaw(source.flaw(0, "").file, 0, 0, f"MJML cannot be read: {error}")]) from None
    if any(address not in source.text for address in _STRANGERS.findall(html)):
        raise Flawed(reading.strangers)
    lost = [number for number in reading.shown if not _kept(number, html)]
    if lost:
        raise Flawed(hidden.flaw(number, "MJML drops what stands here") for number in lost)
    return Page(html, "\n".join(reading.css))


def _kept(number: int, html: str) -> bool:
    """Whether a piece of Liquid is in the page, and not in a comment that ends at it."""
    at = html.find(token(number))
    opened = html.rfind("<!--[if", 0, max(at, 0))
    return at >= 0 and (opened < 0 or html.find("-->", opened) < at or not html.startswith(comment(number), at - 4))


class _Open(Struct):
    """An element that is being read, with the Liquid blocks that were begun in it. MJML's are told from HTML's."""

    name: str
    start: int
    mjml: bool
    blocks: list[Piece] = []


class _Reading:
    def __init__(self, source: Source, hidden: Hidden) -> None:
        self.flaws: list[Flaw] = []
        self.written: list[str] = []
        self.css: list[str] = []
        self.shown: list[int] = []
        self.strangers: list[Flaw] = []
        self._source = source
        self._hidden = hidden
        self._pieces = pieces(source)
        self._contexts = Contexts(source, self._pieces)
        self._starts = [piece.start for piece in self._pieces]
        self._open = [_Open("", 0, mjml=True)]
        self._seen: set[str] = set()
        self._dropping = False

    def read(self) -> None:
        for tag in tags(self._contexts.masked):
            if tag.name in ("!--", "!"):
                self._skip(tag)
            elif not tag.name:
                self._text(tag)
            elif tag.closing:
                self._close(tag)
            else:
                self._begin(tag)
        for left in self._open[:0:-1]:
            self._flaw(left.start, f"<{left.name}> is never closed")
        self._unclosed(self._open[0])
        if "mj-body" not in self._seen:
            self._flaw(0, "there is no <mj-body>: a template is <mjml><mj-head>…</mj-head><mj-body>…</mj-body></mjml>")
        self.flaws += self._contexts.flaws

    # --- Elements ---

    def _begin(self, tag: Tag) -> None:
        outer = self._open[-1]
        is_mjml = tag.name.startswith("mj")
        if is_mjml:
            self._placed(tag)
        elif outer.mjml and outer.name not in ENDING:
            self._flaw(tag.start, f"<{tag.name}> cannot stand in {_named(outer)}: put HTML into <mj-text> or <mj-raw>")
        self._seen.add(tag.name)
        self._contexts.attributes(tag)
        for attribute in tag.attributes:
            self._attribute(tag, attribute, is_mjml=is_mjml)
        self._pictured(tag)
        if not self._inlined(tag):
            self._write(tag.start, tag.end, token)
        if len(self._open) > DEEPEST:
            raise Flawed([self._source.flaw(tag.start, f"elements stand in each other more than {DEEPEST} deep")])
        if not tag.empty and (is_mjml or tag.name not in VOID):
            self._open.append(_Open(tag.name, tag.start, is_mjml))

    def _close(self, tag: Tag) -> None:
        outer = self._open[-1]
        if tag.name in VOID:
            return
        if outer.name != tag.name:
            if len(self._open) == 1 or not any(element.name == tag.name for element in self._open):
                self._flaw(tag.start, f"</{tag.name}> closes nothing")
                return
            self._flaw(outer.start, f"<{outer.name}> is not closed before </{tag.name}>")
            while self._open[-1].name != tag.name:
                self._open.pop()
            outer = self._open[-1]
        self._unclosed(outer)
        self._open.pop()
        if outer.name != "mj-style" or not self._dropping:
            self._write(tag.start, tag.end, token)
        self._dropping = False

    def _placed(self, tag: Tag) -> None:
        if tag.name not in ATTRIBUTES:
            self._flaw(tag.start, f"MJML knows no <{tag.name}>{instead(tag.name, ATTRIBUTES)}")
            return
        outer = self._open[-1]
        if outer.name == "mj-attributes":
            return
        if outer.name in ATTRIBUTES or outer.name == "":
            if tag.name not in CHILDREN.get(outer.name, ()):
                homes = ", ".join(f"<{name}>" for name, children in CHILDREN.items() if name and tag.name in children)
                where = f"it belongs in {homes}" if homes else "it is the outermost element"
                self._flaw(tag.start, f"<{tag.name}> cannot stand in {_named(outer)}: {where}")
        elif not outer.mjml:
            self._flaw(tag.start, f"<{tag.name}> cannot stand in HTML (<{outer.name}>)")

    def _pictured(self, tag: Tag) -> None:
        """Its own pictures may be set among ``<mj-attributes>`` as well, so only the page tells if MJML's are shown."""
        has = {attribute.name for attribute in tag.attributes}
        if lacking := [name for name in PICTURES.get(tag.name, ()) if name not in has]:
            message = f"<{tag.name}> needs {' and '.join(lacking)}: MJML's own pictures come from a stranger's server"
            self.strangers.append(self._source.flaw(tag.start, message))

    def _inlined(self, tag: Tag) -> bool:
        """``<mj-style inline="inline">`` is taken out of the page."""
        self._dropping = tag.name == "mj-style" and any(attribute.name == "inline" for attribute in tag.attributes)
        return self._dropping

    def _attribute(self, tag: Tag, attribute: Attribute, *, is_mjml: bool) -> None:
        if attribute.name == "/":
            return
        if not attribute.quoted:
            self._flaw(attribute.begin, f'{attribute.name} in <{tag.name}> needs quotation marks: {attribute.name}="…"')
        if '"' in attribute.value:
            self._flaw(attribute.begin, f"write a quotation mark in {attribute.name} as &quot;")
        if TAG_MASK in attribute.name:
            self._flaw(
                attribute.start, f"Liquid cannot stand between the attributes of <{tag.name}>: put it into a value"
            )
            return
        self._balanced(attribute)
        if not is_mjml or tag.name not in ATTRIBUTES:
            return
        known = ATTRIBUTES[tag.name]
        if attribute.name not in known and "*" not in known:
            near = instead(attribute.name, known)
            has = f"; it has {', '.join(sorted(known))}" if known and not near else ""
            self._flaw(attribute.start, f"<{tag.name}> has no attribute {attribute.name!r}{near}{has}")
        if attribute.name in MEASURES and (MASK in attribute.value or TAG_MASK in attribute.value):
            self._flaw(
                attribute.begin,
                f"{attribute.name} cannot hold Liquid: the page is laid out when the template is published, for everybody",
            )

    def _balanced(self, attribute: Attribute) -> None:
        blocks: list[str] = []
        for piece in self._within(attribute.begin, attribute.begin + len(attribute.value)):
            if piece.name in _BLOCKS:
                blocks.append(piece.name)
            elif piece.name.startswith("end") and (not blocks or f"end{blocks.pop()}" != piece.name):
                self._flaw(piece.start, f"{{% {piece.name} %}} closes nothing in this attribute")
        if blocks:
            self._flaw(attribute.begin, f"{{% {blocks[-1]} %}} is not closed in this attribute")

    # --- What stands between them ---

    def _text(self, tag: Tag) -> None:
        outer = self._open[-1]
        if outer.name in VERBATIM:
            self._contexts.verbatim(outer.name, tag)
            if outer.mjml and "<" in self._contexts.masked[tag.start : tag.end]:
                self._flaw(self._contexts.masked.index("<", tag.start), f"<{outer.name}> holds text and no tags")
        elif "<" in self._contexts.masked[tag.start : tag.end]:
            self._flaw(self._contexts.masked.index("<", tag.start), "no tag begins here: write < as &lt;")
        if outer.name == "mj-style" and self._dropping:
            self.css.append(self._source.text[tag.start : tag.end])
            for piece in self._within(tag.start, tag.end):
                self._flaw(piece.start, "inlined CSS cannot hold Liquid: it is inlined when the template is published")
            return
        for piece in self._within(tag.start, tag.end):
            self._block(piece)
        if outer.name in VERBATIM:
            self._write(tag.start, tag.end, token)
        elif outer.name in ENDING or not outer.mjml:
            self._write(tag.start, tag.end, comment)
        else:
            self._loose(tag, outer)

    def _loose(self, tag: Tag, outer: _Open) -> None:
        """Between elements MJML shows no text; tags of Liquid go through in ``<mj-raw>``."""
        if outer.name and outer.name not in ATTRIBUTES:
            return  # it has been told that there is no such element
        shown = self._contexts.masked[tag.start : tag.end].replace(TAG_MASK, " ")
        if stripped := shown.lstrip():
            at = tag.start + len(shown) - len(stripped)
            self._flaw(at, f"text in {_named(outer)} is not shown: put it into <mj-text> or <mj-raw>")
        visible = [piece for piece in self._within(tag.start, tag.end) if piece.name not in _INVISIBLE]
        if visible and "mj-raw" not in CHILDREN.get(outer.name, ()):
            self._flaw(visible[0].start, f"Liquid cannot stand in {_named(outer)}, which takes only elements")
        self._write(tag.start, tag.end, lambda number: f"<mj-raw>{comment(number)}</mj-raw>" if visible else "")

    def _skip(self, tag: Tag) -> None:
        """A comment is for the authors, unless it is a condition for Outlook."""
        if self._source.text.startswith("<!--[if", tag.start):
            self._contexts.condition(tag)
            number = self._hidden.hide(self._condition(tag), self._source, tag.start)
            self.written.append(comment(number))
        else:
            for piece in self._within(tag.start, tag.end):
                self._flaw(piece.start, "Liquid in a comment is lost: use {% comment %} … {% endcomment %}")

    def _condition(self, tag: Tag) -> str:
        parts, at = [], tag.start
        for piece in self._within(tag.start, tag.end):
            output = self._source.text[piece.start : piece.end]
            parts += [
                self._source.text[at : piece.start],
                filtered(output, self._contexts.filters.get(piece.start, "")),
            ]
            at = piece.end
        return "".join([*parts, self._source.text[at : tag.end]])

    def _block(self, piece: Piece) -> None:
        """A block of Liquid ends in the element that it began in. ``<mj-raw>`` is no element of its own in this."""
        frames = [element for element in self._open if element.name != "mj-raw"]
        blocks = frames[-1].blocks
        if piece.name in _BLOCKS:
            blocks.append(piece)
        elif piece.name in _BETWEEN or piece.name.startswith("end"):
            if not blocks or (piece.name.startswith("end") and f"end{blocks[-1].name}" != piece.name):
                where = f"in {_named(frames[-1])}" if len(frames) > 1 else "here"
                self._flaw(piece.start, f"{{% {piece.name} %}} belongs to no block that was begun {where}")
            elif piece.name.startswith("end"):
                blocks.pop()

    def _unclosed(self, element: _Open) -> None:
        if element.blocks:
            last = element.blocks[-1]
            where = f" before </{element.name}>" if element.name else ""
            self._flaw(last.start, f"{{% {last.name} %}} is not closed with {{% end{last.name} %}}{where}")

    # --- Writing ---

    def _write(self, start: int, end: int, hide: Callable[[int], str]) -> None:
        at = start
        for piece in self._within(start, end):
            if piece.name in _INVISIBLE:
                self.written.append(self._literal(at, piece.start, hide))
                at = piece.end
                continue
            text = self._source.text[piece.start : piece.end]
            number = self._hidden.hide(text, self._source, piece.start, self._contexts.filters.get(piece.start, ""))
            if not any(element.name == "mj-attributes" for element in self._open):  # defaults that may never be used
                self.shown.append(number)
            self.written += [self._literal(at, piece.start, hide), hide(number)]
            at = piece.end
        self.written.append(self._literal(at, end, hide))

    def _literal(self, start: int, end: int, hide: Callable[[int], str]) -> str:
        """MRML would write an attribute's letters beyond ASCII like ``\\u{e31}``, so they are hidden from it."""
        text = self._source.text[start:end]
        if hide is not token:
            return text
        return _BEYOND.sub(lambda found: token(self._hidden.hide(found[0], self._source, start + found.start())), text)

    def _within(self, start: int, end: int) -> list[Piece]:
        return self._pieces[bisect_left(self._starts, start) : bisect_left(self._starts, end)]

    def _flaw(self, offset: int, message: str) -> None:
        if len(self.flaws) < MOST_FLAWS:
            self.flaws.append(self._source.flaw(offset, message))


def _named(element: _Open) -> str:
    return f"<{element.name}>" if element.name else "a template outside of <mjml>"
