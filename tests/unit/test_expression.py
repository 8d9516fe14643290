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


@pytest.mark.parametrize(
    "text", ["fare / 0 > 1", "fare / -0.0 > 1", "fare > 1 / (2 - 2)", "fare / (0 * 5) > 1"]
)
def test_a_division_by_a_zero_that_is_known_beforehand_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="divides by zero in"):
        expression.columns_of(text)
    assert expression.columns_of(text.replace("0", "3").replace("2 - 2", "2 - 1")) == ("fare",)


@pytest.mark.parametrize(
    "text", ["fare > 4e9 * 4e9", "fare > 4000000000 * 4000000000", "fare > 1 - 1e300 / 1e-300"]
)
def test_a_constant_beyond_64_bits_is_refused_where_it_is_calculated_too(text: str) -> None:
    with pytest.raises(ValueError, match="a number that is too large"):
        expression.columns_of(text)
