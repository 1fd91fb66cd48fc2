"""A page, or a part of one, that is written in HTML: its Liquid is hidden, and where its values stand is checked."""

from collections.abc import Iterator

import css_inline
from msgspec import Struct

from services.mailer.templating.contexts import Contexts
from services.mailer.templating.markup import VERBATIM, VOID, Tag, tags
from services.mailer.templating.pieces import pieces
from services.mailer.templating.places import Flawed, Source
from services.mailer.templating.protecting import Hidden, comment, token

DEEPEST = 500
"""Elements within elements, where CSS is inlined: what does it goes down them by recursion."""


class Page(Struct, frozen=True):
    """HTML in which Liquid is hidden, and the CSS that is to be inlined."""

    html: str
    css: str = ""

    def inlined(self) -> str:
        """With the CSS in the elements it is for, as mail programs without ``<style>`` want it. Nothing is fetched."""
        if not self.css.strip():
            return self.html
        return css_inline.CSSInliner(
            inline_style_tags=False, keep_style_tags=True, load_remote_stylesheets=False, extra_css=self.css
        ).inline(self.html)


def read(source: Source, hidden: Hidden) -> Page:
    """``<style inline>`` is taken out of the page, to be inlined. Raises ``Flawed``."""
    found = pieces(source)
    contexts = Contexts(source, found)
    contexts.all()
    flaws = list(contexts.flaws)
    html: list[str] = []
    css: list[str] = []
    remaining = iter(found)
    piece = next(remaining, None)
    for tag, within, inlining in _walk(contexts.masked):
        at = tag.start
        hide = comment if not tag.name and within not in VERBATIM else token
        while piece is not None and piece.start < tag.end:
            if inlining:
                flaws.append(source.flaw(piece.start, "inlined CSS cannot hold Liquid: it is inlined when published"))
            number = hidden.hide(
                source.text[piece.start : piece.end], source, piece.start, contexts.filters.get(piece.start, "")
            )
            html += [source.text[at : piece.start], hide(number)]
            at = piece.end
            piece = next(remaining, None)
        if not inlining:
            html.append(source.text[at : tag.end])
        elif not tag.name:
            css.append(source.text[at : tag.end])
    if css and (deep := _too_deep(contexts.masked)) is not None:
        flaws.append(source.flaw(deep, f"elements stand in each other more than {DEEPEST} deep, or are not closed"))
    if flaws:
        raise Flawed(flaws)
    return Page("".join(html), "\n".join(css))


def _too_deep(masked: str) -> int | None:
    depth = 0
    for tag in tags(masked):
        if tag.name and tag.name not in VOID and not tag.empty and tag.name not in ("!--", "!"):
            depth += -1 if tag.closing else 1
            if depth > DEEPEST:
                return tag.start
    return None


def _walk(masked: str) -> Iterator[tuple[Tag, str, bool]]:
    """Each tag, the element that holds no tags in which it stands, and whether it is of a style that is inlined."""
    within, inlining = "", False
    for tag in tags(masked):
        if tag.name in VERBATIM and not tag.closing:
            inlining = tag.name == "style" and any(attribute.name == "inline" for attribute in tag.attributes)
        yield tag, within, inlining
        if tag.name:
            within = tag.name if tag.name in VERBATIM and not tag.closing else ""
        if tag.closing:
            inlining = False
