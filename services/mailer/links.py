"""The links of a mail become ours: a click and an open come back as events, and everybody can unsubscribe. Pure."""

import re
from html import escape, unescape

from msgspec import Struct, structs

from services.mailer.products import web_url
from shared.clock import Instant
from shared.links import Kind, Link, Links
from shared.messages import Trigger

# Possessive, so that no markup takes longer than its length.
_ANCHOR = re.compile(r"""<a(?=\s)(?:[^<>"']|"[^"]*+"|'[^']*+')*+>""", re.IGNORECASE)
_HREF = re.compile(r"""(?<=\shref)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)')""", re.IGNORECASE)
_LEFT_ALONE = re.compile(r"\sdata-untracked(?=[\s=>/])", re.IGNORECASE)
_END = re.compile(r"</body\s*+>", re.IGNORECASE)


class Linking(Struct, frozen=True):
    """Where there are no secrets, mails stay as they are."""

    links: Links
    public_url: str

    def link(self, trigger: Trigger, now: Instant, *, trial: bool) -> Link:
        category = trigger.terms.category
        return Link(trigger.person, trigger.id, trigger.rule, trigger.version, category, now, trial)

    def unsubscribe(self, link: Link) -> str:
        """The address at which the person chooses what to get, empty if there is none."""
        return self._address(Kind.UNSUBSCRIBE, link) if self.links else ""

    def tracked(self, html: str, link: Link) -> str:
        """``html`` with every link to a web page led through the tracker, and an image that tells of the opening.

        Left alone: addresses of the tracker itself, other schemes, and an ``<a>`` with the attribute ``data-untracked``.
        """
        if not self.links:
            return html
        linked = _ANCHOR.sub(lambda anchor: self._anchor(anchor[0], link), html)
        pixel = (
            f'<img src="{self._address(Kind.OPEN, link)}" width="1" height="1" alt="" style="display:block;width:1px;'
            'height:1px;border:0;">'
        )
        place = max((end.start() for end in _END.finditer(linked)), default=len(linked))
        return f"{linked[:place]}{pixel}{linked[place:]}"

    def _anchor(self, tag: str, link: Link) -> str:
        if _LEFT_ALONE.search(tag):
            return tag
        return _HREF.sub(lambda href: f'="{self._led(href, link)}"', tag, count=1)

    def _led(self, href: re.Match[str], link: Link) -> str:
        written = href[1] if href[1] is not None else href[2].replace('"', "&quot;")
        url = web_url(unescape(written))
        if url is None or url.startswith(f"{self.public_url}/"):
            return written
        return escape(self._address(Kind.CLICK, structs.replace(link, url=url)))

    def _address(self, kind: Kind, link: Link) -> str:
        return self.public_url + kind.path(self.links.token(kind, link))
