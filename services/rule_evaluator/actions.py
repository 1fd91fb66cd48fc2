"""What a rule sends when it fires: a mail, or one of several, and a webhook. Pure."""

from typing import Any, NamedTuple

from msgspec import structs

from services.rule_evaluator import variants
from services.rule_evaluator.variants import Variant
from shared.messages import WebhookAction
from shared.places import Place, shown
from shared.webaddress import WebAddress, web_address

KINDS = ("email", "webhook")
UNCERTAIN = ("hold", "retry_once")
LABEL = r"[a-zA-Z0-9_-]{1,64}"
A_LABEL = "1 to 64 letters, digits, _ or -"

_MAIL = "{template: cart-reminder}"
_HOOK = "{url: https://hooks.example.com/beckon, secret: crm}"


class Actions(NamedTuple):
    """``mails``: the variants of the mail, or the one there is, without a name; none if the rule sends no mail."""

    mails: tuple[Variant, ...] = ()
    webhook: WebhookAction | None = None


def parse(place: Place, warnings: list[str]) -> Actions:
    """What could be read; what is wrong is noted."""
    if not place.is_mapping(f"{{email: {_MAIL}}}"):
        return Actions()
    place.only(KINDS)
    email, webhook = place.given("email"), place.given("webhook")
    if email is None and webhook is None:
        place.wrong(f"names nothing to send, such as {{email: {_MAIL}}}")
    return Actions(_mails(email) if email else (), _webhook(webhook, warnings) if webhook else None)


def _mails(email: Place) -> tuple[Variant, ...]:
    if not email.is_mapping(_MAIL):
        return ()
    uncertain = child.one_of(UNCERTAIN) if (child := email.given("uncertain")) else UNCERTAIN[0]
    if several := email.given("variants"):
        email.only(("variants", "uncertain"))
        found = variants.parse(several, LABEL, A_LABEL)
    else:
        email.only(("template", "coupon", "variants", "uncertain"))
        mail = variants.mail(email, LABEL, A_LABEL)
        found = (Variant("", 1, mail),) if mail else ()
    if uncertain is None:
        return ()
    return tuple(structs.replace(each, action=structs.replace(each.action, uncertain=uncertain)) for each in found)


def _webhook(webhook: Place, warnings: list[str]) -> WebhookAction | None:
    if not webhook.is_mapping(_HOOK):
        return None
    webhook.only(("url", "secret"))
    address = webhook.required("url", "url: https://hooks.example.com/beckon")
    url = address.read(_web_address) if address else None
    secret = child.text(LABEL, A_LABEL) if (child := webhook.required("secret", "secret: crm")) else None
    if url is not None and not url.https:
        warnings.append(f"{webhook.path}.url: only hosts that WEBHOOK_ALLOW names are called without https")
    return WebhookAction(url.url, secret) if url is not None and secret is not None else None


def _web_address(value: Any) -> WebAddress:
    try:
        return web_address(value)
    except ValueError as error:
        raise ValueError(f"{shown(value)} {error}") from None
