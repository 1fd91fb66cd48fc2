"""What a template makes of what is known of a person: the page, the text beside it, and how each is read."""

import re
from typing import Any

import pytest

from services.mailer.context import Shop
from services.mailer.locales import Reader
from tests.support.templates import CUP, KETTLE, error_of, event, filled, kettle, made

PAGE = """<mjml dir="{{ dir }}"><mj-head><mj-title>Hello</mj-title>
<mj-style inline="inline">.name { color: #123456; }</mj-style></mj-head>
<mj-body>
{% for product in cart %}
<mj-section><mj-column>
  <mj-image src="{{ product.image_url }}" alt="Ein schönes {{ product.name }}, ภาษาไทย" href="{{ product.url }}" />
  <mj-text>{% if product.price %}<b class="name">{{ product.name }}</b><br>{{ product.price | money: product.currency }}{% endif %}</mj-text>
</mj-column></mj-section>
{% endfor %}
</mj-body></mjml>"""


class TestMjml:
    def test_it_becomes_html_in_which_only_liquid_is_left_to_do(self) -> None:
        page = filled(
            made(mjml=PAGE),
            {"locale": "he"},
            KETTLE,
            event(2, "added_to_cart", **kettle(product_id="k2", name="A & B")),
        ).html
        assert page.startswith("<!DOCTYPE html>")
        assert page.count("129.50\u00a0\u200f€") == 2
        assert 'dir="rtl"' in page
        assert 'alt="Ein schönes A &amp; B, ภาษาไทย"' in page
        assert 'href="https://shop.test/k1?a=1&amp;b=2"' in page
        assert '<b class="name" style="color: #123456;">Copper kettle</b>' in page
        assert "mj-" not in re.sub(r"mj-(column|outlook|full|group|hero)", "", page)
        assert "beckonliquid" not in page

    def test_a_part_is_shared_by_its_text(self) -> None:
        part = {"_parts/foot.liquid": "<mj-section><mj-column><mj-text>{{ line }}</mj-text></mj-column></mj-section>"}
        source = '<mjml><mj-body>{% assign line = "Bye" %}<mj-include path="_parts/foot.liquid" /></mj-body></mjml>'
        assert "Bye" in filled(made(parts=part, mjml=source)).html

    def test_a_font_is_loaded_where_its_author_says_so_and_not_by_its_name(self) -> None:
        text = "<mj-section><mj-column><mj-text font-family='Roboto, Ours'>a</mj-text></mj-column></mj-section>"
        font = "<mj-font name='Ours' href='https://shop.test/ours.css' />"
        loaded = re.findall(
            r"https://[^\s\"')]+",
            filled(made(mjml=f"<mjml><mj-head>{font}</mj-head><mj-body>{text}</mj-body></mjml>")).html,
        )
        assert set(loaded) == {"https://shop.test/ours.css"}

    def test_conditions_for_outlook_stay(self) -> None:
        page = filled(
            made(mjml="<mjml><mj-body><mj-raw><!--[if mso]><p>Outlook</p><![endif]--></mj-raw></mj-body></mjml>")
        )
        assert "<!--[if mso]><p>Outlook</p><![endif]-->" in page.html
        assert "Outlook" not in page.text


class TestHtml:
    def test_a_page_of_ones_own_stays_as_it_is(self) -> None:
        source = "<!doctype html>\n<TABLE><tr>{% if person.a %}<td>{% else %}<td class='b'>{% endif %}&nbsp;</table>\n"
        assert filled(made(html=source)).html == "<!doctype html>\n<TABLE><tr><td class='b'>&nbsp;</table>\n"

    def test_css_that_says_so_is_inlined_and_nothing_is_fetched(self) -> None:
        source = (
            '<html><head><link rel="stylesheet" href="http://127.0.0.1:9/x.css"><style inline>.a { color: red; }</style>'
            "<style>.b { color: blue; }</style></head><body><table><tr>{% for p in cart %}<td class='a b'>{{ p.name }}</td>"
            "{% endfor %}</tr></table></body></html>"
        )
        page = filled(made(html=source), {}, KETTLE, CUP).html
        assert page.count('style="color: red;"') == 2
        assert "<style>.b { color: blue; }</style>" in page
        assert re.search(r"<tr><td[^>]*>Cup</td><td[^>]*>Copper kettle</td></tr>", page), (
            "nothing was moved out of the table"
        )

    def test_the_preheader_comes_first_and_is_hidden(self) -> None:
        mail = filled(
            made(preheader="Still {{ person.first_name }}'s?", html="<body class=a><p>Hello</p></body>"),
            {"first_name": "<Zoë>"},
        )
        assert re.match(r'<body class=a><div style="display:none;[^>]*>Still &lt;Zoë&gt;\'s\?&#847;', mail.html)
        assert mail.text == "Hello\n"


class TestText:
    def test_it_is_made_of_the_page_when_there_is_none(self) -> None:
        source = """<html><head><title>T</title><style>p {}</style></head><body>
            <h1>Hello&nbsp;{{ person.first_name }}</h1><p>Two   words,<br>and a <a href="{{ shop.url }}">shop</a>.</p>
            <table>{% for p in cart %}<tr><td data-html-only><img src="{{ p.image_url }}" alt="not again"></td>
            <td>{{ p.name }} &amp; more</td><td>{% if p.price %}<div>{{ p.price | money: p.currency }}</div>{% else %}<div>no price</div>{% endif %}</td></tr>{% endfor %}</table>
            <img src="x" alt="A picture"><ul><li>One</li><li>Two</li></ul>
            <div style="display: none">hidden</div><p>{{ shop.url }} <a href="{{ shop.url }}">{{ shop.url }}</a></p></body></html>"""
        mail = filled(made(html=source), {"first_name": "A & <B>"}, KETTLE, CUP)
        assert mail.text == (
            "Hello\u00a0A & <B>\n\nTwo words,\nand a shop (https://shop.test/).\n\nCup & more\nno price\n"
            "Copper kettle & more\n€129.50\n\nA picture\n\n- One\n- Two\n\nhttps://shop.test/ https://shop.test/ (https://shop.test/)\n"
        )

    def test_one_of_ones_own_is_taken_as_it_is(self) -> None:
        assert (
            filled(made(text=" {{ person.first_name }}\n\n\n\nx"), {"first_name": "A & <B>"}).text
            == " A & <B>\n\n\n\nx"
        )


class TestContext:
    def test_what_a_template_can_speak_of(self) -> None:
        source = (
            "{{ person.key }}|{{ person.first_name }}|{{ rule.id }}|{{ rule.version }}|{{ shop.name }}|{{ shop.url }}|"
            "{% for event in events %}{{ event.name }} {{ event.timestamp }} {{ event.properties.name }}{% endfor %}|"
            "{% for product in products %}{{ product.name }},{% endfor %}|"
            "{% for product in cart %}{{ product.name }},{% endfor %}|"
            "{% for product in recommended %}{{ product.name }},{% endfor %}|{{ coupon.code }}|{{ locale }} {{ timezone }} {{ dir }}"
        )
        viewed = event(3, "product_viewed", product_id="t1", name="Tray")
        profile = {"first_name": "Ada", "locale": "fa_IR", "timezone": "Asia/Tehran"}
        more: dict[str, Any] = {"recommended": [{"name": "Pan"}], "coupon": {"code": "A-1"}}
        assert filled(made(text=source), profile, KETTLE, CUP, viewed, **more).text == (
            "ada|Ada|some-rule|1|Kiln & Kettle|https://shop.test/|added_to_cart 1970-01-01T00:00:01Z Copper kettle|"
            "Copper kettle,Tray,Cup,|Cup,Copper kettle,|Pan,|A-1|fa-IR Asia/Tehran rtl"
        )

    def test_what_nobody_knows_is_empty(self) -> None:
        source = "[{{ person.nobody.knows }}{{ coupon.code }}{{ order.id }}{{ recommended.size }}{% if coupon %}!{% endif %}]"
        assert filled(made(text=source)).text == "[0]"

    def test_it_speaks_of_what_stands_in_any_of_its_files_and_their_parts(self) -> None:
        page = "{% assign other = cart %}{% for product in recommended %}{% render '_parts/row.liquid', product: product %}{% endfor %}"
        template = made(
            parts={"_parts/row.liquid": "{{ product.name }}"},
            html=page,
            text="{% if shop.url %}{{ rule.id }}{% endif %}",
        )
        assert template.speaks_of == {"cart", "recommended", "shop", "rule"}

    @pytest.mark.parametrize(
        ("purchase", "shown"),
        [
            ({"order_id": 17, "total": "129.50", "currency": "EUR", "products": [{"product_id": "k1"}, {"name": "Cup"}]}, "17 €129.50: Copper kettle https://shop.test/k1.jpg, Cup ,"),
            (kettle(order_id="A", name="Old name", url="javascript:x"), "A : Old name https://shop.test/k1.jpg,"),
            ({"product_id": "nobody-knows"}, " : "),
            ({"products": "a lot", "total": [1]}, " : "),
            ({"products": ["a", None, {"name": {"a": 1}}, {"name": "Tray"}]}, " : Tray ,"),
        ],
    )  # fmt: skip
    def test_an_order_is_told_with_what_is_known_of_its_products(self, purchase: dict[str, Any], shown: str) -> None:
        source = "{{ order.id }} {{ order.total | money: order.currency }}: {% for p in order.products %}{{ p.name }} {{ p.image_url }}, {% endfor %}"
        bought = event(9, "purchased", **purchase)
        assert filled(made(text=source), {}, bought, KETTLE, CUP).text.strip() == shown.strip()


class TestReaders:
    SOURCE = (
        '{{ "1299.5" | money: "EUR" }}|{{ events.first.timestamp | date: "long" }}|{{ events.first.timestamp | date: "%-d %B, %A" }}|'
        "{{ events.first.timestamp | time }}"
    )

    @pytest.mark.parametrize(
        ("profile", "read"),
        [
            ({}, "€1,299.50|January 1, 1970|1 January, Thursday|12:00\u202fAM"),
            ({"locale": "de-AT", "timezone": "Europe/Vienna"}, "€\u00a01.299,50|1. Jänner 1970|1 Jänner, Donnerstag|01:00"),
            ({"locale": "fr_FR", "timezone": "America/New_York"}, "1\u202f299,50\u00a0€|31 décembre 1969|31 décembre, mercredi|19:00"),
            ({"locale": "de-Nowhere", "timezone": "Mars/Base"}, "1.299,50\u00a0€|1. Januar 1970|1 Januar, Donnerstag|00:00"),
            ({"locale": "../../etc", "timezone": "../../etc/passwd"}, "€1,299.50|January 1, 1970|1 January, Thursday|12:00\u202fAM"),
            ({"locale": ["de"], "timezone": {"a": 1}}, "€1,299.50|January 1, 1970|1 January, Thursday|12:00\u202fAM"),
            ({"locale": "x" * 9999, "timezone": "\x00"}, "€1,299.50|January 1, 1970|1 January, Thursday|12:00\u202fAM"),
        ],
    )  # fmt: skip
    def test_numbers_and_dates_are_as_the_person_reads_them(self, profile: dict[str, Any], read: str) -> None:
        assert filled(made(text=self.SOURCE), profile, KETTLE).text == read

    def test_of_whom_nothing_is_known_reads_as_the_shop_does(self) -> None:
        shop = Shop("Laden", "", Reader("de", "Europe/Berlin", "ltr"))
        assert filled(made(text=self.SOURCE), {}, KETTLE, shop=shop).text.startswith("1.299,50\u00a0€|1. Januar 1970|")

    @pytest.mark.parametrize("value", ["", "yesterday", "9999-99-99", None, [], 1e300, "1970-01-01T00:00:00Z" * 99])
    def test_what_is_no_date_is_nothing(self, value: Any) -> None:
        source = '[{{ person.at | date: "long" }}{{ person.at | time }}{{ person.at | date: person.at }}]'
        assert filled(made(text=source), {"at": value}).text == "[]"

    def test_a_day_is_that_day_everywhere(self) -> None:
        profile = {"timezone": "America/Los_Angeles", "at": "2026-12-01"}
        assert filled(made(text='{{ person.at | date: "%d/%m/%y %% it\'s" }}'), profile).text == "01/12/26 % it's"


def test_a_mail_that_cannot_be_made_says_why() -> None:
    assert (
        error_of(made(html="{{ 1 | divided_by: 0 }}"))
        == "hello/html.liquid line 1 column 8: divided_by: can't divide by 0"
    )
