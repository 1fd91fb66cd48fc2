"""Which products go with which: item-to-item co-occurrence on sessions, with decay. Pure.

Each session counts a product once and a pair once. What goes with a product is judged by the cosine of the two (Linden,
Smith and York, "Amazon.com recommendations", IEEE Internet Computing 7(1), 2003): seen together, over the geometric mean of
how often each is seen, so that what everybody looks at goes with nothing in particular. Pairs that were hardly ever seen
are held back by shrinkage (Bell and Koren, "Improved neighborhood-based collaborative filtering", KDD Cup 2007).

Old sessions count less, half as much after ``HALF_LIFE``. The decay is forward (Cormode, Shkapenyuk, Srivastava and Xu,
"Forward decay", ICDE 2009): a session counts ``gain`` of its instant, more the later it is, and what is stored need never be
touched to grow old. Weights compare as they are; ``gain`` of now makes numbers of sessions out of them.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from math import sqrt
from typing import NamedTuple

from shared.clock import DAY, MINUTE, Duration, Instant

HALF_LIFE: Duration = 30 * DAY
LANDMARK: Instant = 1_735_689_600_000_000
"""2025-01-01T00:00:00Z, when a session counted 1."""
_HIGHEST = 900.0
"""Half-lives after the landmark, some 74 years, from which on nothing grows old any more: 2 to the 1024 is no float."""

SESSION_GAP: Duration = 30 * MINUTE
SESSION_ITEMS = 10
"""Products of a session that are remembered, to be paired with those that follow."""
NEIGHBOURS = 100
"""Products that are kept for each, those seen with it most."""
SHRINKAGE = 3.0
"""Sessions. A pair that was seen in as many counts half."""
SEEDS = 10
"""Products of a person that are looked from, the latest."""
RECENCY = 0.8
"""What each counts, of the one after it."""
MOST = 6
"""Products that are recommended in a mail."""


class Session(NamedTuple):
    """``items``: the products, the latest first. ``at``: of the latest event."""

    items: tuple[str, ...]
    at: Instant


class Neighbour(NamedTuple):
    """``product`` was seen with ``seed`` by ``weight``, each of them by a weight of its own."""

    seed: str
    product: str
    weight: float
    seed_weight: float
    product_weight: float


class Joined(NamedTuple):
    """What products somebody came to bring about: the session, those that are new to it, and the pairs they make."""

    session: Session
    new: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]


def gain(at: Instant) -> float:
    """What a session at this instant counts, in sessions at the landmark."""
    return float(2 ** min((at - LANDMARK) / HALF_LIFE, _HIGHEST))


def join(session: Session | None, products: Sequence[str], at: Instant) -> Joined:
    """``products``: what one event is about, each once. After half an hour a new session begins; so it does for what happened
    half an hour before the session at hand, as old events do that come in late."""
    if session is None or abs(at - session.at) > SESSION_GAP:
        session = Session((), at)
    items, new, pairs = session.items, [], []
    for product in products:
        if product not in items:
            new.append(product)
            pairs += [(product, other) for other in items]
        items = (product, *(item for item in items if item != product))[:SESSION_ITEMS]
    return Joined(Session(items, max(at, session.at)), tuple(new), tuple(pairs))


def scored(neighbours: Iterable[Neighbour], seeds: Sequence[str], now: Instant) -> dict[str, float]:
    """How well each neighbour goes with the seeds, the latest of which come first."""
    recency = {seed: RECENCY**place for place, seed in enumerate(seeds)}
    shrinkage = SHRINKAGE * gain(now)
    scores: dict[str, float] = {}
    for seed, product, weight, seed_weight, product_weight in neighbours:
        cosine = weight / sqrt(seed_weight * product_weight)
        score = recency[seed] * cosine * weight / (weight + shrinkage)
        scores[product] = scores.get(product, 0.0) + score
    return scores


def recommended(
    scores: Mapping[str, float],
    categories: Sequence[str],
    popular: Mapping[str, Sequence[str]],
    refused: Set[str],
    most: int = MOST,
) -> list[str]:
    """What goes best with the seeds; then what is popular in their ``categories``, the latest first; then what is popular at
    all, which ``popular`` has under no name. Nothing that is ``refused``."""
    best = sorted(scores, key=lambda product: (-scores[product], product))
    fallback = [product for category in (*categories, "") for product in popular.get(category, ())]
    return [product for product in dict.fromkeys([*best, *fallback]) if product not in refused][:most]
