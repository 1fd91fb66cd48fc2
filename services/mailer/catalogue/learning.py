"""What a batch of events teaches: of the products, and of what goes with what. Pure."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from msgspec import Struct

from services.mailer.catalogue.facts import Row, heard, identity
from services.mailer.catalogue.recommend import SESSION_ITEMS, Session, gain, join
from shared.messages import Event, Properties

TEACH = frozenset({"product_viewed", "added_to_cart", "cart_updated", "checkout_started", "purchased"})


class Learned(Struct):
    """Rows that changed; what is to be added to the weights of products and of pairs (each both ways); the people's sessions; how
    many products browsers brought in."""

    rows: dict[str, Row] = {}
    weights: dict[str, float] = {}
    pairs: dict[tuple[str, str], float] = {}
    sessions: dict[str, Session] = {}
    brought: int = 0


def products_of(properties: Properties) -> dict[str, Properties]:
    """The products that an event is about, each once, with what is said of it."""
    listed = properties.get("products")
    items = (
        [properties, *(item for item in listed if isinstance(item, dict))] if isinstance(listed, list) else [properties]
    )
    return {product: item for item in items if (product := identity(item))}


class Lesson(NamedTuple):
    """An event with the products that it is about."""

    event: Event
    products: dict[str, Properties]


def lesson(event: Event) -> Lesson | None:
    """None for what teaches nothing: a crawler that goes through the whole shop says nothing of what goes with what."""
    if event.name not in TEACH or event.context.get("bot") or not (products := products_of(event.properties)):
        return None
    return Lesson(event, products)


def learn(
    lessons: Iterable[Lesson],
    rows: Mapping[str, Row],
    sessions: Mapping[str, Session],
    hosts: Set[str],
    room: int,
) -> Learned:
    """``lessons``: in their order. ``rows`` and ``sessions``: what is known of the products and people in
    them. ``room``: how many products browsers may bring in. What only one of them told of is not counted either."""
    learned = Learned()
    for event, products in lessons:
        known: list[str] = []
        for product, properties in products.items():
            before = learned.rows.get(product) or rows.get(product)
            after = heard(before, properties, event, hosts, room=learned.brought < room)
            if after is None:
                continue
            if after is not before:
                learned.brought += before is None and after.source == "browser"
                learned.rows[product] = after
            if after.source != "browser" or after.facts.name:
                known.append(product)
        if known:
            _count(learned, event, known[:SESSION_ITEMS], sessions)
    return learned


def _count(learned: Learned, event: Event, products: Sequence[str], sessions: Mapping[str, Session]) -> None:
    session = learned.sessions.get(event.person) or sessions.get(event.person)
    joined = join(session, products, event.timestamp)
    learned.sessions[event.person] = joined.session
    counts = gain(event.timestamp)
    for product in joined.new:
        learned.weights[product] = learned.weights.get(product, 0.0) + counts
    for one, other in joined.pairs:
        for pair in ((one, other), (other, one)):
            learned.pairs[pair] = learned.pairs.get(pair, 0.0) + counts
