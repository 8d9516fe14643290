"""The settings of a behaviour log, and how each mistake in them is answered."""

from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.running.inputs import read_data
from pipeline.workspace import workspace_of
from trainer_module.log import ITEMS

LOG = """
user = "who"
item = "what"
time = "when"
items = "things.csv"
"""
TEXT = """
name = "shop"
[source]
format = "csv"
path = "."
pattern = "{pattern}"
[label]
task = "{task}"
{log}
[features]
{feature}
[model]
kind = "{model}"
[training]
global_batch_size = 8
[gates.{gate}]
min = 0.1
"""


def load(
    directory: Path,
    *overrides: str,
    log: str = LOG,
    log_table: bool = True,
    feature: str = 'category = { kind = "vocabulary", size = 5 }',
    task: str = "retrieval",
    model: str = "two_tower",
    pattern: str = "log/*.csv",
    gate: str = "lift",
    more: str = "",
) -> config.Config:
    text = TEXT.format(
        log=f"[log]{log}" if log_table else "",
        feature=feature, task=task, model=model, pattern=pattern, gate=gate,
    )  # fmt: skip
    (directory / "shop.toml").write_text(text + more)
    return config.load(str(directory / "shop.toml"), "laptop", overrides)


def refusal(directory: Path, *overrides: str, **changed: str | bool) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, *overrides, **changed)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_log_s_columns_are_read_of_the_log_and_the_features_of_the_item_table(tmp_path: Path) -> None:
    log = LOG + 'where = "amount > 0 and kind == \'buy\'"\nexclude = { shelf = ["bags"] }\n'
    loaded = load(tmp_path, log=log, more='[evaluation]\nslices = ["brand"]\n')
    assert loaded.columns == {
        "who": "[log] user names", "what": "[log] item names", "when": "[log] time names",
        "amount": "[log] where reads", "kind": "[log] where reads",
    }  # fmt: skip
    assert loaded.log_reading is not None
    assert loaded.log_reading.items.columns == {
        "what": "[log] item names", "shelf": "[log] exclude names",
        "category": "[features] names", "brand": "[evaluation] slices names",
    }  # fmt: skip
    # A product's number 007 is that in the log and in the item table, and no time is read as a decimal.
    assert set(loaded.reading.codes) == {"who", "what"} and loaded.reading.times == ("when",)
    assert {"what", "category"} <= set(loaded.log_reading.items.codes)
    assert loaded.learned_splits == ["train", ITEMS]


def test_what_is_available_is_read_of_the_item_table(tmp_path: Path) -> None:
    loaded = load(tmp_path, log=LOG + "available = \"stock > 0 and state == 'sold'\"\n")
    assert loaded.log_reading is not None and "stock" in loaded.log_reading.items.exact
    assert {"stock", "state"} <= set(loaded.log_reading.items.columns) and "stock" not in loaded.columns
    assert loaded.log_reading.items.columns["stock"] == "[log] available reads"
    column = load(tmp_path, log=LOG + 'available = "`in stock`"\n').settings.log
    assert column and column.availability == "`in stock` != 0" and column.item_operands == ("in stock",)


def test_a_time_in_numbers_is_read_as_numbers(tmp_path: Path) -> None:
    loaded = load(tmp_path, log=LOG + 'time_unit = "ms"\n')
    # A timestamp where numbers were promised is to be answered with the right unit, not with its type.
    assert loaded.reading.times == ("when",) and "when" in loaded.reading.exact


def test_the_settings_of_a_log_survive_their_way_to_the_steps(tmp_path: Path) -> None:
    settings = load(tmp_path, log=LOG + 'exclude = { shelf = ["bags", "fuel"] }\nhistory = 9\n').settings
    again = type(settings).from_json(settings.to_json())
    assert again.log == settings.log and again.log is not None
    assert again.log.exclude == {"shelf": ("bags", "fuel")} and again.log.length == 18


def test_a_log_has_no_features_where_it_has_no_item_table(tmp_path: Path) -> None:
    log = LOG.replace('items = "things.csv"\n', "")
    assert load(tmp_path, log=log, feature="").settings.features == ()
    message = refusal(tmp_path, log=log)
    assert "[features] are those of the item table, and [log] names none" in message
    assert "give items the pattern of its files" in message


def test_the_shop_loads_and_reads_the_columns_that_it_names() -> None:
    loaded = config.load("shop", "laptop")
    assert loaded.columns == {
        "household_id": "[log] user names", "product_id": "[log] item names",
        "transaction_timestamp": "[log] time names", "quantity": "[log] where reads",
    }  # fmt: skip
    assert loaded.log_reading is not None and set(loaded.log_reading.items.columns) == {
        "product_id", "product_type", "department", "product_category", "brand", "manufacturer_id",
    }  # fmt: skip
    assert loaded.log_reading.log.exclude == {"department": ("FUEL", "COUPON")}
    assert set(loaded.gates) == {"lift"} and loaded.evaluation.columns == ("department",)


def test_a_task_with_gates_of_its_own_needs_no_table_of_them(tmp_path: Path) -> None:
    load(tmp_path)
    text = (tmp_path / "shop.toml").read_text().replace("[gates.lift]\nmin = 0.1\n", "")
    assert "gates" not in text
    (tmp_path / "shop.toml").write_text(text)
    assert config.load(str(tmp_path / "shop.toml"), "laptop").gates == {}


def test_a_ceiling_is_read_from_the_file_that_the_dataset_names(tmp_path: Path) -> None:
    """As the generator of logs writes it, for both questions, or with the numbers alone."""
    file = tmp_path / "ceiling.json"
    file.write_text('{"after_cut": {"recall_10": 0.4, "mrr": 0.2, "users": 9}, "last": {"recall_10": 0.3}}')
    named = "evaluation.ceiling='ceiling.json'"
    assert load(tmp_path, named).ceiling == {"recall_10": 0.4, "reciprocal_rank": 0.2}
    assert load(tmp_path, named, "log.split='leave_last_out'").ceiling == {"recall_10": 0.3}
    file.write_text('{"ndcg_10": 0.25}')
    assert load(tmp_path, named).ceiling == {"ndcg_10": 0.25} and load(tmp_path).ceiling == {}
    for content, reason in (
        ("{", "cannot be read"),
        ("[]", "has none of"),
        ('{"auc": 1}', "has none of ndcg_10, recall_10"),
    ):
        file.write_text(content)
        with pytest.raises(
            ConfigurationError, match=rf"\[evaluation\] ceiling is 'ceiling.json', which {reason}"
        ):
            _ = load(tmp_path, named).ceiling


def test_the_column_of_items_names_is_read_from_the_item_table(tmp_path: Path) -> None:
    loaded = load(tmp_path, "evaluation.item_name='title'")
    assert loaded.log_reading is not None
    assert loaded.log_reading.items.columns["title"] == "[evaluation] item_name names"
    message = refusal(
        tmp_path, "evaluation.item_name='title'", log=LOG.replace('items = "things.csv"', ""), feature=""
    )
    assert "[evaluation] item_name is of the item table: name its files with [log] items." in message


def test_a_recommender_s_task_needs_a_log(tmp_path: Path) -> None:
    message = refusal(tmp_path, log_table=False)
    assert message.endswith("[label] task 'retrieval' is learned from a behaviour log: add the table [log].")


def test_a_task_of_rows_is_not_learned_from_a_log(tmp_path: Path) -> None:
    message = refusal(tmp_path, "label.column='bought'", task="binary", gate="auc", model="perceptron")
    assert "[label] task 'binary' is learned from a table of rows: remove [log], or choose another task." in (
        message
    )


@pytest.mark.parametrize(
    ("overrides", "changed", "expected"),
    [
        ([], {"model": "perceptron"},
         "[model] kind is 'perceptron', which cannot learn the task 'retrieval': choose another kind, such as "
         "two_tower."),
        (["splits.by='who'"], {},
         "[splits] divides a log by 'who', which would put events into training that are later than those a model "
         "is judged on: leave it out, and the splits follow each other by 'when'."),
        (["splits.train='a/*.csv'", "splits.eval='b/*.csv'"], {}, "[splits] divides a log by files, which would"),
        (["splits.time='later'"], {}, "[splits] time is 'later', and [log] time 'when': name the same column."),
        (["log.split='leave_last_out'", "splits.time='when'"], {},
         '[log] split is "leave_last_out", which has no time and no test split: remove [splits].'),
        (["log.items='/data/things.csv'"], {},
         "[log] items is '/data/things.csv'; it must be a pattern below [source] path, such as 'products.csv'."),
        (["log.split='leave_last_out'", "splits.test=1"], {}, "which has no time and no test split"),
        (["splits.train=9"], {"pattern": "{SPAN}/*.csv"},
         "[source] pattern has spans, of which the newest is judged and those before in the window are learned from: "
         "remove [splits] and [log] split, or the placeholders."),
        (["log.split='leave_last_out'"], {"pattern": "{SPAN}/*.csv"}, "remove [splits] and [log] split"),
        (["window.spans=1"], {"pattern": "{SPAN}/*.csv"},
         "[window] spans is 1, and of a log's spans the newest is judged and those before are learned from: set it to 2"),
        ([], {"feature": 'item = { kind = "vocabulary", size = 5 }'},
         "[features] 'item' is what an example of a log calls its own: remove it, or rename the column."),
        ([], {"feature": 'what = { kind = "vocabulary", size = 5 }'},
         "[features] 'what' is what an example of a log calls its own"),
        ([], {"feature": 'a = { kind = "vocabulary", size = 5 }\nb = { kind = "vocabulary", share = "a" }'},
         "[features] 'b' has share, which items cannot: remove it, and the feature has a vocabulary of its own."),
        (["app.formats=['int8']"], {},
         "[app] formats has int8, and a recommender's arithmetic cannot be in 8 bits, only its weights: put tflite"),
        ([], {"more": '[metrics]\nf1 = "F1Score"\n'},
         "[metrics] and [evaluation] threshold are of rows: a log's rankings have their own."),
        (["evaluation.threshold=0.3"], {}, "[metrics] and [evaluation] threshold are of rows"),
        (["gates.auc.min=0.5"], {}, "[gates] for a retrieval label has no key 'auc'"),
        (["log.where='amount + 1'"], {},
         "[log] where is 'amount + 1'; it must be true or false of a row, such as 'quantity > 0'."),
        (["log.where='amount >'"], {}, "[log] where: expression 'amount >' cannot be parsed"),
        (["log.history=0"], {}, "[log] history is 0; it must be from 1 to 10,000."),
        (["log.history=10001"], {}, "[log] history is 10001; it must be from 1 to 10,000."),
        (["log.user='what'"], {}, "[log] user, item and time must be three columns."),
        (["log.time='who'"], {}, "[log] user, item and time must be three columns."),
        (["log.events={ column = 'what', weights = { buy = 1 } }"], {}, "[log] events.column must be another column than user"),
        (["log.events={ column = 'kind', weights = { buy = 1 }, target = ['buy', 'buy'] }"], {}, "target names 'buy' twice"),
        (["log.exclude={ shelf = ['bags', 'bags'] }"], {}, "[log] exclude.shelf names 'bags' twice: remove one."),
        (["log.where='2 > 1'"], {}, "[log] where is '2 > 1', which reads no column and is the same everywhere: remove it."),
        (["log.items=''", "log.exclude={ shelf = ['bags'] }"], {}, "exclude is of the item table: name its files with items."),
        (["log.items=''", "log.available='stock'"], {}, "available is of the item table: name its files with items."),
        (["log.available='stock + 1'"], {}, "[log] available is 'stock + 1'; it must be a column, or true or false of an item"),
        (["log.available='stock >'"], {}, "[log] available: expression 'stock >' cannot be parsed"),
        (["log.time_unit='days'"], {}, "[log] time_unit is 'days'"),
        (["log.same_time='any'"], {}, "[log] same_time is 'any'"),
        (["log.people='who'"], {}, "[log] has no key 'people'"),
        ([], {"log": '\nuser = "who"\nitem = "what"\n'}, "[log] lacks the required key 'time': add it."),
        (["model.dimensions=0"], {}, "dimensions is 0; it must be at least 1."),
        (["model.basket_exponent=1.5"], {}, "basket_exponent is 1.5; it must be from 0"),
    ],
)  # fmt: skip
def test_what_a_log_cannot_have_is_refused_with_the_reason_and_the_fix(
    tmp_path: Path, overrides: list[str], changed: dict[str, str], expected: str
) -> None:
    assert expected in refusal(tmp_path, *overrides, **changed)


def test_a_span_more_of_a_log_is_a_reason_to_train_again_and_one_alone_is_none_to_begin(
    tmp_path: Path,
) -> None:
    (tmp_path / "things.csv").write_text("what,category\n7,a\n")
    loaded = load(tmp_path, pattern="{SPAN}/*.csv")
    fingerprints = []
    for number in range(1, 4):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "log.csv").write_text(f"who,what,when\nu,7,2026-01-0{number}\n")
        if number == 1:
            with pytest.raises(ConfigurationError, match="Span 1 is the only one of the window"):
                read_data(loaded, workspace_of(str(tmp_path / "work"), "shop"), tmp_path)
            continue
        data = read_data(loaded, workspace_of(str(tmp_path / "work"), "shop"), tmp_path)
        assert data.window_end == str(number)
        fingerprints.append(data.fingerprint)
    assert len(set(fingerprints)) == 2
