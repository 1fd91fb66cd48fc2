"""The page on which people choose what they get. Pure.

It works without scripts, and only what is sent from its form (POST) changes anything: scanners that follow every link of a
mail unsubscribe nobody.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import parse_qs

from msgspec import Struct

from shared.consents import Consents

MAX_CATEGORIES = 100
"""On a page."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1d21; --soft: #565b64; --page: #f2f1ee; --sheet: #fff; --line: #e0ddd7; --main: #0b5d4e; --on: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f3f4f6; --soft: #a7adb8; --page: #121417; --sheet: #1c1f24; --line: #343941; --main: #7fd1bd; --on: #10211d; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px 16px; background: var(--page); color: var(--ink);
  font: 17px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { width: 100%; max-width: 480px; background: var(--sheet); border-radius: 12px; padding: 36px 32px; }
h1 { margin: 0 0 20px; font-size: 26px; line-height: 1.25; letter-spacing: -0.02em; }
p { margin: 0 0 24px; color: var(--soft); }
.said { padding: 12px 16px; border-radius: 8px; border: 1px solid var(--line); color: var(--ink); }
fieldset { border: 0; margin: 0 0 24px; padding: 0; }
legend { padding: 0; margin-bottom: 8px; color: var(--soft); }
label { display: flex; gap: 12px; align-items: center; padding: 12px 0; border-bottom: 1px solid var(--line); }
input { width: 20px; height: 20px; accent-color: var(--main); }
button { width: 100%; padding: 13px; border-radius: 8px; border: 1px solid var(--line); background: transparent; color: var(--ink); font: inherit;
  cursor: pointer; }
button.main { background: var(--main); border-color: var(--main); color: var(--on); font-weight: 600; margin-bottom: 12px; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--main); outline-offset: 2px; }
"""


class BadForm(Exception):
    """What was sent is not what the page sends."""


class Choices(NamedTuple):
    """``everything``: none if nothing was said of it. ``categories``: those that were on the page."""

    everything: bool | None
    categories: Mapping[str, bool]


def read_form(body: bytes, content_type: str) -> Choices:
    """What somebody chose. A body without a word, or with that of RFC 8058 (as a form of either kind), is an unsubscription
    from everything. Raises ``BadForm``."""
    if not body.strip() or (content_type.startswith("multipart/form-data") and b"One-Click" in body):
        return Choices(False, {})
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=2 * MAX_CATEGORIES + 1)
    except ValueError as error:
        raise BadForm(f"not a form: {error}") from None
    if form.get("List-Unsubscribe") == ["One-Click"]:
        return Choices(False, {})
    match form.get("action"):
        case ["none"]:
            return Choices(False, {})
        case ["again"]:
            return Choices(True, {})
        case ["save"]:
            wanted = set(form.get("category", ()))
            return Choices(None, {category: category in wanted for category in form.get("shown", ())})
    raise BadForm("expected List-Unsubscribe=One-Click, or an action: none, again or save")


class Page(Struct, frozen=True):
    """``said``: what was done. ``known``: whether what is ticked is what is so."""

    site: str
    consents: Consents
    said: str = ""
    known: bool = True


def page(shown: Page) -> bytes:
    """What a person sees who follows the link in a mail."""
    if shown.consents.everything:
        content = _choosing(shown)
    else:
        content = f"<p>You get no mails from us.</p>{_form(_button('again', 'Subscribe again', main=True))}"
    said = f'<p class="said" role="status">{escape(shown.said)}</p>' if shown.said else ""
    return _document(f"Mails from {escape(shown.site)}", said + content)


def refusal(reason: str) -> bytes:
    return _document("This link does not work", f"<p>{escape(reason)}</p>")


def _choosing(shown: Page) -> str:
    boxes = "".join(_box(name, wanted=wanted) for name, wanted in shown.consents.categories.items())
    unknown = (
        "" if shown.known else "<p>What you chose before cannot be shown just now; what you choose here counts.</p>"
    )
    fields = f"<fieldset><legend>Choose what you get:</legend>{boxes}</fieldset>" if boxes else ""
    save = _button("save", "Save", main=True) if boxes else ""
    return unknown + _form(fields + save + _button("none", "Unsubscribe from everything", main=not boxes))


def _form(content: str) -> str:
    return f'<form method="post">{content}</form>'


def _box(name: str, *, wanted: bool) -> str:
    value, checked = escape(name), " checked" if wanted else ""
    return (
        f'<label><input type="checkbox" name="category" value="{value}"{checked}>{escape(title(name))}</label>'
        f'<input type="hidden" name="shown" value="{value}">'
    )


def title(category: str) -> str:
    """``price-drops`` as people read it."""
    words = category.replace("-", " ").replace("_", " ").strip()
    return "Everything else" if category == "default" else words[:1].upper() + words[1:]


def _button(action: str, text: str, *, main: bool) -> str:
    look = ' class="main"' if main else ""
    return f'<button name="action" value="{action}"{look}>{text}</button>'


def _document(heading: str, body: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{heading}</title><style>{_STYLE}</style></head>'
        f"<body><main><h1>{heading}</h1>{body}</main></body></html>"
    ).encode()


def spoken(choices: Choices) -> str:
    """What was done, as the page says it."""
    if choices.everything is not None:
        return "You are subscribed again." if choices.everything else "You are unsubscribed from everything."
    return "Saved."


def after(choices: Choices, before: Consents) -> Consents:
    """What is so once the choices are known everywhere."""
    everything = before.everything if choices.everything is None else choices.everything
    return Consents(everything, {**before.categories, **choices.categories})


def among(choices: Choices, shown: Consents) -> Choices:
    """Without categories that were not on the page: nobody makes up new ones."""
    return choices._replace(
        categories={name: choices.categories[name] for name in shown.categories if name in choices.categories}
    )


def changes(choices: Choices, before: Consents | None) -> Sequence[tuple[str | None, bool]]:
    """What is to be told: (category, or none for everything; wanted). ``before``: none if it is not known."""
    if choices.everything is not None:
        return [(None, choices.everything)]
    known = before.categories if before is not None else {}
    return [(name, wanted) for name, wanted in choices.categories.items() if known.get(name) != wanted]
