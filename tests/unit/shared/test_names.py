import pytest

from shared.names import SYNONYMS, normalise, valid


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("product_viewed", "product_viewed"),
        ("Product Viewed", "product_viewed"),
        ("  Product   Viewed ", "product_viewed"),
        ("Order Completed", "purchased"),
        ("Product Added", "added_to_cart"),
        ("Product Removed", "removed_from_cart"),
        ("Checkout Started", "checkout_started"),
        ("add_to_cart", "added_to_cart"),
        ("cart_abandonment", "cart_abandonment"),
        ("My.Event:v2-x", "my.event:v2-x"),
    ],
)
def test_names_are_normalised(written: str, meant: str) -> None:
    assert normalise(written) == meant


def test_synonyms_are_written_as_normalised_and_lead_no_further() -> None:
    for other, own in SYNONYMS.items():
        assert "_".join(other.lower().split()) == other
        assert normalise(own) == own


@pytest.mark.parametrize("name", ["a", "A b_c.d:e-f", "x" * 64])
def test_valid_names(name: str) -> None:
    assert valid(name)


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "naïve", "a/b", "a\nb", "tab\tbed", "a\n"])
def test_names_that_are_refused(name: str) -> None:
    assert not valid(name)
