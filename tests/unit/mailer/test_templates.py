"""Templates: what they show, what they cannot do, and what their authors are told."""

import os
from pathlib import Path
from typing import Any

import pytest

from services.mailer.context import Shop, context
from services.mailer.templates import TemplateError, Templates
from shared.clock import SECOND
from shared.messages import EmailAction, HistoryEvent, Person, Terms, Trigger

EXAMPLES = Path(__file__).parents[3] / "examples" / "templates"
SHOP = Shop("Kiln & Kettle", "https://shop.test/")


def event(n: int, what: str, **properties: Any) -> HistoryEvent:
    return HistoryEvent(n, f"e{n}", what, n * SECOND, n * SECOND, properties)


KETTLE = event(
    1,
    "added_to_cart",
    product_id="k1",
    name="Copper kettle",
    price=129.5,
    currency="EUR",
    image_url="https://shop.test/k1.jpg",
    url="https://shop.test/k1?a=1&b=2",
)
CUP = event(2, "added_to_cart", product_id="c1", name="Cup", quantity=2)


def variables(profile: dict[str, Any], *events: HistoryEvent, shop: Shop = SHOP) -> dict[str, Any]:
    trigger = Trigger("t1", "ada", "some-rule", 1, 0, Terms(EmailAction("x")), because=list(events[:1]))
    return context(trigger, Person("ada", profile, list(events), len(events)), shop)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A template that says hello."""
    write(tmp_path, subject="Hello {{ person.first_name }}", html="<p>{{ person.first_name }}</p>", text="Hi")
    return tmp_path


def write(folder: Path, name: str = "hello", **files: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    for file, source in files.items():
        (folder / name / f"{file}.liquid").write_text(source, encoding="utf-8")


def error_of(folder: Path, template: str = "hello", **profile: Any) -> str:
    with pytest.raises(TemplateError) as caught:
        Templates(folder).render(template, variables(profile, KETTLE))
    return str(caught.value)


class TestExamples:
    NAMES = (
        "browse-reminder",
        "cart-reminder",
        "follow-up",
        "high-value-interest",
        "reorder",
        "thank-you",
        "vip",
        "welcome",
        "welcome-back",
        "win-back",
    )

    def test_these_are_all_that_ship(self) -> None:
        assert tuple(sorted(path.name for path in EXAMPLES.iterdir() if path.name != "_parts")) == self.NAMES

    def test_they_have_no_flaws(self) -> None:
        assert Templates(EXAMPLES).flaws() == []

    @pytest.mark.parametrize("name", NAMES)
    def test_they_show_the_person_and_the_product(self, name: str) -> None:
        mail = Templates(EXAMPLES).render(name, variables({"first_name": "Zoë"}, KETTLE, CUP))
        assert "Zoë" in mail.subject
        for shown in ("Zoë", "Copper kettle", "€129.50", "https://shop.test/k1.jpg", 'alt="Copper kettle"'):
            assert shown in mail.html
        for shown in ("Zoë", "Copper kettle", "€129.50", "https://shop.test/k1?a=1&b=2"):
            assert shown in mail.text
        assert 'href="https://shop.test/k1?a=1&amp;b=2"' in mail.html
        assert "Kiln &amp; Kettle" in mail.html
        assert "&amp;amp;" not in mail.html

    @pytest.mark.parametrize("name", NAMES)
    def test_they_read_well_for_somebody_of_whom_nothing_is_known(self, name: str) -> None:
        mail = Templates(EXAMPLES).render(name, variables({}, shop=Shop("Shop", "")))
        assert mail.subject.strip()
        assert mail.subject[0].isupper()
        assert 'href=""' not in mail.html
        assert 'src=""' not in mail.html
        assert "None" not in mail.html + mail.text

    @pytest.mark.parametrize("name", NAMES)
    def test_a_missing_picture_or_price_leaves_no_hole(self, name: str) -> None:
        mail = Templates(EXAMPLES).render(name, variables({}, CUP))
        assert "<img" not in mail.html
        assert "Cup" in mail.html
        assert "€" not in mail.html + mail.text

    @pytest.mark.parametrize("name", NAMES)
    def test_nothing_that_was_sent_becomes_markup(self, name: str) -> None:
        nasty = '"><script>alert(1)</script>'
        events = event(1, "added_to_cart", product_id=nasty, name=nasty, currency=nasty, price=1, url="javascript:x")
        mail = Templates(EXAMPLES).render(name, variables({"first_name": nasty}, events, shop=Shop(nasty, "")))
        assert "<script" not in mail.html
        assert "javascript:" not in mail.html

    @pytest.mark.parametrize("name", NAMES)
    def test_long_names_are_cut(self, name: str) -> None:
        long = event(1, "added_to_cart", product_id="a", name="W" * 10_000, price=1)
        mail = Templates(EXAMPLES).render(name, variables({"first_name": "x" * 10_000}, long))
        assert len(mail.subject) < 160
        assert len(mail.html) < 15_000

    def test_the_cart_shows_what_is_in_it_and_how_many(self) -> None:
        mail = Templates(EXAMPLES).render("cart-reminder", variables({}, KETTLE, CUP))
        assert "2 pieces" in mail.html
        gone = event(3, "removed_from_cart", product_id="c1")
        assert "Cup" not in Templates(EXAMPLES).render("cart-reminder", variables({}, KETTLE, CUP, gone)).html

    def test_a_thank_you_tells_what_was_bought_and_not_to_look_at_it_again(self) -> None:
        bought = event(3, "purchased", order_id="A-17", total=129.5, currency="EUR", products=[KETTLE.properties])
        mail = Templates(EXAMPLES).render("thank-you", variables({}, bought, KETTLE, CUP))
        for shown in (mail.html, mail.text):
            assert "Your order A-17" in shown
            assert "Total €129.50" in shown
            assert shown.count("Copper kettle") == 1
            assert "Cup" in shown

    @pytest.mark.parametrize("properties", [KETTLE.properties, {"products": [{"product_id": "k1"}]}])
    def test_a_reorder_links_what_was_bought(self, properties: dict[str, Any]) -> None:
        bought = event(3, "purchased", **properties)
        mail = Templates(EXAMPLES).render("reorder", variables({}, bought, KETTLE, CUP))
        assert "Copper kettle" in mail.subject
        assert 'href="https://shop.test/k1?a=1&amp;b=2"' in mail.html
        assert "https://shop.test/k1?a=1&b=2" in mail.text
        assert "Buy again" in mail.html
        assert "Cup" not in mail.html + mail.text

    @pytest.mark.parametrize("name", ["reorder", "thank-you"])
    def test_a_purchase_can_say_anything(self, name: str) -> None:
        nasty = '"><script>alert(1)</script>' + "x" * 500
        said: list[dict[str, Any]] = [
            dict.fromkeys(("product_id", "name", "order_id", "currency", "total"), nasty),
            {"name": nasty, "url": "javascript:x", "image_url": "javascript:x", "total": 1, "currency": nasty},
            {"name": {"a": [nasty]}, "product_id": [], "order_id": {"a": 1}, "total": [], "currency": 7, "url": 1},
            {"products": [nasty, None, 7, [], {"name": nasty, "url": "https://x.test/" + nasty}] * 100},
            {"products": 7},
            {"products": {"name": nasty}},
            {},
        ]
        for properties in said:
            mail = Templates(EXAMPLES).render(name, variables({}, event(1, "purchased", **properties)))
            assert "<script" not in mail.html
            assert "javascript:" not in mail.html + mail.text
            assert len(mail.subject) < 160
            assert len(mail.html) < 15_000


class TestContext:
    def test_what_a_template_can_speak_of(self, folder: Path) -> None:
        source = (
            "{{ person.key }}|{{ person.first_name }}|{{ rule.id }}|{{ rule.version }}|{{ shop.name }}|{{ shop.url }}|"
            "{% for event in events %}{{ event.name }} {{ event.timestamp }} {{ event.properties.name }}{% endfor %}|"
            "{% for product in products %}{{ product.name }},{% endfor %}|"
            "{% for product in cart %}{{ product.name }},{% endfor %}"
        )
        write(folder, text=source)
        viewed = event(3, "product_viewed", product_id="t1", name="Tray")
        mail = Templates(folder).render("hello", variables({"first_name": "Ada"}, KETTLE, CUP, viewed))
        assert mail.text == (
            "ada|Ada|some-rule|1|Kiln & Kettle|https://shop.test/|added_to_cart 1970-01-01T00:00:01Z Copper kettle|"
            "Copper kettle,Tray,Cup,|Cup,Copper kettle,"
        )

    def test_only_html_is_escaped(self, folder: Path) -> None:
        mail = Templates(folder).render("hello", variables({"first_name": "A & <B>"}))
        assert (mail.subject, mail.html) == ("Hello A & <B>", "<p>A &amp; &lt;B&gt;</p>")

    def test_what_the_profile_lacks_is_empty(self, folder: Path) -> None:
        write(folder, text="[{{ person.nobody.knows }}{% if person.vip %}VIP{% endif %}]")
        assert Templates(folder).render("hello", variables({})).text == "[]"

    def test_a_changed_file_is_read_again(self, folder: Path) -> None:
        templates = Templates(folder)
        assert templates.render("hello", variables({})).text == "Hi"
        write(folder, text="Good day")
        os.utime(folder / "hello" / "text.liquid", (2_000_000_000, 2_000_000_000))
        assert templates.render("hello", variables({})).text == "Good day"
        write(folder, text="{{ oops }}")
        os.utime(folder / "hello" / "text.liquid", (2_000_000_001, 2_000_000_001))
        with pytest.raises(TemplateError, match="unknown variable 'oops'"):
            templates.render("hello", variables({}))


def test_a_template_speaks_of_what_stands_in_any_of_its_files_and_their_parts(folder: Path) -> None:
    write(folder, "_parts", row="{{ product.name }}")
    write(
        folder,
        html="{% assign other = cart %}{% for product in recommended %}{% render '_parts/row.liquid', product: product %}"
        "{% endfor %}",
        text="{% if shop.url %}{{ rule.id }}{% endif %}",
    )
    assert Templates(folder).speaks_of("hello") == {"person", "cart", "recommended", "shop", "rule"}
    with pytest.raises(TemplateError, match="no name of a template"):
        Templates(folder).speaks_of("../hello")


class TestFlaws:
    def test_a_misspelt_variable_is_found_also_where_it_is_seldom_used(self, folder: Path) -> None:
        write(folder, html="<p>\n{% if person.vip %}\n{{ persn.first_name }}{% endif %}")
        assert error_of(folder) == (
            "hello/html.liquid line 3: unknown variable 'persn'; there are cart, events, person, products, "
            "recommended, rule, shop, unsubscribe_url"
        )

    def test_a_misspelt_filter_is_too(self, folder: Path) -> None:
        write(folder, html="\n{% if person.vip %}{{ 1 | monney }}{% endif %}")
        assert error_of(folder) == "hello/html.liquid line 2: unknown filter 'monney'"

    def test_one_in_a_part_is_found_there(self, folder: Path) -> None:
        write(folder, "_parts", foot="\n\n{{ whoever }}")
        write(folder, html="{% render '_parts/foot.liquid' %}")
        assert error_of(folder).startswith("_parts/foot.liquid line 3: unknown variable 'whoever'")

    @pytest.mark.parametrize(
        ("source", "line", "says"),
        [
            ("\n\n{{ person.first_name", 3, ""),
            ("\n{% nonsense %}", 2, "nonsense"),
            ("\n{{ 1 | divided_by: 0 }}", 2, "divide by 0"),
            ("\n{{ 'x' | truncate: 1, 2, 3, 4 }}", 2, ""),
            ("\n{% render 'nowhere' %}", 2, "cannot find template"),
            ("\n{% include '../../etc/passwd' %}", 2, "cannot find template"),
            ("\n{% for i in (1..100000) %}{% endfor %}x{% for i in (1..100000) %}x{% endfor %}", 2, "loop iteration"),
            ("\n{% for i in (1..9000) %}{{ person.bio }}{% endfor %}", 2, "output stream limit"),
            ("\n{% assign a = person.bio %}{% for i in (1..9000) %}{% assign a = a | append: a %}{% endfor %}", 2, ""),
        ],
    )
    def test_every_other_one_names_the_file_and_the_line(self, folder: Path, source: str, line: int, says: str) -> None:
        write(folder, html=source)
        error = error_of(folder, bio="x" * 1000)
        assert error.startswith(f"hello/html.liquid line {line}: ")
        assert says in error
        assert "\n" not in error

    def test_one_that_never_ends_is_found_at_the_end(self, folder: Path) -> None:
        write(folder, html="<p>\n{% if person.vip %}")
        assert error_of(folder).startswith("hello/html.liquid at its end: expected tag endif")

    def test_a_missing_template_or_file_is_named(self, folder: Path) -> None:
        assert error_of(folder, "nobody") == "nobody/subject.liquid: there is no such file in TEMPLATES_DIR"
        (folder / "hello" / "text.liquid").unlink()
        assert error_of(folder) == "hello/text.liquid: there is no such file in TEMPLATES_DIR"

    @pytest.mark.parametrize("name", ["../hello", "", "hello/..", "Hello", "_parts", "a b", "x" * 100])
    def test_a_name_never_leaves_the_folder(self, folder: Path, name: str) -> None:
        assert "is no name of a template" in error_of(folder, name)

    def test_a_file_that_is_no_text_is_named(self, folder: Path) -> None:
        (folder / "hello" / "html.liquid").write_bytes(b"\xff\xfe\x00")
        assert error_of(folder).startswith("hello/html.liquid: UnicodeDecodeError: ")

    def test_all_of_them_are_told_at_the_start(self, folder: Path) -> None:
        write(folder, html="{{ oops }}", text="{% if %}")
        write(folder, "half", subject="x")
        flaws = Templates(folder).flaws()
        assert [flaw.split(":")[0] for flaw in flaws] == [
            "half/html.liquid",
            "half/text.liquid",
            "hello/html.liquid line 1",
            "hello/text.liquid line 1",
        ]
