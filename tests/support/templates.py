"""Templates written on the spot, and people to fill them in for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.mailer.compose import Rendered
from services.mailer.context import Shop, context, lists, reader_of
from services.mailer.templating.bundle import bundle, names
from services.mailer.templating.places import Flawed
from services.mailer.templating.template import Template, TemplateError
from shared.clock import SECOND
from shared.messages import EmailAction, HistoryEvent, Person, Terms, Trigger
from tests.support.stack import ROOT

EXAMPLES = ROOT / "examples" / "templates"
SHIPPED = tuple(names(EXAMPLES))
SHOP = Shop("Kiln & Kettle", "https://shop.test/")


def event(n: int, what: str, **properties: Any) -> HistoryEvent:
    return HistoryEvent(n, f"e{n}", what, n * SECOND, n * SECOND, properties)


def kettle(**more: Any) -> dict[str, Any]:
    return {
        "product_id": "k1",
        "name": "Copper kettle",
        "price": 129.5,
        "currency": "EUR",
        "image_url": "https://shop.test/k1.jpg",
        "url": "https://shop.test/k1?a=1&b=2",
        **more,
    }


KETTLE = event(1, "added_to_cart", **kettle())
CUP = event(2, "added_to_cart", product_id="c1", name="Cup", quantity=2)


def made(name: str = "hello", parts: dict[str, str] | None = None, **files: str) -> Template:
    """Of files without their ending: ``html="<p>"``. What is not given says hello."""
    given = {"subject": "Hello", **({} if "mjml" in files else {"html": "<p>Hello</p>"}), **files}
    return Template(name, {f"{file}.liquid": text for file, text in given.items()} | (parts or {}))


def shipped(name: str, folder: Path = EXAMPLES) -> Template:
    return Template(name, bundle(folder, name))


def filled(
    template: Template,
    profile: dict[str, Any] | None = None,
    *events: HistoryEvent,
    shop: Shop = SHOP,
    recommended: Sequence[dict[str, Any]] = (),
    **more: Any,
) -> Rendered:
    """For ada, of whom these events are known, the first of which fired a rule."""
    trigger = Trigger("t1", "ada", "some-rule", 1, 0, Terms(EmailAction("x")), because=list(events[:1]))
    person = Person("ada", profile or {}, list(events), len(events))
    shown = lists(trigger, person) | {"recommended": list(recommended)}
    return template.render(context(trigger, person, shop, shown=shown, **more), reader_of(person, shop))


def flaws_of(name: str = "hello", parts: dict[str, str] | None = None, **files: str) -> list[str]:
    """Raises if the template has none."""
    with pytest.raises(Flawed) as caught:
        made(name, parts, **files)
    return [str(flaw) for flaw in caught.value.flaws]


def error_of(template: Template, *given: Any, **more: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        filled(template, *given, **more)
    return str(caught.value)
