"""Names of events: how they are written, and the words that other systems have for the same thing."""

import re

PATTERN = r"^[a-zA-Z0-9_ .:-]{1,64}$"
"""What a description can say of a name; only spaces are refused as well."""

_VALID = re.compile(PATTERN)

SYNONYMS = {
    # Segment and RudderStack, e-commerce specification
    "order_completed": "purchased",
    "product_added": "added_to_cart",
    "product_removed": "removed_from_cart",
    # Google Analytics 4, recommended events
    "purchase": "purchased",
    "add_to_cart": "added_to_cart",
    "remove_from_cart": "removed_from_cart",
    "view_item": "product_viewed",
    "begin_checkout": "checkout_started",
    "page_view": "page_viewed",
    # Klaviyo's and Shopify's own
    "placed_order": "purchased",
    "viewed_product": "product_viewed",
    "started_checkout": "checkout_started",
    "viewed_page": "page_viewed",
}
"""Other systems' names for events that mean something to Beckon, written as ``normalise`` leaves them.

``Product Viewed`` and ``Checkout Started`` need no line: they become ``product_viewed`` and ``checkout_started`` by
themselves. ``cart_abandonment``, which a site may send itself, is an event of its own.
"""


def valid(name: str) -> bool:
    """1 to 64 of ``[a-zA-Z0-9_ .:-]``, and not only spaces."""
    return _VALID.fullmatch(name) is not None and not name.isspace()


def normalise(name: str) -> str:
    """``Product Viewed`` is ``product_viewed``: lower case, an underscore for spaces; then synonyms."""
    plain = "_".join(name.lower().split())
    return SYNONYMS.get(plain, plain)
