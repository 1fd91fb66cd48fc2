"""Feeds of products: what each format comes as, where each item is, and what a hostile or broken file can do."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.failure import Failure
from services.cli.feeds import Format, Item, format_of, read

RSS = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0">
<channel>
  <title>A shop</title><link>https://shop.test</link>
  <item>
    <g:id>k1</g:id>
    <title>Kettle &amp; lid</title>
    <g:title>Kettle &amp; <![CDATA[<lid>]]></g:title>
    <link>https://shop.test/k1?a=1&amp;b=2</link>
    <g:image_link>https://shop.test/k1.jpg</g:image_link>
    <g:price>60.00 EUR</g:price>
    <g:sale_price>49.00 EUR</g:sale_price>
    <g:shipping><g:country>DE</g:country><g:price>4.95 EUR</g:price></g:shipping>
    <g:availability>in_stock</g:availability>
    <g:product_type>Kitchen</g:product_type>
    <other:id xmlns:other="urn:x">evil</other:id>
  </item>
  <item><g:id>k2</g:id><g:title>Cup</g:title></item>
</channel>
</rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<entry><g:id>k1</g:id><title>Kettle</title><link href="https://shop.test/k1"/></entry>
</feed>"""


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def items(self, content: str | bytes, name: str) -> list[Item]:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read(path, format_of(path)))

    def failure(self, content: str | bytes, name: str) -> str:
        with pytest.raises(Failure) as caught:
            self.items(content, name)
        return str(caught.value).removeprefix(f"{self.folder / name}: ")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


class TestXml:
    def test_rss_as_google_merchant_wants_it(self, files: Files) -> None:
        first, second = files.items(RSS, "feed.xml")
        assert first == Item(
            "line 5",
            {
                "product_id": "k1",
                "name": "Kettle & <lid>",
                "url": "https://shop.test/k1?a=1&b=2",
                "image_url": "https://shop.test/k1.jpg",
                "price": "49.00 EUR",
                "availability": "in_stock",
                "category": "Kitchen",
            },
        )
        assert second == Item("line 18", {"product_id": "k2", "name": "Cup"})

    def test_a_sale_of_some_days_is_not_the_price(self, files: Files) -> None:
        dated = RSS.replace(
            "</g:sale_price>", "</g:sale_price><g:sale_price_effective_date>x</g:sale_price_effective_date>"
        )
        assert files.items(dated, "feed.xml")[0].fields["price"] == "60.00 EUR"

    def test_atom(self, files: Files) -> None:
        assert files.items(ATOM, "feed.xml") == [
            Item("line 2", {"product_id": "k1", "name": "Kettle", "url": "https://shop.test/k1"})
        ]

    def test_compressed_and_on_one_line_however_long(self, files: Files) -> None:
        item = "<item><g:id>k1</g:id><g:title>Kettle</g:title></item>"
        long = RSS.replace("\n", "").replace("</channel>", f"{item * 40_000}</channel>")
        assert len(files.items(gzip.compress(long.encode()), "feed.xml.gz")) == 40_002

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (
                '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + RSS.partition("?>")[2].strip(),
                "line 1: a document type (<!DOCTYPE …>) is not taken, leave it out",
            ),
            (
                '<!DOCTYPE x SYSTEM "http://evil.test/x.dtd">' + ATOM,
                "line 1: a document type (<!DOCTYPE …>) is not taken, leave it out",
            ),
            (RSS.replace("Kettle &amp; lid", "&file;"), "line 7: is not XML: undefined entity"),
            (RSS.replace("Kettle &amp; lid", "x" * 70_000), "line 7: a field of more than 65536 characters"),
            (RSS[:400], "line 11: is not XML: unclosed token"),
            ("<html><body>Not found</body></html>", "holds no <item> (RSS 2.0) and no <entry> (Atom)"),
            ("", "line 1: is not XML: no element found"),
        ],
    )
    def test_what_is_hostile_or_broken_is_refused_with_its_line(self, files: Files, content: str, reason: str) -> None:
        assert files.failure(content, "feed.xml").startswith(reason)

    def test_however_deep_it_is_nested_it_is_read(self, files: Files) -> None:
        deep = ATOM.replace("<title>", "<x>" * 100_000 + "</x>" * 100_000 + "<title>")
        assert [item.fields["name"] for item in files.items(deep, "feed.xml")] == ["Kettle"]


class TestCsv:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("head", ["product_id,name,price", "ID,Title,g:price", " sku , name ,Price"])
    def test_dialects(self, files: Files, delimiter: str, head: str) -> None:
        rows = [head.split(","), ["k1", '"A ""big"" kettle"', "12.50"], ["k2", f'"Cup{delimiter} blue"', ""]]
        text = "\r\n".join(delimiter.join(row) for row in rows)
        assert files.items("\ufeff" + text, "products.csv") == [
            Item("line 2", {"product_id": "k1", "name": 'A "big" kettle', "price": "12.50"}),
            Item("line 3", {"product_id": "k2", "name": f"Cup{delimiter} blue"}),
        ]

    def test_a_bad_row_spoils_itself_only(self, files: Files) -> None:
        items = files.items('id,name\nk1,"open\nk2,Cup,more\nk3,Jug\n', "products.csv")
        assert [(item.place, bool(item.flaw)) for item in items] == [
            ("line 2", True),
            ("line 3", True),
            ("line 4", False),
        ]
        assert items[1].flaw == "3 cells, but the header has 2"

    def test_the_catalogues_own_names_go_first(self, files: Files) -> None:
        (item,) = files.items("id,product_id,title,name,description\nx,k1,T,N,long\n", "products.csv")
        assert item.fields == {"product_id": "k1", "name": "N"}

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("", "the header is missing"),
            ("name,price\nx,1\n", "no column is called product_id, or id; they are name, price"),
        ],
    )
    def test_a_header_that_does_not_do(self, files: Files, content: str, reason: str) -> None:
        assert files.failure(content, "products.csv") == reason


class TestJson:
    PRODUCTS = ({"product_id": "k1", "name": "Kettle", "price": 5}, {"id": 2, "title": "Cup", "tags": ["x"]})
    FIELDS = ({"product_id": "k1", "name": "Kettle", "price": 5}, {"product_id": 2, "name": "Cup"})

    @pytest.mark.parametrize(
        ("whole", "indent"),
        [(list(PRODUCTS), 2), (list(PRODUCTS), None), ({"products": PRODUCTS}, None), ({"products": PRODUCTS}, 1)],
    )
    def test_an_array(self, files: Files, whole: Any, indent: int | None) -> None:
        items = files.items(json.dumps(whole, indent=indent), "products.json")
        assert items == [Item("product 1", self.FIELDS[0]), Item("product 2", self.FIELDS[1])]

    @pytest.mark.parametrize("name", ["products.json", "products.ndjson"])
    def test_an_object_a_line(self, files: Files, name: str) -> None:
        first, second, third = files.items("\n".join([*map(json.dumps, self.PRODUCTS), "nonsense"]), name)
        assert (first, second) == (Item("line 1", self.FIELDS[0]), Item("line 2", self.FIELDS[1]))
        assert third.flaw.startswith("is not a JSON object like ")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("[1,", "is not JSON: "),
            ("[" * 100_000, "is not JSON: "),
            ('"text"', "expected an array of products, or one under 'products'"),
            ('{"products": 3}', "expected an array of products, or one under 'products'"),
        ],
    )
    def test_what_is_no_list_of_products(self, files: Files, content: str, reason: str) -> None:
        assert files.failure(content, "products.json").startswith(reason)


def test_the_ending_says_what_it_is_and_what_it_does_not_must_be_said(tmp_path: Path) -> None:
    assert format_of(Path("a.b/feed.TSV.gz")) is Format.CSV
    with pytest.raises(Failure, match="--format csv, json or google"):
        format_of(Path("feed"))
    with pytest.raises(Failure, match="No such file"):
        list(read(tmp_path / "none.xml", Format.GOOGLE))
