"""Parts that templates share: ``<mj-include path="_parts/…" />`` stands for the text of the part."""

from collections.abc import Mapping

from services.mailer.templating.markup import tags
from services.mailer.templating.pieces import masked, pieces
from services.mailer.templating.places import Flawed, Source, instead

DEEPEST = 5
"""Parts within parts."""
MOST_PARTS = 200
"""Times that a part is included, in all."""


def expanded(file: str, files: Mapping[str, str]) -> Source:
    """The file with every ``<mj-include path="_parts/…" />`` replaced by the part. Raises ``Flawed``."""
    source = Source()
    _expand(file, files, source, 0)
    return source


def _expand(file: str, files: Mapping[str, str], into: Source, depth: int) -> None:
    text = files[file]
    own = Source.of(file, text)
    at = 0
    for tag in tags(masked(text, pieces(own))):
        if tag.name != "mj-include" or tag.closing:
            continue
        path = next((attribute for attribute in tag.attributes if attribute.name == "path"), None)
        if path is None:
            raise Flawed([own.flaw(tag.start, '<mj-include> needs a path="_parts/…"')])
        if path.value not in files:
            parts = [name for name in files if name.startswith("_parts/")]
            near = instead(path.value, parts)
            raise Flawed([own.flaw(path.begin, f"there is no part {path.value!r}{near}")])
        if depth == DEEPEST:
            raise Flawed([own.flaw(tag.start, f"parts include parts more than {DEEPEST} deep, or each other")])
        if into.segments > 2 * MOST_PARTS:
            raise Flawed([own.flaw(tag.start, f"more than {MOST_PARTS} parts are included")])
        into.add(file, text, at, tag.start)
        _expand(path.value, files, into, depth + 1)
        at = tag.end
        closing = text.find("</mj-include>", at)
        if not tag.empty and closing >= 0 and not text[at:closing].strip():
            at = closing + len("</mj-include>")
    into.add(file, text, at, len(text))
