"""The settings of a label with several heads, and what gates may call its metrics."""

from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline import config

TEXT = """
name = "shop"
[source]
format = "csv"
path = "."
[label]
task = "multilabel"
{label}
[features]
price = {{ kind = "numeric" }}
[training]
global_batch_size = 8
[gates.{gate}]
min = 0.5
"""
HEADS = """
[label.heads.click]
column = "clicked"
[label.heads.buy]
column = "event"
positive = "buy"
"""


def load(directory: Path, label: str = HEADS, gate: str = "mean_auc", more: str = "") -> config.Config:
    (directory / "shop.toml").write_text(TEXT.format(label=label, gate=gate) + more)
    return config.load(str(directory / "shop.toml"), "laptop")


def test_heads_are_read_in_the_order_of_their_names_and_their_columns_are_named(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    label = loaded.settings.label
    assert list(label.parts) == ["buy", "click"] and label.columns == ("event", "clicked")
    assert label.parts["buy"].positive == "buy" and label.parts["buy"].task == "binary"
    assert {"event", "clicked"} <= set(loaded.columns) and {"event", "clicked"} <= set(loaded.reading.exact)
    assert not label.is_weighted and label.has_weights
    assert label.rules.main_metric == "mean_auc"
    assert label.rules.outputs(None) == 2


def test_gates_are_of_a_head_or_of_all_together_and_own_metrics_of_every_head(tmp_path: Path) -> None:
    more = '[metrics]\nf1 = "F1Score"\n[gates.buy_f1]\nmin = 0.1\n'
    assert set(load(tmp_path, gate="click_recall", more=more).gates) == {"click_recall", "buy_f1"}
    for gate in ("auc", "cart_auc", "mean_recall"):
        with pytest.raises(
            ConfigurationError, match=rf"\[gates\] for a multilabel label has no key '{gate}'"
        ):
            load(tmp_path, gate=gate)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("", r"needs two heads or more, .* for one, set task = \"binary\""),
        ('[label.heads.click]\ncolumn = "clicked"\n', "needs two heads or more"),
        ('column = "clicked"\n' + HEADS, r"has column in each head: move it to \[label\.heads\.<name>\]"),
        ('class_weights = "balanced"\n' + HEADS, "has class_weights in each head"),
        (HEADS + "[label.heads.cart]\n", r"\[label\] heads\.cart needs either 'column' or 'expression'"),
        (HEADS + '[label.heads."add to cart"]\ncolumn = "c"\n', "heads has 'add to cart', .* use letters"),
        (HEADS + '[label.heads.label]\ncolumn = "c"\n', "heads has 'label', which names something else"),
        (HEADS + "loss_weight = -1\n", r"heads\.buy loss_weight is -1; it must be above 0"),
        (HEADS + "weight = 'w'\n", r"heads\.buy has no key 'weight'"),
        (HEADS + '[label.heads.price]\ncolumn = "price"\n', "'price' is the label column itself"),
        (
            HEADS + '[label.heads.mean]\ncolumn = "c"\n',
            "two metrics would be called 'mean_auc': rename a head",
        ),
    ],
)
def test_each_mistake_is_answered_in_one_sentence(tmp_path: Path, label: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(tmp_path, label)


def test_heads_are_of_multilabel_labels_alone(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(
        TEXT.format(label='column = "clicked"' + HEADS, gate="auc").replace("multilabel", "binary")
    )
    with pytest.raises(
        ConfigurationError, match=r'heads are of multilabel labels, .* set task = "multilabel"'
    ):
        config.load(str(tmp_path / "shop.toml"), "laptop")
