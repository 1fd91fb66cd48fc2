"""The webhooks of Shopify and WooCommerce. Pure.

https://shopify.dev/docs/apps/build/webhooks/verify-deliveries and
https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks say how they are signed and named.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.tracker.keys import Access, Key, Unauthorised
from services.tracker.shops.reading import Told, read
from services.tracker.shops.signatures import is_signed
from services.tracker.shops.table import ShopName


class Shop(NamedTuple):
    """``setting``: where its secrets stand. ``signature`` and ``topic``: its headers. ``ping``: the one body that it does
    not sign, and that says nothing."""

    name: ShopName
    setting: str
    signature: str
    topic: str
    ping: re.Pattern[bytes] | None = None

    @property
    def key(self) -> Key:
        """A signature is as good as a secret key."""
        return Key(self.name, Access.SECRET)

    def is_ping(self, body: bytes) -> bool:
        return self.ping is not None and self.ping.fullmatch(body) is not None

    def read(self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> Told:
        """What the webhook tells. Raises ``Unauthorised`` or ``Malformed``."""
        signature = headers.get(self.signature)
        if not signature:
            raise Unauthorised(f"{self.signature} is missing")
        if not is_signed(body, signature, secrets):
            raise Unauthorised(f"{self.signature} is not this body's, with any of {self.setting}")
        return read(self.name, headers.get(self.topic, ""), body)


SHOPS = {
    "/v1/shops/shopify": Shop("shopify", "SHOPIFY_SECRETS", "X-Shopify-Hmac-Sha256", "X-Shopify-Topic"),
    "/v1/shops/woocommerce": Shop(
        "woocommerce",
        "WOOCOMMERCE_SECRETS",
        "X-WC-Webhook-Signature",
        "X-WC-Webhook-Topic",
        # Sent when a webhook is saved; another answer than 200 is shown to the owner.
        re.compile(rb"webhook_id=\d{1,20}"),
    ),
}
"""By path."""
