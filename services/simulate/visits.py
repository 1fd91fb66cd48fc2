"""One visit to the simulated shop: what a shopper does there, and when each event of it is sent. Pure."""

from typing import Any

from services.simulate.people import Cart, Device, Shopper, chance
from services.simulate.products import CATEGORIES, CURRENCY, SHOP, Product, popular
from shared.clock import DAY, MINUTE, SECOND, Duration, Instant, rfc3339

Sent = tuple[Instant, int, int, dict[str, Any]]
"""When an event is sent, whose it is, its number among theirs, and itself. A plain tuple, which a heap compares fastest;
two never compare equal before the event is reached."""

PAUSE: Duration = 40 * SECOND
"""The mean time between two events of a visit."""
APART: Duration = 30 * MINUTE
"""The least time between two visits of a person: what analytics commonly take for the end of a session."""

SECOND_DEVICE_USED = 0.3
"""The chance that somebody with two devices takes the second one for a visit."""
SIGNS_IN_AT_ONCE = 0.3
"""The chance that somebody with an account signs in when a later visit begins, and not only at its checkout."""
LEAVES_ADDRESS = 0.5
"""The chance, in each visit, that somebody who is ready to leave an address does."""
CLEARS_CART = 0.3
"""The chance that a cart left before is emptied when the next visit begins."""
CATEGORY_FIRST = 0.3
"""The chance that somebody comes to a product by way of its category's page."""
SENT_TWICE = 0.004
"""The share of events whose sender gets no answer and sends them again."""
OFFLINE = 0.1
"""The share of visits by mobile in which the connection is lost for a while; the events of that time come after it."""
OFFLINE_AT_LEAST: Duration = 2 * MINUTE
OFFLINE_AT_MOST: Duration = 60 * MINUTE
RETURNED = 0.08
"""The share of orders that are sent back."""
RETURNED_AFTER_DAYS = (3.0, 14.0)

_REMEMBERED = 6
"""How many products somebody may come back to."""


class Visit:
    """``sent`` is what was sent, nothing of it before ``begins``; it is not in order. ``now`` is where the visit ends."""

    def __init__(self, shopper: Shopper, begins: Instant) -> None:
        shopper.visits += 1
        self.sent: list[Sent] = []
        self.now = begins
        self._shopper = shopper
        self._rng = chance(shopper.seed, shopper.number, shopper.visits)
        self._device = self._pick_device()
        self._offline = self._pick_offline(begins)

    def play(self) -> None:
        self._arrive()
        self._browse()
        if self._shopper.trust == "address" and not self._shopper.address_left:
            self._leave_address()
        cart = self._device.cart
        if cart and self._happens(self._shopper.temperament.removes):
            self._remove(cart, next(reversed(cart)))
        if cart and self._happens(self._shopper.temperament.checks_out):
            self._check_out()

    def next_visit(self) -> Instant | None:
        """When the shopper comes again, if at all. Gaps are log-normal: many short ones, some very long."""
        temperament = self._shopper.temperament
        if not self._happens(temperament.comes_back):
            return None
        # exp(normal(-1/2, 1)) has the mean 1
        gap = temperament.gap * DAY * self._rng.lognormvariate(-0.5, 1.0)
        return self.now + APART + int(gap)

    def _pick_device(self) -> Device:
        devices = self._shopper.devices
        second = len(devices) > 1 and self._happens(SECOND_DEVICE_USED)
        return devices[1 if second else 0]

    def _pick_offline(self, begins: Instant) -> tuple[Instant, Instant] | None:
        if self._device.source != "mobile" or not self._happens(OFFLINE):
            return None
        lost = begins + int(self._rng.expovariate(1 / (3 * PAUSE)))
        return lost, lost + self._rng.randrange(OFFLINE_AT_LEAST, OFFLINE_AT_MOST)

    def _arrive(self) -> None:
        self._look_at_page("/")
        later = self._shopper.visits > 1
        if later and self._shopper.trust == "account" and self._happens(SIGNS_IN_AT_ONCE):
            self._sign_in()
        cart = self._device.cart
        if cart and self._happens(CLEARS_CART):
            for product in list(cart):
                self._remove(cart, product)

    def _browse(self) -> None:
        temperament = self._shopper.temperament
        for _ in range(1 + int(self._rng.expovariate(1 / temperament.views))):
            product = self._pick_product()
            self._does("product_viewed", product.properties())
            if self._happens(temperament.adds):
                self._add(product)

    def _pick_product(self) -> Product:
        rng, seen = self._rng, self._shopper.seen
        if seen and self._happens(self._shopper.temperament.again):
            return seen[int(rng.random() * len(seen))]
        if self._happens(CATEGORY_FIRST):
            self._look_at_page(f"/{CATEGORIES[int(rng.random() * len(CATEGORIES))]}")
        product = min((popular(rng) for _ in range(self._shopper.temperament.compares)), key=_price)
        if product not in seen:
            seen.append(product)
            del seen[:-_REMEMBERED]
        return product

    def _add(self, product: Product) -> None:
        quantity = 1 if self._happens(0.85) else 2
        cart = self._device.cart
        cart[product] = cart.get(product, 0) + quantity
        self._does("added_to_cart", {**product.properties(), "quantity": quantity})

    def _remove(self, cart: Cart, product: Product) -> None:
        self._does("removed_from_cart", {**product.properties(), "quantity": cart.pop(product)})

    def _leave_address(self) -> None:
        if self._happens(LEAVES_ADDRESS):
            self._shopper.address_left = True
            profile = self._shopper.profile
            self._does("identify", {name: profile[name] for name in ("email", "first_name", "locale")})

    def _sign_in(self) -> None:
        """From here on the device says who it is, and what was in its cart is in the account's."""
        device, shopper = self._device, self._shopper
        if device.signed_in:
            return
        device.signed_in = True
        device.ids = {"user_id": shopper.user_id, **device.ids}
        for product, quantity in device.cart.items():
            shopper.cart[product] = shopper.cart.get(product, 0) + quantity
        device.cart = shopper.cart
        self._does("identify", dict(shopper.profile))

    def _check_out(self) -> None:
        """The shop sells to accounts only: who wants none leaves here, with a full cart."""
        cart = self._device.cart
        self._does("checkout_started", {"total": _total(cart), "currency": CURRENCY, "quantity": sum(cart.values())})
        if self._shopper.trust != "account":
            return
        self._sign_in()
        if self._happens(self._shopper.temperament.pays):
            self._pay(self._device.cart)

    def _pay(self, cart: Cart) -> None:
        order_id = f"o{self._shopper.seed}-{self._shopper.number}-{self._shopper.count + 1}"
        order = {"order_id": order_id, "total": _total(cart), "currency": CURRENCY}
        lines = [
            {"product_id": product.product_id, "price": product.price / 100, "quantity": quantity}
            for product, quantity in cart.items()
        ]
        cart.clear()
        self._shop_tells("shop", self.now, "purchased", {**order, "products": lines})
        self.now += self._pause()
        self._look_at_page("/thank-you")
        if self._happens(RETURNED):
            returned = self.now + int(self._rng.uniform(*RETURNED_AFTER_DAYS) * DAY)
            self._shop_tells("server", returned, "order_returned", order)

    def _look_at_page(self, path: str) -> None:
        self._does("page_viewed", {"url": SHOP + path, "path": path})

    def _does(self, name: str, properties: dict[str, Any]) -> None:
        """The device tells of it, at once or when it has a connection again."""
        at = self.now
        if self._offline and self._offline[0] <= at < self._offline[1]:
            at = self._offline[1]
        self._send(at, self.now, self._device.source, self._device.ids, name, properties)
        self.now += self._pause()

    def _shop_tells(self, source: str, at: Instant, name: str, properties: dict[str, Any]) -> None:
        """The shop's own systems know the account and no device."""
        self._send(at, at, source, {"user_id": self._shopper.user_id}, name, properties)

    def _send(
        self, at: Instant, happened: Instant, source: str, ids: dict[str, str], name: str, properties: dict[str, Any]
    ) -> None:
        shopper = self._shopper
        shopper.count += 1
        event = {
            **ids,
            "event": name,
            "event_id": f"{shopper.seed}-{shopper.number}-{shopper.count}",
            "timestamp": rfc3339(happened),
            "properties": properties,
            "context": {"source": source},
        }
        self.sent.append((at, shopper.number, shopper.count, event))
        if self._happens(SENT_TWICE):
            again = at + self._rng.randrange(SECOND, MINUTE)
            self.sent.append((again, shopper.number, shopper.count, event))

    def _pause(self) -> Duration:
        return int(self._rng.expovariate(1 / PAUSE))

    def _happens(self, chance: float) -> bool:
        return self._rng.random() < chance


def _price(product: Product) -> int:
    return product.price


def _total(cart: Cart) -> float:
    """In whole units of the currency."""
    return sum(product.price * quantity for product, quantity in cart.items()) / 100
