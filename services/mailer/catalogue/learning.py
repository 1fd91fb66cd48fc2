"""What a batch of events teaches: of the products, and of what goes with what. Pure."""

from collections.abc import Iterable, Mapping, Sequence, Set

from msgspec import Struct

from services.mailer.catalogue.facts import Facts, Row, heard, told
from services.mailer.catalogue.recommend import SESSION_ITEMS, Session, gain, join
from shared.messages import Event, Properties

TEACH = frozenset({"product_viewed", "added_to_cart", "cart_updated", "checkout_started", "purchased"})


class Learned(Struct):
    """Rows that changed; what is to be added to the weights of products and of pairs (each both ways); the people's sessions."""

    rows: dict[str, Row] = {}
    weights: dict[str, float] = {}
    pairs: dict[tuple[str, str], float] = {}
    sessions: dict[str, Session] = {}


def teaches(event: Event) -> bool:
    """A crawler that goes through the whole shop says nothing of what goes with what."""
    return event.name in TEACH and not event.context.get("bot")


def products_of(name: str, properties: Properties) -> dict[str, Facts]:
    """The products that an event is about, each once."""
    listed = properties.get("products")
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    return dict(filter(None, map(told, (properties, *items))))


def learn(
    events: Iterable[Event],
    rows: Mapping[str, Row],
    sessions: Mapping[str, Session],
    hosts: Set[str],
    room: int,
) -> Learned:
    """``events``: in their order, such as ``teaches``. ``rows`` and ``sessions``: what is known of the products and people in
    them. ``room``: how many products browsers may bring in. What only one of them told of is not counted either."""
    learned = Learned()
    for event in events:
        known: list[str] = []
        for product, facts in products_of(event.name, event.properties).items():
            before = learned.rows.get(product) or rows.get(product)
            after = heard(before, facts, event, hosts, room=room > 0)
            if after is None:
                continue
            if after is not before:
                room -= before is None
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
