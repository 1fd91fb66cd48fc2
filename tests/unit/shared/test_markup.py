from typing import Any

import pytest

from shared.markup import LONGEST, MarkupError, load


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a: 1\nb: [x, 2.5, true, null, ~]", {"a": 1, "b": ["x", 2.5, True, None, None]}),
        ('{"a": {"b": [1, -2.5e3, "c"]}}', {"a": {"b": [1, -2500.0, "c"]}}),
        ("{a: {b: 'it''s', c: \"x\\ty\"}}", {"a": {"b": "it's", "c": "x\ty"}}),
        ("a: |\n  text\n  more\n", {"a": "text\nmore\n"}),
        ("[NO, on, yes, off, y]", ["NO", "on", "yes", "off", "y"]),
        ("[21:00, 2026-01-31, 1_000, 0x1F, .inf, .nan]", ["21:00", "2026-01-31", "1_000", "0x1F", ".inf", ".nan"]),
        ("[010, +5, -0, .5, 5., 1e3]", [10, 5, 0, 0.5, 5.0, 1000.0]),
        ("'1': '2'", {"1": "2"}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        ("", None),
    ],
)
def test_plain_values(text: str, values: Any) -> None:
    assert load(text) == values


def test_a_boolean_is_not_a_number() -> None:
    assert [type(value) for value in load("[true, 1, 1.0]")] == [bool, int, float]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [1, 2", "line 1, column 9: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: 'a' is given twice"),
        ('{"a": {"b": 1, "b": 2}}', "'b' is given twice"),
        ("a: &x 1\nb: *x", "line 2, column 4: an alias (*name) is not possible here, write it out"),
        ("a: !!python/object:os.system x", "a tag (tag:yaml.org,2002:python/object:os.system) is not possible here"),
        ("1: x", "line 1, column 1: the key 1 is not a text, put it in quotes"),
        ("? [a]\n: b", "line 1, column 3: the key ['a'] is not a text, put it in quotes"),
        ("a: 1\n---\na: 2", "several documents (---) in one text, put them one at a time"),
        ('{"a": NaN}', "NaN is not a number that can be compared"),
        ('{"a": "\\ud800"}', "a text holds half a character (a surrogate without its other half)"),
        ("a: \x00", "unacceptable character"),
        ("[" * 5_000, "nested too deep"),
        ('{"a":' * 10_000, "nested too deep"),
        ('{"a": 1' + "0" * 5_000 + "}", "a number is too long"),
        ("x" * (LONGEST + 1), f"the document has {LONGEST + 1} characters, at most {LONGEST}"),
    ],
)
def test_what_cannot_be_read(text: str, complaint: str) -> None:
    with pytest.raises(MarkupError) as caught:
        load(text)
    assert complaint in str(caught.value)
