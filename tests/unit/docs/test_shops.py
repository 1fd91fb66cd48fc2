"""The page on shops shows the tables by which their webhooks are read, and no other."""

import re

import pytest

from services.tracker.shops import SHOPS, table
from services.tracker.shops.table import Sources
from tests.support.stack import ROOT

PAGE = (ROOT / "docs/shops.md").read_text(encoding="utf-8")


def fields(sources: Sources) -> list[str]:
    return [
        f"| `{name}` | {places(source.shopify)} | {places(source.woocommerce)} |" for name, source in sources.items()
    ]


def places(paths: tuple[str, ...]) -> str:
    return ", else ".join(f"`{path}`" for path in paths) or "–"


TABLES = {
    "Topics": [
        f"| `{path}` | `{topic}` | {', '.join(f'`{event}`' for event in events)} |"
        for path, shop in SHOPS.items()
        for topic, events in table.TOPICS[shop.name].items()
    ],
    "Orders of WooCommerce": [f"| `{status}` | `{event}` |" for status, event in table.STATUSES.items()],
    "When it happened": fields(table.WHEN),
    "A product": fields(table.PRODUCT),
    "A product of a cart": fields(
        {name: source for name, source in table.CART_PRODUCT.items() if source != table.PRODUCT.get(name)}
    ),
    **{f"`{name}`": fields(sources) for name, sources in table.PROPERTIES.items()},
    "`identify`": fields(table.PROFILE),
    "Ids": fields(table.IDS),
}


@pytest.mark.parametrize("title", TABLES)
def test_every_table_stands_there_row_by_row(title: str) -> None:
    text = PAGE.partition(f"\n### {title}\n")[2].partition("\n#")[0]
    assert re.findall(r"^\|.+\|$", text, re.MULTILINE)[2:] == TABLES[title]


def test_the_number_of_lines_stands_there() -> None:
    assert f"first {table.MAX_PRODUCTS} lines" in PAGE
