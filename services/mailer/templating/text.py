"""The text part of a mail whose template has none, made of the page when the template is published.

The Liquid of the page becomes the Liquid of the text, so that making it costs a mail nothing but the rendering. Links show
where they lead, pictures what they show; what has the attribute ``data-html-only`` is left out. (inscriptis, which does this for finished pages, takes what is hidden in comments
away, sets cells of layout tables side by side with room between them, and costs a mail 2 ms.)
"""

import re
from html.parser import HTMLParser

from services.mailer.templating.protecting import TOKEN

_SKIPPED = frozenset({"head", "style", "script", "title", "noscript", "template"})
_LINES = frozenset(
    {"address", "article", "body", "br", "dd", "div", "dl", "dt", "footer", "header", "li", "section", "td", "th", "tr"}
)
_PARAGRAPHS = frozenset({"blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "table", "ul"})
_VOID = frozenset({"br", "hr", "img"})
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_BLANK_LINES = re.compile(r"(?:[ \t\u00a0]*\n){3,}")


def text_of(page: str) -> str:
    """Of a page in which Liquid is hidden, the text in which it is hidden."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.text()


def tidied(text: str) -> str:
    """What is left of a rendered text: conditions that did not hold leave lines empty."""
    lines = "\n".join(line.strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", lines).strip() + "\n"


class _Reader(HTMLParser):
    """``_owed``: line breaks that the next word is preceded by, if there is one."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._owed = 0
        self._space = False
        self._skipping: list[str] = []
        self._links: list[tuple[str, int]] = []

    def text(self) -> str:
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        hidden = (
            tag in _SKIPPED
            or "data-html-only" in attributes
            or _HIDDEN.search(attributes.get("style") or "") is not None
        )
        if self._skipping or hidden:
            if tag not in _VOID and (tag == (self._skipping or [tag])[0] or not self._skipping):
                self._skipping.append(tag)
            return
        self._break(tag)
        if tag == "img" and (alt := (attributes.get("alt") or "").strip()):
            self._say(alt)
        elif tag == "a":
            self._links.append((attributes.get("href") or "", len(self._parts)))
        elif tag == "li":
            self._say("- ")

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag == self._skipping[0]:
                self._skipping.pop()
            return
        if tag == "a" and self._links:
            href, begin = self._links.pop()
            label = "".join(self._parts[begin:]).strip()
            if href and href != label and not href.startswith("#"):
                self._parts.append(f" ({href})" if label else href)
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._skipping:
            return
        words = _SPACE.sub(" ", data)
        if words.strip(" "):
            if words.startswith(" ") and self._parts and not self._owed:
                self._parts.append(" ")
            self._say(words.strip(" "))
            self._space = words.endswith(" ")
        elif words:
            self._space = True

    def handle_comment(self, data: str) -> None:
        """Hidden Liquid: it stands where it stood, without a line of its own."""
        if not self._skipping and TOKEN.fullmatch(data):
            self._parts.append(("\n" * min(self._owed, 2)) or (" " if self._space else ""))
            self._owed = 0
            self._space = False
            self._parts.append(data)

    def _say(self, words: str) -> None:
        if self._owed:
            self._parts.append("\n" * self._owed)
        elif self._space:
            self._parts.append(" ")
        self._owed = 0
        self._space = False
        self._parts.append(words)

    def _break(self, tag: str) -> None:
        if tag in _LINES or tag in _PARAGRAPHS:
            if self._parts:
                self._owed = max(self._owed, 2 if tag in _PARAGRAPHS else 1)
            self._space = False
