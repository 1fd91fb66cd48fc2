"""What the webhooks of shops become: which topic is which event, and where in a payload each property stands. Pure.

Names are as in Shopify's webhooks (https://shopify.dev/docs/api/webhooks and, for what the fields mean,
https://shopify.dev/docs/api/admin-rest/latest/resources/order, ``…/abandoned-checkouts`` and ``…/customer``) and in
WooCommerce's REST API (https://woocommerce.github.io/woocommerce-rest-api-docs/#order-properties, ``#customer-properties``).

``docs/shops.md`` shows these tables; a test keeps the two equal.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from services.tracker.shops.fields import anonymous_id, codes, consent, identifier, number, text, time, token, url
from services.tracker.unify import email_id

ShopName: TypeAlias = Literal["shopify", "woocommerce"]


class Source(NamedTuple):
    """Where something stands in the payload of each shop: at the first of these paths where ``read`` finds it."""

    read: Callable[[Any], Any]
    shopify: tuple[str, ...] = ()
    woocommerce: tuple[str, ...] = ()

    def paths(self, shop: ShopName) -> tuple[str, ...]:
        return self.shopify if shop == "shopify" else self.woocommerce


Sources: TypeAlias = Mapping[str, Source]

MAX_PRODUCTS = 20
"""Lines of a cart, a checkout or an order that are looked at: of more, an event would have too many keys."""

_CART = ("added_to_cart", "cart_updated")
_CHECKOUT = ("checkout_started",)
_CUSTOMER = ("identify",)
TOPICS: Mapping[ShopName, Mapping[str, tuple[str, ...]]] = {
    "shopify": {
        "carts/create": _CART,
        "carts/update": _CART,
        "checkouts/create": _CHECKOUT,
        "checkouts/update": _CHECKOUT,
        "orders/create": ("purchased",),
        "orders/cancelled": ("order_cancelled",),
        "customers/create": _CUSTOMER,
        "customers/update": _CUSTOMER,
        "customers/enable": _CUSTOMER,
    },
    "woocommerce": {
        "order.created": ("purchased", "order_cancelled"),
        "order.updated": ("purchased", "order_cancelled"),
        "customer.created": _CUSTOMER,
        "customer.updated": _CUSTOMER,
    },
}
"""The events of each topic."""
STATUSES = {
    "processing": "purchased",
    "completed": "purchased",
    "on-hold": "purchased",
    "cancelled": "order_cancelled",
}
"""What an order of WooCommerce is by its status; of any other it is nothing yet, or no more."""

WHEN: Sources = {
    "added_to_cart": Source(time, ("updated_at",)),
    "cart_updated": Source(time, ("updated_at",)),
    "checkout_started": Source(time, ("created_at",)),
    # an order that is brought in from elsewhere was processed before it was created
    "purchased": Source(time, ("processed_at", "created_at"), ("date_paid_gmt", "date_created_gmt")),
    "order_cancelled": Source(time, ("cancelled_at", "updated_at"), ("date_modified_gmt",)),
    "identify": Source(time, ("customer.updated_at",), ("customer.date_modified_gmt", "customer.date_created_gmt")),
}
"""When each event happened."""

CHANGED = Source(time, ("updated_at",))
"""When a checkout last changed."""

PRODUCT: Sources = {
    "product_id": Source(identifier, ("product_id",), ("product_id",)),
    "variant_id": Source(identifier, ("variant_id",), ("variation_id",)),
    "sku": Source(text, ("sku",), ("sku",)),
    "name": Source(text, ("title",), ("name",)),
    "price": Source(number, ("price",), ("price",)),
    "quantity": Source(number, ("quantity",), ("quantity",)),
    "image_url": Source(url, (), ("image.src",)),
}
"""Of a line of a checkout or an order; its currency is theirs."""
CART_PRODUCT: Sources = {
    **PRODUCT,
    "price": Source(number, ("price_set.presentment_money.amount", "price")),
    "currency": Source(text, ("price_set.presentment_money.currency_code",)),
}
"""Of a line of a cart. A cart has no currency of its own: the one the customer sees."""
LINES = Source(lambda value: value if isinstance(value, list) else None, ("line_items",), ("line_items",))
LINE_TOTAL = Source(number, ("line_price_set.presentment_money.amount", "line_price"))
"""Of a line of a cart, which has no total of its own."""

PROPERTIES: Mapping[str, Sources] = {
    "checkout_started": {
        "total": Source(number, ("total_price",)),
        # a checkout's prices are in the currency the customer sees, an order's in the shop's
        "currency": Source(text, ("presentment_currency", "currency")),
        "url": Source(url, ("abandoned_checkout_url",)),
        "coupons": Source(codes, ("discount_codes[].code",)),
    },
    "purchased": {
        "order_id": Source(identifier, ("id",), ("id",)),
        "total": Source(number, ("total_price",), ("total",)),
        "currency": Source(text, ("currency",), ("currency",)),
        "coupons": Source(codes, ("discount_codes[].code",), ("coupon_lines[].code",)),
    },
    "order_cancelled": {
        "order_id": Source(identifier, ("id",), ("id",)),
        "total": Source(number, ("total_price",), ("total",)),
        "currency": Source(text, ("currency",), ("currency",)),
    },
}
"""Beside ``products``."""

PROFILE: Sources = {
    "email": Source(text, ("customer.email", "email"), ("customer.email", "billing.email")),
    "first_name": Source(
        text,
        ("customer.first_name", "billing_address.first_name", "shipping_address.first_name"),
        ("customer.first_name", "billing.first_name"),
    ),
    "last_name": Source(
        text,
        ("customer.last_name", "billing_address.last_name", "shipping_address.last_name"),
        ("customer.last_name", "billing.last_name"),
    ),
    "phone": Source(text, ("customer.phone", "phone"), ("billing.phone",)),
    "locale": Source(text, ("customer_locale",)),
    "currency": Source(text, ("customer.currency",)),
    "country": Source(
        text,
        (
            "customer.default_address.country_code",
            "billing_address.country_code",
            "shipping_address.country_code",
        ),
        ("billing.country",),
    ),
    "accepts_marketing": Source(
        consent,
        ("customer.email_marketing_consent.state", "customer.accepts_marketing", "buyer_accepts_marketing"),
    ),
}
"""What ``identify`` says. What is told of a customer alone stands below ``customer`` here, as it does in an order."""

IDS: Sources = {
    "number": Source(identifier, ("customer.id",), ("customer.id", "customer_id")),
    # an account's, which no other account has; what is typed into an order may be somebody else's
    "account_address": Source(email_id, ("customer.email",), ("customer.email",)),
    "address": Source(email_id, ("customer.email", "email"), ("billing.email",)),
    "cart": Source(token, ("cart_token",)),
    "browser": Source(anonymous_id, ("note_attributes",), ("meta_data",)),
}
"""Under which ids somebody is known."""

TOKEN = Source(token, ("token",))
"""Of a cart, and of a checkout."""
