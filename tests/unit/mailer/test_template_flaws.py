"""What the author of a template is told, and where: every flaw with its file, line and column, and what would be right."""

import pytest

from services.mailer.templating.bundle import bundle
from services.mailer.templating.places import Flawed
from services.mailer.templating.template import Template
from tests.support.templates import error_of, flaws_of, made


def mjml(body: str, head: str = "") -> str:
    """The body begins on line 3."""
    return f"<mjml><mj-head>{head}</mj-head>\n<mj-body>\n{body}\n</mj-body></mjml>"


def column(content: str) -> str:
    return mjml(f"<mj-section><mj-column>\n{content}\n</mj-column></mj-section>")


class TestLiquid:
    @pytest.mark.parametrize(
        ("source", "place", "says"),
        [
            ("<p>\n{% if person.vip %}\n {{ persn.first_name }}{% endif %}", "line 3 column 5", "unknown variable 'persn', did you mean 'person'?; there are cart, coupon, dir,"),
            ("{{ shop.nmae }}", "line 1 column 4", "shop has no 'nmae', did you mean 'name'?; it has name, url"),
            ("\n{% if person.vip %}{{ 1 | monney }}{% endif %}", "line 2 column 27", "unknown filter 'monney', did you mean 'money'?"),
            ("{{ person.bio | safe }}", "line 1 column 17", "unknown filter 'safe'"),
            ("\n\n{{ person.first_name", "line 3 column 1", "{{ is never closed with }}"),
            ("\n{% if person.vip", "line 2 column 1", "{% is never closed with %}"),
            ("{% comment %} never ends", "line 1 column 1", "{% comment %} is never closed with {% endcomment %}"),
            ("\n{% nonsense %}", "line 2 column 4", "nonsense"),
            ("{% echo person.key %}", "line 1 column 4", "echo"),
            ("{% liquid\necho person.key %}", "line 1 column 4", "liquid"),
            ("\n{% tablerow a in b %}{% endtablerow %}", "line 2 column 4", "tablerow"),
            ("\n{{ 'x' | }}", "line 2", ""),
            ("{% assign all = (1..1000000000) %}", "line 1 column 17", "a range like (1..5) can stand only in {% for %}"),
            ("{% if (1..9999999999) contains 'x' %}{% endif %}", "line 1 column 7", "a range like"),
        ],
    )  # fmt: skip
    def test_is_read_when_the_template_is_published(self, source: str, place: str, says: str) -> None:
        (flaw,) = flaws_of(html=source)
        assert flaw.startswith(f"hello/html.liquid {place}")
        assert says in flaw
        assert "\n" not in flaw

    def test_one_in_a_part_is_found_there(self) -> None:
        part = {"_parts/foot.liquid": "\n\n{{ whoever }}"}
        assert flaws_of(parts=part, html="{% render '_parts/foot.liquid' %}")[0].startswith(
            "_parts/foot.liquid line 3 column 4: unknown variable 'whoever'"
        )

    def test_one_in_the_subject_the_preheader_or_the_text_is_found_there(self) -> None:
        told = flaws_of(subject="{{ a1 }}", preheader="\n{{ a2 }}", text="{{ a3 }}")
        assert [flaw.partition(":")[0] for flaw in told] == [
            "hello/preheader.liquid line 1 column 4",
            "hello/subject.liquid line 1 column 4",
            "hello/text.liquid line 1 column 4",
        ]

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("\n{{ 1 | divided_by: 0 }}", "divide by 0"),
            ("\n{{ 'x' | truncate: 1, 2, 3, 4 }}", "truncate"),
            ("\n{% for i in (1..100000) %}{% endfor %}x", "loop iteration limit"),
            ("\n{% for i in (1..9000) %}{{ person.bio }}{% endfor %}", "writes more than 524,288 characters"),
            ("\n{{ 'x' | append: person.bio | replace: 'x', person.bio }}", "both texts are too long"),
        ],
    )
    def test_what_only_a_mail_shows_names_the_line_as_well(self, source: str, says: str) -> None:
        error = error_of(made(html=source), {"bio": "x" * 10_000})
        assert error.startswith("hello/html.liquid line 2 column ")
        assert says in error


class TestMjml:
    @pytest.mark.parametrize(
        ("source", "told"),
        [
            (mjml("<mj-sektion></mj-sektion>"), "line 3 column 1: MJML knows no <mj-sektion>, did you mean 'mj-section'?"),
            (mjml("<mj-text>a</mj-text>"), "line 3 column 1: <mj-text> cannot stand in <mj-body>: it belongs in <mj-column>, <mj-hero>"),
            (column("<mj-text colour='red'>a</mj-text>"), "line 4 column 10: <mj-text> has no attribute 'colour', did you mean 'color'?"),
            (mjml("<p>a</p>"), "line 3 column 1: <p> cannot stand in <mj-body>: put HTML into <mj-text> or <mj-raw>"),
            (mjml("Hello"), "line 3 column 1: text in <mj-body> is not shown: put it into <mj-text> or <mj-raw>"),
            (mjml("{{ person.key }}"), "line 3 column 1: text in <mj-body> is not shown: put it into <mj-text> or <mj-raw>"),
            (column("<mj-text><b>a</mj-text>"), "line 4 column 10: <b> is not closed before </mj-text>"),
            (column("<mj-text>a</b></mj-text>"), "line 4 column 11: </b> closes nothing"),
            (column("<mj-text>1 < 2</mj-text>"), "line 4 column 12: no tag begins here: write < as &lt;"),
            (column("<mj-text color=red>a</mj-text>"), 'line 4 column 16: color in <mj-text> needs quotation marks: color="…"'),
            (column("<mj-image width='{{ person.w }}px' />"), "line 4 column 18: width cannot hold Liquid: the page is laid out when the template is published, for everybody"),
            (column("<mj-text>{% if person.a %}</mj-text>\n<mj-text>{% endif %}</mj-text>"), "line 4 column 10: {% if %} is not closed with {% endif %} before </mj-text>"),
            (column("<mj-text>{% endfor %}</mj-text>"), "line 4 column 10: {% endfor %} belongs to no block that was begun in <mj-text>"),
            (column("<mj-text><a {% if person.a %}href='x'{% endif %}>a</a></mj-text>"), "line 4 column 13: Liquid cannot stand between the attributes of <a>: put it into a value"),
            (column("<mj-social><mj-social-element name='x' href='https://x.example/' /></mj-social>"), "line 4 column 12: <mj-social-element> needs src: MJML's own pictures come from a stranger's server"),
            (column("<mj-accordion icon-wrapped-url='https://a.example/'><mj-accordion-element /></mj-accordion>"), "line 4 column 1: <mj-accordion> needs icon-unwrapped-url: MJML's own pictures come from a stranger's server"),
            (column("<mj-carousel><mj-carousel-image src='https://a.example/' /></mj-carousel>"), "line 4 column 1: <mj-carousel> needs left-icon and right-icon: MJML's own pictures come from a stranger's server"),
            (mjml("<!-- {{ person.key }} -->"), "line 3 column 6: Liquid in a comment is lost: use {% comment %} … {% endcomment %}"),
            (mjml("<mj-wrapper>{% if person.a %}{% endif %}</mj-wrapper>"), "line 3 column 13: Liquid cannot stand in <mj-wrapper>, which takes only elements"),
            (mjml("<mj-include path='_parts/haed.liquid' />"), "line 3 column 19: there is no part '_parts/haed.liquid', did you mean '_parts/head.liquid'?"),
            (mjml("", "<mj-title>a<b>b</b></mj-title>"), "line 1 column 27: <mj-title> holds text and no tags"),
            (mjml("", "<mj-style inline='inline'>.a { color: {{ person.c }} }</mj-style>"), "line 1 column 54: inlined CSS cannot hold Liquid: it is inlined when the template is published"),
            ("<mjml></mjml>", "line 1 column 1: there is no <mj-body>: a template is <mjml><mj-head>…</mj-head><mj-body>…</mj-body></mjml>"),
            (column("<mj-text>" + "<b>" * 70 + "</b>" * 70 + "</mj-text>"), "line 4 column 175: elements stand in each other more than 60 deep"),
        ],
    )  # fmt: skip
    def test_nothing_is_dropped_without_a_word(self, source: str, told: str) -> None:
        assert f"hello/mjml.liquid {told}" in flaws_of(parts={"_parts/head.liquid": ""}, mjml=source)

    def test_every_flaw_is_told_at_once_with_those_in_parts_at_their_places(self) -> None:
        part = {"_parts/foot.liquid": "<mj-section><mj-column>\n  <mj-txt>a</mj-txt></mj-column></mj-section>"}
        source = mjml("<mj-foo></mj-foo>\n<mj-include path='_parts/foot.liquid' />\n<mj-bar></mj-bar>")
        assert [flaw.partition(":")[0] for flaw in flaws_of(parts=part, mjml=source)] == [
            "_parts/foot.liquid line 2 column 3",
            "hello/mjml.liquid line 3 column 1",
            "hello/mjml.liquid line 5 column 1",
        ]

    def test_a_flaw_of_liquid_is_found_where_its_author_wrote_it(self) -> None:
        source = column(
            '<mj-text>é {{ person.first_name }}</mj-text>\n<mj-button href="{{ produkt.url }}">Go</mj-button>'
        )
        assert flaws_of(mjml=source)[0].startswith("hello/mjml.liquid line 5 column 21: unknown variable 'produkt'")

    def test_parts_that_include_each_other_are_told(self) -> None:
        part = {"_parts/a.liquid": '<mj-include path="_parts/a.liquid" />'}
        (flaw,) = flaws_of(parts=part, mjml=mjml('<mj-include path="_parts/a.liquid" />'))
        assert flaw.endswith("parts include parts more than 5 deep, or each other")


class TestPlacesOfValues:
    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("<a title={{ person.key }}>a</a>", 'line 1 column 10: a value in <a> needs quotation marks: title="…"'),
            ("<a {{ person.key }}>a</a>", "line 1 column 4: a value cannot be shown here in <a>: put it into an attribute with quotation marks"),
            ('<a onclick="{{ person.key }}">a</a>', "line 1 column 13: a value cannot be shown in onclick: no mail program runs scripts"),
            ("<script>\nx = '{{ person.key }}'</script>", "line 2 column 6: a value cannot be shown in <script>, and no mail program runs one"),
            ("<a href='{% cycle person.a, person.b %}'>a</a>", "line 1 column 10: {% cycle %} cannot stand in href: what it shows cannot be checked"),
            ("<style inline>.a { color: {{ person.key }} }</style>", "line 1 column 27: inlined CSS cannot hold Liquid: it is inlined when published"),
        ],
    )  # fmt: skip
    def test_where_escaping_is_not_enough_a_value_is_refused(self, source: str, told: str) -> None:
        assert flaws_of(html=source) == [f"hello/html.liquid {told}"]


class TestFiles:
    def test_a_template_is_a_subject_and_a_page(self) -> None:
        with pytest.raises(Flawed) as caught:
            Template("hello", {"text.liquid": "x", "sujet.liquid": "x"})
        assert [str(flaw) for flaw in caught.value.flaws] == [
            "hello: needs mjml.liquid or html.liquid, and has neither",
            "hello/subject.liquid: there is no such file",
            "hello/sujet.liquid: is no file of a template, did you mean 'subject.liquid'?; there are subject.liquid, "
            "preheader.liquid, mjml.liquid, html.liquid, text.liquid, sample.yaml",
        ]

    def test_one_page_is_enough(self) -> None:
        assert flaws_of(html="x", mjml="x") == ["hello: needs mjml.liquid or html.liquid, and not both"]

    @pytest.mark.parametrize("name", ["../hello", "", "hello/..", "Hello", "_parts", "a b", "x" * 100])
    def test_a_name_never_leaves_the_folder(self, name: str) -> None:
        assert "is no name of a template" in flaws_of(name)[0]

    def test_a_file_is_of_reasonable_size(self) -> None:
        assert flaws_of(html="x" * 200_000) == ["hello/html.liquid: has more than 131,072 characters"]

    def test_a_file_that_is_no_text_is_named(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("templates")
        (folder / "hello").mkdir()
        (folder / "hello" / "subject.liquid").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(Flawed, match=r"hello/subject\.liquid: cannot be read: 'utf-8' codec"):
            bundle(folder, "hello")
