"""What a rule document may say, and how it is told that it says something else."""

import re
from typing import Any

import msgspec
import pytest

from services.rule_evaluator.document import FOREVER, Reading, Rule, parse_document
from shared.clock import DAY, HOUR
from shared.messages import EmailAction, Terms, WebhookAction
from tests.support.stack import ROOT

MINIMAL = "id: r\nwhen: {event: a}\naction: {email: {template: t}}\n"


def read(text: str) -> Rule:
    reading = parse_document(text)
    assert reading.rule is not None, reading.errors
    return reading.rule


def with_when(when: Any) -> Reading:
    return parse_document(
        msgspec.json.encode({"id": "r", "when": when, "action": {"email": {"template": "t"}}}).decode()
    )


def test_the_documented_rule() -> None:
    text = (ROOT / "examples/rules/cart-abandonment.yaml").read_text(encoding="utf-8")
    rule = read(text.replace("holdout: 0%", "holdout: 5%"))
    assert (rule.id, rule.name, rule.status) == ("cart-abandonment", "Cart left behind", "live")
    assert (rule.reentry, rule.expires) == (24 * HOUR, 2 * HOUR)
    assert rule.terms == Terms(EmailAction("cart-reminder"), category="nudge", holdout=0.05, verify=True)
    assert rule.concerns.names == {"added_to_cart", "purchased"}
    assert not rule.concerns.activity


def test_what_is_left_out() -> None:
    rule = read(MINIMAL)
    assert (rule.name, rule.status, rule.reentry, rule.expires) == ("r", "draft", None, None)
    assert rule.terms == Terms(EmailAction("t"), category="default", priority=0, holdout=0.0, verify=True, test=False)


def test_a_rule_in_test_says_so_to_whoever_sends() -> None:
    assert read(MINIMAL + "status: test\n").terms.test


def test_never_again() -> None:
    assert read(MINIMAL + "reentry: never\n").reentry == FOREVER


@pytest.mark.parametrize(("written", "share"), [("5%", 0.05), ("0%", 0), ("0", 0), ("2.5%", 0.025), ("100%", 1)])
def test_shares(written: str, share: float) -> None:
    assert read(MINIMAL + f"holdout: {written}\n").terms.holdout == share


@pytest.mark.parametrize(
    ("given", "read"), [("", "hold"), (", uncertain: hold", "hold"), (", uncertain: retry_once", "retry_once")]
)
def test_what_becomes_of_an_uncertain_mail(given: str, read: str) -> None:
    reading = parse_document(MINIMAL.replace("template: t", f"template: t{given}"))
    assert reading.rule
    assert reading.rule.terms.action.uncertain == read


def test_an_unknown_way_with_uncertain_mails_is_told() -> None:
    reading = parse_document(MINIMAL.replace("template: t", "template: t, uncertain: retry"))
    assert reading.errors == ["action.email.uncertain: 'retry' is not one of hold, retry_once"]


def test_what_is_taken_but_does_nothing_yet_is_a_warning() -> None:
    text = MINIMAL.replace("template: t", "template: t, coupon: winback-10") + "throttle: {priority: 10}\n"
    reading = parse_document(text)
    assert reading.rule is not None
    assert reading.rule.terms.priority == 10
    assert reading.rule.terms.action.coupon == "winback-10"
    assert reading.warnings == [
        "throttle.priority: caps are first come, first served, a priority changes nothing yet",
    ]


def test_names_of_events_are_written_as_the_site_likes() -> None:
    when = {
        "all": [
            {"event": "Order Completed", "since": "Product Added"},
            {"elapsed": "1h", "since": "Checkout Started"},
        ]
    }
    reading = with_when(when)
    assert reading.rule is not None
    assert reading.rule.concerns.names == {"purchased", "added_to_cart", "checkout_started"}


def test_equal_conditions_are_equal_texts() -> None:
    one = read(MINIMAL.replace("{event: a}", "{event: a, count: {gte: 2, lt: 5}}  # often"))
    other = read(MINIMAL.replace("{event: a}", '{"count": {"lt": 5, "gte": 2}, "event": "a"}'))
    different = read(MINIMAL.replace("{event: a}", "{event: a, count: {gte: 2.5, lt: 5}}"))
    assert one.condition == other.condition != different.condition


def test_every_error_is_told_at_once() -> None:
    text = "id: Cart\nsttus: live\nwhen: {event: a, wihtin: 1h}\nreentry: often\naction: {email: {tempalte: t}}\n"
    assert parse_document(text).errors == [
        "sttus: is not known here, did you mean status?",
        "id: 'Cart' is not 1 to 64 of a-z, 0-9 and -",
        "when.wihtin: is not known here, did you mean within?",
        "reentry: 'often' is not a duration, try 30m",
        "action.email.tempalte: is not known here, did you mean template?",
        "action.email.template: is missing, such as template: cart-reminder",
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("id: r\n", ""), "id: is missing, such as id: cart-abandonment"),
        (("id: r", "id: cart_abandonment"), "id: 'cart_abandonment' is not 1 to 64 of a-z, 0-9 and -"),
        (("id: r", "id: " + "x" * 65), "id: 'x* is not 1 to 64 of a-z, 0-9 and -"),
        (("id: r", "id: 5"), "id: 5 is not 1 to 64 of a-z, 0-9 and -"),
        (("id: r", "id: r\nname: [x]"), "name: a list is not 1 to 200 characters"),
        (("id: r", "id: r\nstatus: on"), "status: 'on' is not one of draft, test, live, paused"),
        (("when: {event: a}\n", ""), "when: is missing, such as when: {event: added_to_cart}"),
        (("when: {event: a}", "when: a"), "when: 'a' is not a mapping such as {event: added_to_cart, within: 24h}"),
        (("id: r", "id: r\nreentry: 30x"), "reentry: '30x' is not a duration, try 30m"),
        (("id: r", "id: r\nexpires: 0s"), "expires: '0s' is too short, try 30m"),
        (("id: r", "id: r\nverify: maybe"), "verify: 'maybe' is neither true nor false"),
        (("id: r", "id: r\nholdout: 5"), "holdout: 5 is not a share, try 5%"),
        (("id: r", "id: r\nholdout: lots%"), "holdout: 'lots%' is not a share, try 5%"),
        (("id: r", "id: r\nholdout: 101%"), "holdout: '101%' is not a share from 0% to 100%"),
        (("id: r", "id: r\nholdout: nan%"), "holdout: 'nan%' is not a share, try 5%"),
        (("id: r", "id: r\nthrottle: nudge"), "throttle: 'nudge' is not a mapping such as {category: nudge}"),
        (("id: r", "id: r\nthrottle: {categry: a}"), "throttle.categry: is not known here, did you mean category?"),
        (
            ("id: r", "id: r\nthrottle: {category: a b}"),
            "throttle.category: 'a b' is not 1 to 64 letters, digits, _ or -",
        ),
        (
            ("id: r", "id: r\nthrottle: {priority: high}"),
            "throttle.priority: 'high' is not a whole number from -1000 to 1000",
        ),
        (
            ("action: {email: {template: t}}", ""),
            "action: is missing, such as action: {email: {template: cart-reminder}}",
        ),
        (
            ("{email: {template: t}}", "mail"),
            "action: 'mail' is not a mapping such as {email: {template: cart-reminder}}",
        ),
        (
            ("{email: {template: t}}", "{email: t}"),
            "action.email: 't' is not a mapping such as {template: cart-reminder}",
        ),
        (("{template: t}", "{template: ../t}"), "action.email.template: '../t' is not 1 to 64 letters, digits, _ or -"),
        (("{email: {template: t}}", "{sms: t}"), "action.sms: is not known here, known are email, webhook"),
        (
            ("{email: {template: t}}", "{}"),
            "action: names nothing to send, such as {email: {template: cart-reminder}}",
        ),
        (("{email: {template: t}}", "{webhook: {secret: s}}"), "action.webhook.url: is missing, such as *"),
        (
            ("{email: {template: t}}", "{webhook: {url: 'https://crm.example.com'}}"),
            "action.webhook.secret: is missing, such as secret: crm",
        ),
        (
            ("{email: {template: t}}", "{webhook: {url: 'ftp://crm.example.com', secret: s}}"),
            "action.webhook.url: 'ftp://crm.example.com' begins with 'ftp', "
            "expected one like https://hooks.example.com/beckon",
        ),
        (
            (
                "{email: {template: t}}",
                "{email: {template: t}, webhook: {url: 'https://u:p@crm.example.com', secret: s}}",
            ),
            "action.webhook.url: *names a user or a password; *",
        ),
        (
            ("{email: {template: t}}", "{webhook: {url: 'https://crm.example.com', secret: 'whsec_a+b/c='}}"),
            "action.webhook.secret: 'whsec_a+b/c=' is not 1 to 64 letters, digits, _ or -",
        ),
    ],
)
def test_errors_of_the_document(change: tuple[str, str], error: str) -> None:
    assert change[0] in MINIMAL
    assert_says(parse_document(MINIMAL.replace(*change)), error)


def assert_says(reading: Reading, error: str) -> None:
    """One of the errors is this; ``*`` stands for anything."""
    assert reading.rule is None
    pattern = re.escape(error).replace(r"\*", ".*")
    assert any(re.fullmatch(pattern, told) for told in reading.errors), reading.errors


def test_a_rule_may_send_a_webhook_a_mail_or_both() -> None:
    webhook = "webhook: {url: 'https://crm.example.com/hooks?a=1', secret: crm}"
    action = WebhookAction("https://crm.example.com/hooks?a=1", "crm")
    for written, terms in (
        (f"{{{webhook}}}", Terms(None, webhook=action)),
        (f"{{email: {{template: t}}, {webhook}}}", Terms(EmailAction("t"), webhook=action)),
    ):
        reading = parse_document(MINIMAL.replace("{email: {template: t}}", written))
        assert reading.rule is not None, reading.errors
        assert (reading.rule.terms, reading.warnings) == (terms, [])


def test_a_webhook_without_https_is_warned_of() -> None:
    written = "{webhook: {url: 'http://127.0.0.1:9000', secret: crm}}"
    reading = parse_document(MINIMAL.replace("{email: {template: t}}", written))
    assert reading.warnings == ["action.webhook.url: only hosts that WEBHOOK_ALLOW names are called without https"]


HEADS = "known conditions are all, any, not, event, elapsed, sequence, profile"


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ({"all": [{"event": "a"}, {"elapsed": "30x", "since": "a"}]}, "when.all[1].elapsed: '30x' is not a duration, try 30m"),
        ({}, f"when: is empty, {HEADS}"),
        ([], "when: an empty list is not a mapping such as {event: added_to_cart, within: 24h}"),
        ({"evnt": "a"}, f"when.evnt: is not a condition, did you mean event? ({HEADS})"),
        ({"sequence": [], "within": "1h"}, "when.sequence: an empty list is not a list such as [{event: product_viewed}, {event: added_to_cart}]"),
        ({"sequence": [{"event": "a"}]}, "when.within: is missing, such as within: 24h"),
        ({"sequence": [{"event": "a", "count": 2}], "within": "1h"}, "when.sequence[0].count: is not known here, known are event, where"),
        ({"sequence": ["a"], "within": "1h"}, "when.sequence[0]: 'a' is not a mapping such as {event: product_viewed}"),
        ({"sequence": [{"where": {"p": 1}}], "within": "1h"}, "when.sequence[0].event: is missing, such as event: product_viewed"),
        ({"score": "purchase_intent", "gte": 0.7}, f"when.score: is not a condition, {HEADS}"),
        ({"event": "a", "sum": "total", "same": "p"}, "when: has same and sum: only one of them can be counted"),
        ({"event": "a", "distinct": 5}, "when.distinct: 5 is not the name of a property"),
        (
            {"event": "a", "elapsed": "1h"},
            "when: has 2 conditions in one, event and elapsed: make them a list under all or any",
        ),
        ({"all": []}, "when.all: an empty list is not a list such as [{event: added_to_cart, within: 24h}, …]"),
        ({"any": {"event": "a"}}, "when.any: a mapping is not a list such as [{event: added_to_cart, within: 24h}, …]"),
        ({"not": None}, "when.not: nothing is not a mapping such as {event: added_to_cart, within: 24h}"),
        ({"event": "a/b"}, "when.event: 'a/b' is not the name of an event: 1 to 64 letters, digits, spaces and any of _.:-"),
        ({"event": 5}, "when.event: 5 is not the name of an event: *"),
        ({"event": "a", "within": "0s"}, "when.within: '0s' is too short, try 30m"),
        ({"event": "a", "since": True}, "when.since: true is not the name of an event: *"),
        ({"event": "a", "same": ["x"]}, "when.same: a list is not the name of a property"),
        ({"event": "a", "count": "many"}, "when.count: 'many' is not a number"),
        ({"event": "a", "count": {"exists": True}}, "when.count.exists: is not known here, known are eq, ne, gt, gte, lt, lte, in, not_in"),
        ({"event": "a", "count": {"gte": "x"}}, "when.count.gte: 'x' is not a number"),
        ({"event": "a", "count": {"in": [1, True]}}, "when.count.in[1]: true is not a number"),
        ({"event": "a", "where": "x"}, "when.where: 'x' is not a mapping such as {price: {gte: 500}}"),
        ({"event": "a", "where": {"p": {}}}, "when.where.p: is an empty test, known are eq, *, exists"),
        ({"event": "a", "where": {"p": {"gte": True}}}, "when.where.p.gte: true has no order, compare with a number or a text"),
        ({"event": "a", "where": {"p": {"greater": 5}}}, "when.where.p.greater: is not known here, *"),
        ({"event": "a", "where": {"p": {"gt": [5]}}}, "when.where.p.gt: a list cannot be compared with, try in: [5]"),
        ({"event": "a", "where": {"p": {"eq": {"x": 1}}}}, "when.where.p.eq: a mapping cannot be compared with"),
        ({"event": "a", "where": {"p": ["x", "y"]}}, "when.where.p: a list cannot be compared with, try in: [x, y]"),
        ({"event": "a", "where": {"p": [[]]}}, "when.where.p: a list cannot be compared with, try in: […]"),
        ({"event": "a", "where": {"p": None}}, "when.where.p: nothing cannot be compared with, try exists: false"),
        ({"event": "a", "where": {"p": {"in": []}}}, "when.where.p.in: an empty list is not a list such as [DE, AT]"),
        ({"event": "a", "where": {"p": {"in": "DE"}}}, "when.where.p.in: 'DE' is not a list such as [DE, AT]"),
        ({"event": "a", "where": {"p": {"exists": "yes"}}}, "when.where.p.exists: 'yes' is neither true nor false"),
        ({"event": "a", "where": {"p": {"starts_with": 5}}}, "when.where.p.starts_with: 5 is not a text"),
        ({"elapsed": "30m"}, "when.since: is missing, such as {elapsed: 30m, since: added_to_cart}"),
        ({"elapsed": "30m", "since": "a", "within": "1h"}, "when.within: is not known here, known are elapsed, since, where"),
        ({"profile": "country"}, "when: has no test, add one such as in: [DE, AT] or exists: true"),
        ({"profile": "", "exists": True}, "when.profile: '' is not the name of an attribute"),
        ({"profile": "a", "lke": "x"}, "when.lke: is not known here, *"),
    ],
)  # fmt: skip
def test_errors_of_the_condition(when: Any, error: str) -> None:
    assert_says(with_when(when), error)


@pytest.mark.parametrize("shape", [lambda inner: {"not": inner}, lambda inner: {"all": [{"event": "b"}, inner]}])
def test_conditions_nest_deep_but_not_without_end(shape: Any) -> None:
    when: Any = {"event": "a"}
    for _ in range(40):
        when = shape(when)
    assert with_when(when).rule is not None
    for _ in range(70):
        when = shape(when)
    assert_says(with_when(when), "when.*: nested deeper than 100 levels")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("- a", "a rule is a mapping with id, name, status, when, *, action, this is a list"),
        ("", "a rule is a mapping with *, this is nothing"),
        ("id: [", "line 1, column 6: *"),
    ],
)
def test_what_is_no_document_at_all(text: str, error: str) -> None:
    assert_says(parse_document(text), error)


def test_a_long_value_is_cut_in_the_error() -> None:
    (error,) = parse_document(MINIMAL.replace("id: r", "id: r\nreentry: " + "9" * 500)).errors
    assert len(error) < 700


LIVE = {"cart-abandonment", "high-value-interest", "win-back"}


@pytest.mark.parametrize("path", sorted((ROOT / "examples/rules").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_shipped_rules_can_be_used_as_they_are(path: Any) -> None:
    reading = parse_document(path.read_text(encoding="utf-8"))
    assert reading.rule is not None
    status = "live" if path.stem in LIVE else "draft"
    assert (reading.rule.id, reading.rule.status, reading.warnings) == (path.stem, status, [])
    assert reading.rule.reentry is not None
    assert reading.rule.reentry >= DAY
    assert reading.rule.terms.holdout == 0, "the demo counts on every mail"
    assert (ROOT / "examples/templates" / reading.rule.terms.action.template).is_dir()
