"""The text part of a mail whose template has none, made of the page when the template is published.

The Liquid of the page becomes the Liquid of the text, so that making it costs a mail nothing but the rendering. Links show
where they lead, pictures what they show; what has the attribute ``data-html-only`` is left out. (inscriptis does this for
pages that are finished: of comments, in which Liquid is hidden, it knows nothing.)
"""

import re
from html import unescape

from services.mailer.templating.markup import VOID, Tag, tags
from services.mailer.templating.protecting import TOKEN, Hidden

_SKIPPED = frozenset({"head", "style", "script", "title", "noscript", "template"})
_LINES = frozenset(
    {"address", "article", "body", "br", "dd", "div", "dl", "dt", "footer", "header", "li", "section", "td", "th", "tr"}
)
_PARAGRAPHS = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "table", "ul"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_NAME = re.compile(r"\{%-?\s*(\w+)")
_BRANCHED = frozenset({"if", "unless", "case"})
_BRANCHES = frozenset({"else", "elsif", "when"})
_ENDS = frozenset({"endif", "endunless", "endcase"})
_BLANK_LINES = re.compile(r"(?:[ \t\u00a0]*\n){3,}")


def text_of(page: str, hidden: Hidden) -> str:
    """Of a page in which Liquid is hidden, the text in which it is hidden."""
    reader = _Reader(hidden)
    for tag in tags(page):
        reader.read(tag, page[tag.start : tag.end])
    return reader.text()


def tidied(text: str) -> str:
    """What is left of a rendered text: conditions that did not hold leave lines empty."""
    lines = "\n".join(line.strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", lines).strip() + "\n"


class _Reader:
    """``_owed``: line breaks that the next word is preceded by, if there is one. ``_begun``: a line was begun, and nothing but
    tags of Liquid is on it. ``_blocks``: the same where each block that is open began. ``_skipping``: how deep in an element that is
    left out, of whose kind we are."""

    def __init__(self, hidden: Hidden) -> None:
        self._hidden = hidden
        self._parts: list[str] = []
        self._owed = 0
        self._begun = True
        self._blocks: list[bool] = []
        self._space = False
        self._skipped = ""
        self._skipping = 0
        self._links: list[tuple[str, int]] = []

    def text(self) -> str:
        return "".join(self._parts)

    def read(self, tag: Tag, written: str) -> None:
        if self._skipping:
            if tag.name == self._skipped and not tag.empty:
                self._skipping += -1 if tag.closing else 1
        elif tag.name == "!--":
            self._liquid(written)
        elif not tag.name:
            self._words(unescape(written))
        elif tag.closing:
            self._end(tag.name)
        elif tag.name != "!":
            self._begin(tag)

    def _begin(self, tag: Tag) -> None:
        attributes = {attribute.name: unescape(attribute.value) for attribute in tag.attributes}
        if tag.name in _SKIPPED or "data-html-only" in attributes or _HIDDEN.search(attributes.get("style", "")):
            if tag.name not in VOID and not tag.empty:
                self._skipped, self._skipping = tag.name, 1
            return
        self._break(tag.name)
        if tag.name == "img" and (alt := attributes.get("alt", "").strip()):
            self._say(alt)
        elif tag.name == "a":
            self._links.append((attributes.get("href", ""), len(self._parts)))
        elif tag.name == "li":
            self._say("- ")

    def _end(self, name: str) -> None:
        if name == "a" and self._links:
            href, begin = self._links.pop()
            label = "".join(self._parts[begin:]).strip()
            if href and href != label and not href.startswith("#"):
                self._parts.append(f" ({href})" if label else href)
        self._break(name)

    def _words(self, text: str) -> None:
        words = _SPACE.sub(" ", text)
        if words.strip(" "):
            if words.startswith(" ") and self._parts and not self._owed:
                self._parts.append(" ")
            self._say(words.strip(" "))
            self._space = words.endswith(" ")
        elif words:
            self._space = True

    def _liquid(self, written: str) -> None:
        """A tag stands where it stood, without a line of its own: the lines of each branch are as if there were no other."""
        found = TOKEN.fullmatch(written)
        piece = self._hidden.text(int(found[1])) if found else "<!--"
        name = _NAME.match(piece)
        if name is None:
            if piece.startswith("{{"):
                self._say(written)
            return
        if name[1] in _BRANCHES and self._blocks:
            self._owed, self._begun = 0, self._blocks[-1]
        elif name[1] in _BRANCHED:
            self._flush()
            self._blocks.append(self._begun)
        elif name[1] in _ENDS and self._blocks:
            self._blocks.pop()
        else:
            self._flush()
        self._parts.append(written)

    def _flush(self) -> None:
        self._begun = self._begun or self._owed > 0
        self._put("")

    def _say(self, words: str) -> None:
        self._put(words)
        self._begun = False

    def _put(self, words: str) -> None:
        self._parts += ["\n" * self._owed or (" " if self._space else ""), words]
        self._owed = 0
        self._space = False

    def _break(self, name: str) -> None:
        if name in _LINES or name in _PARAGRAPHS:
            if self._parts:
                self._owed = max(self._owed, (2 if name in _PARAGRAPHS else 1) - self._begun)
            self._space = False
