"""The card of a pushed model says what it is for and how good it is, and cannot be broken by what it quotes."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from components.evaluator.explanation import Explanation, Importance
from components.evaluator.verdict import Gate, SliceMetrics, Verdict
from components.pusher.card import MARKDOWN, PAGE, Made, render
from components.pusher.settings import Card
from trainer_module.settings import Settings

SETTINGS = Settings.from_json(
    {
        "features": {"fare": {"kind": "numeric"}, "a | b": {"kind": "hashed", "buckets": 9}},
        "label": {"task": "binary", "expression": "tips > 0.2 * fare"},
        "training": {"global_batch_size": 8},
    }
)
VERDICT = Verdict(
    True,
    main_metric="auc",
    more_is_better=True,
    slices=(
        SliceMetrics((), {"auc": 0.9, "example_count": 5000}, {"auc": 0.8}, {"auc": (0.88, 0.92)}),
        SliceMetrics((("pay", "cash"),), {"auc": 0.7, "example_count": 3000}, {}, {"auc": (0.6, 0.75)}),
        SliceMetrics(
            (("pay", "<b>card</b>|"),), {"auc": 0.95, "example_count": 2000}, {}, {"auc": (0.9, 0.97)}
        ),
        SliceMetrics((("pay", "none"),), {"auc": 0.0, "example_count": 1}),
    ),
    gates=(Gate("auc", (), 0.75, value=0.9, passed=True),),
)
MADE = Made(
    "taxi",
    SETTINGS,
    VERDICT,
    Explanation("log loss", 1000, 0.2, (Importance("fare", 0.5, 0.4, 0.6),), ()),
    ("2026-01-01", "2026-01-02", "2026-01-03"),
    "c0de",
    datetime(2026, 1, 4, 3, 30, tzinfo=timezone.utc),
)


def test_the_card_has_what_people_say_and_what_the_run_knows() -> None:
    stated = Card(
        intended_use="Tips.", out_of_scope="Fares.", limits="Chicago only.", owner="us", license="MIT"
    )
    card = render(stated, MADE)[MARKDOWN]
    titles = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert titles == [
        "Intended use", "Not intended for", "Model", "Data", "Metrics on the eval split", "Gates that it passed",
        "Slices", "What it needs", "Limits",
    ]  # fmt: skip
    for line in (
        "# Model card: taxi", "Tips.", "| owner | us |", "| label | tips > 0.2 * fare |", "| code | c0de |",
        "| spans | 2026-01-01 to 2026-01-03, 3 of them |", "| rows judged | 5,000 |",
        "| auc | 0.9000 | 0.8800 to 0.9200 | 0.8000 |", "| auc | the whole eval split | at least 0.75 | 0.9000 |",
        "| fare | 0.5000 |", "Chicago only.", "It is worst on pay = cash: auc 0.7000 (0.6000 to 0.7500).",
        "Of 1 slice(s) there are too few rows to say how good it is.", "| pushed | 2026-01-04T03:30:00+00:00 |",
    ):  # fmt: skip
        assert line in card.splitlines(), line


def test_what_nobody_said_is_left_out() -> None:
    card = render(Card(), Made("taxi", None, None))[MARKDOWN]
    titles = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert titles == ["Model", "Limits"] and "Nothing was evaluated." in card


def test_values_of_the_data_are_no_markup() -> None:
    card = render(Card(limits="<script>alert(1)</script>"), MADE)
    assert "<script>" not in card[PAGE] and "<b>" not in card[PAGE]
    assert "| pay = &lt;b>card&lt;/b>\\| | 2,000 |" in card[MARKDOWN]
    assert "a \\| b" in card[MARKDOWN]
    # Each row of a table has as many cells as its head.
    for section in card[MARKDOWN].split("## ")[1:]:
        rows = [line.replace("\\|", "") for line in section.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1, section


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="limits has 4,001 characters; it must have at most 4,000"):
        Card(limits="x" * 4001)


def test_a_regression_is_worst_where_its_error_is_largest() -> None:
    worse = replace(VERDICT, more_is_better=False)
    assert (
        "It is worst on pay = <b>card</b>|: auc 0.9500"
        in render(Card(), replace(MADE, verdict=worse))[MARKDOWN]
    )
