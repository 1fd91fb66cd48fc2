from services.state.evaluator import split


def test_cases_are_split_where_they_no_longer_fit() -> None:
    assert split([b"aa", b"bb", b"c"], most=4) == [[b"aa", b"bb"], [b"c"]]


def test_a_case_larger_than_a_request_goes_alone() -> None:
    assert split([b"a", b"bbbbbb", b"c"], most=4) == [[b"a"], [b"bbbbbb"], [b"c"]]


def test_nothing_is_no_request() -> None:
    assert split([]) == []
