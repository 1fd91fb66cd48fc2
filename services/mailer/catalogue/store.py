"""The catalogue's tables: what the shop sells, and what goes with what."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from services.mailer.catalogue.facts import Facts, Rival, Row
from services.mailer.catalogue.learning import Learned
from services.mailer.catalogue.recommend import NEIGHBOURS, PAIRS, SHRINKAGE, Neighbours, Session, gain
from shared import db
from shared.catalogue import CatalogueProduct
from shared.clock import Instant, from_datetime, to_datetime

_SQL = db.queries(Path(__file__).parents[1] / "sql" / "catalogue.sql")

_encode = msgspec.msgpack.Encoder().encode
_read_rival = msgspec.msgpack.Decoder(Rival).decode
_read_items = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class Catalogue:
    """Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    # --- Learning -----------------------------------------------------------------------------------------------------

    async def claim(self, owner: str, lease: timedelta) -> int | None:
        """How far it is learned, or none while another process does it."""
        sequence: int | None = await self._pool.fetchval(_SQL["claim"], owner, lease)
        return sequence

    async def release(self, owner: str) -> None:
        await self._pool.execute(_SQL["release"], owner)

    async def place(self, owner: str, last: int) -> None:
        await self._pool.execute(_SQL["place"], owner, last)

    async def rows(self, products: Collection[str]) -> dict[str, Row]:
        found = await self._pool.fetch(_SQL["rows"], list(products))
        return {row["product_id"]: _row(row) for row in found}

    async def sessions(self, people: Collection[str]) -> dict[str, Session]:
        found = await self._pool.fetch(_SQL["sessions"], list(people))
        return {row["person"]: Session(_read_items(row["items"]), from_datetime(row["at"])) for row in found}

    async def browsers_products(self) -> int:
        count: int = await self._pool.fetchval(_SQL["browsers_products"])
        return count

    async def learn(self, owner: str, after: int, through: int, lease: timedelta, learned: Learned) -> bool:
        """False if another process has taken over, or this was committed before. Rows go in the order of their keys, so that
        nobody waits for each other."""
        rows = sorted(learned.rows.items())
        facts = [row.facts for _, row in rows]
        pairs = sorted(learned.pairs.items())
        weights, sessions = sorted(learned.weights.items()), sorted(learned.sessions.items())
        mine: bool = await self._pool.fetchval(
            _SQL["learn"],
            *(owner, after, through, lease),
            [product for product, _ in rows],
            *([getattr(each, name) for each in facts] for name in Facts.__struct_fields__),
            [row.source for _, row in rows],
            [to_datetime(row.updated) for _, row in rows],
            [_encode(row.rival) if row.rival else None for _, row in rows],
            [row.version + 1 for _, row in rows],
            *_columns(weights, 2),
            *_columns([(*pair, weight) for pair, weight in pairs], 3),
            *_columns([(who, _encode(each.items), to_datetime(each.at)) for who, each in sessions], 3),
        )
        return mine

    async def stale(self, most: int, since: timedelta) -> Sequence[str]:
        """So many products that were counted after it was worked out what goes with them, but for those of the last ``since``."""
        return [row["product_id"] for row in await self._pool.fetch(_SQL["stale"], most, since)]

    async def find_neighbours(self, products: Sequence[str], now: Instant) -> None:
        await self._pool.execute(_SQL["prune"], products, PAIRS)
        await self._pool.execute(_SQL["find_neighbours"], products, NEIGHBOURS, SHRINKAGE * gain(now))

    async def forget(self, sessions_after: timedelta, products_after: timedelta) -> None:
        await self._pool.execute(_SQL["forget_sessions"], sessions_after)
        await self._pool.execute(_SQL["forget_products"], products_after)

    # --- Feeds and operators ------------------------------------------------------------------------------------------

    async def put(self, products: Mapping[str, Facts], feed: str, now: Instant) -> None:
        facts = products.values()
        await self._pool.execute(
            _SQL["put"],
            list(products),
            *([getattr(each, name) for each in facts] for name in Facts.__struct_fields__),
            to_datetime(now),
            feed,
        )

    async def retire(self, feed: str) -> int:
        """How many are gone now that were not before."""
        return len(await self._pool.fetch(_SQL["retire"], feed))

    async def list(self, after: str, limit: int, category: str) -> list[CatalogueProduct]:
        return [_product(row) for row in await self._pool.fetch(_SQL["list"], after, category, limit)]

    async def get(self, products: Iterable[str]) -> dict[str, CatalogueProduct]:
        found = await self._pool.fetch(_SQL["get"], list(products))
        return {row["product_id"]: _product(row) for row in found}

    # --- Recommendations ----------------------------------------------------------------------------------------------

    async def weight(self, product: str) -> float:
        weight: float = await self._pool.fetchval(_SQL["weight"], product)
        return weight

    async def neighbours(self, seeds: Sequence[str]) -> Neighbours:
        found = await self._pool.fetch(_SQL["neighbours"], seeds)
        return {row["product_id"]: list(zip(row["others"], row["scores"], strict=True)) for row in found}

    async def popular(self, most: int) -> dict[str, Sequence[str]]:
        """By category; under no category those of all."""
        return {row["category"]: row["products"] for row in await self._pool.fetch(_SQL["popular"], most)}


def _columns(rows: Sequence[Sequence[Any]], width: int) -> Iterable[Sequence[Any]]:
    return [[row[place] for row in rows] for place in range(width)]


def _row(row: asyncpg.Record) -> Row:
    return Row(
        Facts(*(row[name] for name in Facts.__struct_fields__)),
        row["source"],
        from_datetime(row["updated_at"]),
        _read_rival(row["rival"]) if row["rival"] else None,
        row["version"],
    )


def _product(row: asyncpg.Record) -> CatalogueProduct:
    found = dict(row)
    return CatalogueProduct(**{**found, "updated_at": from_datetime(found["updated_at"])})
