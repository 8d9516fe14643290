"""Label expressions: a small language, and no way to run code from a dataset file."""

import pytest

from trainer_module import expression


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tips > 0.2 * fare", True),
        ("tips / fare", 0.25),
        ("tips >= 2 and fare < 5", False),
        ("not (tips < 2) or fare == 1", True),
        ("-tips + 1", -1.5),
        ("payment == 'Cash'", True),
        ("payment != 'Cash'", False),
    ],
)
def test_values(text: str, expected: object) -> None:
    assert expression.evaluate(text, {"tips": 2.5, "fare": 10.0, "payment": "Cash"}) == expected


def test_columns_in_order_of_appearance_and_once() -> None:
    assert expression.columns_of("b + a * b > c") == ("b", "a", "c")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "tips.real",
        "a[0]",
        "lambda: 1",
        "1 < tips < 2",
        "tips ** 9",
        "f'{a}'",
    ],
)
def test_nothing_else_parses(text: str) -> None:
    with pytest.raises(ValueError, match="only column names, numbers, texts"):
        expression.columns_of(text)


def test_any_column_name_can_stand_between_backticks() -> None:
    values = {"unit price": 5, "a-b": 2, "class": "x", "年龄 (岁)": 40, "it's": 1}
    text = "`unit price` > 3 * `a-b` - `it's` - 1 and `class` == 'x`y`' or `年龄 (岁)` == 40"
    assert expression.columns_of(text) == ("unit price", "a-b", "it's", "class", "年龄 (岁)")
    assert expression.evaluate(text, values) is True
    assert expression.evaluate("`unit price` > 3 * `a-b`", values) is False
    with pytest.raises(ValueError, match="between backticks"):
        expression.columns_of("unit price > 3")


def test_a_syntax_error_is_named() -> None:
    with pytest.raises(ValueError, match="cannot be parsed"):
        expression.columns_of("tips >")
