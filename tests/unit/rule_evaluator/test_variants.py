"""A/B: who gets which mail, and how variants are written."""

from collections import Counter

import pytest

from services.rule_evaluator.document import Rule, parse_document
from services.rule_evaluator.rules import LiveRule
from shared.clock import MINUTE
from shared.messages import EmailAction
from tests.unit.rule_evaluator.shopper import Shopper

PEOPLE = [f"person-{number}" for number in range(20_000)]


def text(variants: str, more: str = "") -> str:
    return f"id: r\nstatus: live\nwhen: {{event: a}}\n{more}action: {{email: {{variants: {variants}}}}}\n"


def read(variants: str, more: str = "") -> Rule:
    reading = parse_document(text(variants, more))
    assert reading.rule is not None, reading.errors
    return reading.rule


def assigned(rule: Rule) -> dict[str, str]:
    return {person: rule.terms_for(person).variant for person in PEOPLE}


TWO = "[{name: plain, template: t}, {name: discount, template: u, coupon: winback-10, weight: 3}]"


def test_each_person_gets_one_by_weight_and_always_the_same() -> None:
    rule = read(TWO)
    by_person = assigned(rule)
    assert by_person == assigned(read(TWO))
    shares = Counter(by_person.values())
    assert shares["plain"] / len(PEOPLE) == pytest.approx(0.25, abs=0.01)  # three standard deviations
    someone = next(person for person, variant in by_person.items() if variant == "discount")
    assert rule.terms_for(someone).action == EmailAction("u", "winback-10")


def test_a_change_of_weights_moves_only_those_at_the_edge() -> None:
    before, after = assigned(read(TWO)), assigned(read(TWO.replace("weight: 3", "weight: 4")))
    moved = {(before[person], after[person]) for person in PEOPLE if before[person] != after[person]}
    assert moved == {("plain", "discount")}


def test_another_rule_mixes_people_anew() -> None:
    other = parse_document(text(TWO).replace("id: r", "id: s")).rule
    assert other is not None
    both = Counter(
        (one == two) for one, two in zip(assigned(read(TWO)).values(), assigned(other).values(), strict=True)
    )
    assert both[True] / len(PEOPLE) == pytest.approx(0.25**2 + 0.75**2, abs=0.015)


def test_a_rule_without_variants_names_none() -> None:
    rule = parse_document("id: r\nwhen: {event: a}\naction: {email: {template: t}}\n").rule
    assert rule is not None
    assert rule.terms_for("ada") == rule.terms
    assert rule.terms.variant == ""


def test_a_firing_carries_the_persons_own() -> None:
    mine = read(TWO)
    shopper = Shopper(LiveRule(mine, 1, 1, 0))
    shopper.does("a", at=MINUTE)
    (fire,) = shopper.fires
    assert fire.terms == mine.terms_for("ada")
    assert fire.terms.variant


@pytest.mark.parametrize(
    ("variants", "error"),
    [
        ("[]", "action.email.variants: 0 of them; there are 2 to 10 variants"),
        ("[{name: a, template: t}]", "action.email.variants: 1 of them; there are 2 to 10 variants"),
        ("both", "action.email.variants: 'both' is not a list such as [{name: plain"),
        ("[{name: a, template: t}, {name: a, template: u}]", "variants[1].name: 'a' is the name of another variant, too"),
        ("[{name: a, template: t}, {template: u}]", "variants[1].name: is missing, such as name: plain"),
        ("[{name: a, template: t}, {name: b}]", "variants[1].template: is missing, such as template: cart-reminder"),
        ("[{name: a, template: t, weight: 0}, {name: b, template: u}]", "weight: 0 is not a whole number from 1 to 1000"),
        ("[{name: a, tmplate: t}, {name: b, template: u}]", "variants[0].tmplate: is not known here, did you mean template?"),
        (TWO + ", template: t", "action.email.template: is not known here, known are variants"),
    ],
)  # fmt: skip
def test_what_is_wrong(variants: str, error: str) -> None:
    assert any(error in told for told in parse_document(text(variants)).errors)
