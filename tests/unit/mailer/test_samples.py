"""What a template is shown with where no person is named."""

import pytest

from services.mailer.samples import SampleError, sample
from tests.support.templates import SHIPPED, SHOP, shipped


def test_somebody_made_up_is_enough_for_every_shipped_template() -> None:
    variables, reads = sample("", SHOP)
    for name in SHIPPED:
        mail = shipped(name).render(variables, reads)
        assert "Ada" in mail.subject
        assert "Stoneware mug" in mail.text or "Your order A-1042" in mail.text


def test_what_the_sample_says_comes_first() -> None:
    text = "person: {first_name: Dana, locale: he}\ncart: [{name: Tray, price: 12, currency: ILS}]\ncoupon: null"
    variables, reads = sample(text, SHOP)
    assert (variables["person"]["first_name"], variables["dir"], reads.locale) == ("Dana", "rtl", "he")
    assert [product["name"] for product in variables["cart"]] == ["Tray"]
    assert variables["coupon"] is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "cannot be read as YAML: "),
        ("- a", "expected variables, like 'person: {first_name: Zoë}'"),
        ("persn: {}", "'persn' is no variable; there are cart, coupon, events, order, person,"),
        ("shop: {name: x}", "'shop' is no variable"),
        ("person: Ada", "person: expected a mapping, as a profile is"),
    ],
)
def test_a_sample_that_cannot_be_used_says_why(text: str, says: str) -> None:
    with pytest.raises(SampleError) as caught:
        sample(text, SHOP)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sample_is_bounded() -> None:
    doubled = "".join(f"  l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    variables, _ = sample("person:\n  l0: &l0 [x]\n" + doubled, SHOP)
    assert len(str(variables["person"])) < 300_000
