"""Bring your own table: other columns, another task, bad data; a dataset file and no Python."""

import csv
import io

import numpy as np
import tensorflow as tf

from .conftest import Project

DATASET = """
name = "{name}"
[source]
format = "csv"
path = "../data/{name}"
[label]
{label}
[features]
"unit price" = {{ kind = "numeric" }}
quantity = {{ kind = "bucketized", buckets = 4 }}
category = {{ kind = "vocabulary", size = 20 }}
user = {{ kind = "hashed", buckets = 50 }}
hour = {{ kind = "categorical", size = 24 }}
[model]
hidden_units = [16]
[training]
epochs = 8
batch_size_per_replica = 32
learning_rate = 0.01
[evaluation]
slices = ["category"]
[gates.{gate}]
{bound}
"""
CLASSES = 'task = "multiclass"\ncolumn = "action"'


def table(rows: int, *, price: str = "{:.2f}") -> str:
    """A shop's behaviour log, with holes, quotes and letters of three scripts."""
    random = np.random.default_rng(7)
    lines = ["user,hour,category,unit price,quantity,action\n"]
    for _ in range(rows):
        category = random.choice(["книги", "手机", '"toys, games"', "", "garden"])
        action = "purchase" if category == "手机" else "view" if random.random() < 0.9 else "cart"
        quantity = "" if random.random() < 0.2 else str(random.integers(1, 9))
        money = price.format(random.gamma(2, 20))
        lines.append(f"u{random.integers(99)},{random.integers(24)},{category},{money},{quantity},{action}\n")
    return "".join(lines)


def test_another_table_with_three_classes_runs_without_any_python(project: Project) -> None:
    text = DATASET.format(name="shop", label=CLASSES, gate="sparse_categorical_accuracy", bound="min = 0.7")
    text += "\n[splits]\ntrain = 4\neval = 2\ntest = 1\n"
    project.add_dataset("shop", text, table(1750))
    run = project.run("shop")
    assert run.status == 0, run.error
    assert run.summary["blessed"] is True
    assert run.summary["metrics"]["sparse_categorical_accuracy"] > 0.85
    # The test split takes rows from both others, and nothing learns from it or judges by it.
    assert 1400 < sum(run.summary["examples"].values()) < 1600
    assert run.summary["metrics"]["example_count"] == run.summary["examples"]["eval"]
    model = tf.saved_model.load(run.summary["pushed_model"])
    answer = model.signatures["predict_raw"](
        **{
            "escaped_unit_20_price": tf.constant([9.5, float("nan")]),
            # Whole numbers, of which single precision would lose digits.
            "quantity": tf.constant([2.0, float("nan")], tf.float64),
            "category": tf.constant(["手机", "never seen"]),
            "user": tf.constant(["u1", ""]),
            "hour": tf.constant([12, -(2**63)], tf.int64),
        }
    )["predictions"]
    assert answer.shape == (2, 3) and np.allclose(answer.numpy().sum(axis=1), 1, atol=1e-5)


def test_a_regression_runs_too_and_rows_without_a_label_are_left_out_and_said(project: Project) -> None:
    label = 'task = "regression"\nexpression = "quantity * 1"'
    # How much is bought has nothing to do with the rest: no model of this table beats the mean.
    bound = "max = 5.0\n[gates.r2]\nmin = -1.0"
    text = DATASET.format(name="spend", label=label, gate="mean_absolute_error", bound=bound)
    text = text.replace('quantity = { kind = "bucketized", buckets = 4 }\n', "")
    rows = table(800)
    project.add_dataset("spend", text, rows)
    run = project.run("spend")
    assert run.status == 0, run.error
    assert run.summary["blessed"] is True and 0 < run.summary["metrics"]["mean_absolute_error"] < 5
    labelled = sum(bool(row["quantity"]) for row in csv.DictReader(io.StringIO(rows)))
    assert labelled < 700 and sum(run.summary["examples"].values()) == labelled
    assert run.summary["metrics"]["example_count"] == run.summary["examples"]["eval"]
    (note,) = [note for note in run.summary["notes"] if "train split have none and were left out" in note]
    assert note.split(" ")[0] in run.output


def test_a_column_of_the_wrong_type_is_stopped_by_the_data_gate(
    project: Project, taxi_rows: list[str]
) -> None:
    text = (project.root / "datasets" / "small.toml").read_text().replace("small", "broken")
    text = text.replace("broken.schema", "taxi.schema")
    # No feature reads it, and the reviewed schema knows it.
    place = taxi_rows[0].split(",").index("trip_start_timestamp")
    cells = [line.split(",") for line in taxi_rows[:500]]
    for row in cells[1:]:
        row[place] = f"N/A {row[place]}"
    project.add_dataset("broken", text, "".join(",".join(row) for row in cells))
    run = project.run("broken")
    assert run.status == 1
    assert run.states["DataGate"] == "failed" and run.states["Transform"] == "skipped"
    assert "trip_start_timestamp" in run.error and "split" in run.error and "make schema" in run.error
    assert run.summary["status"] == "failed" and run.summary["pushed_model"] is None


def test_a_text_among_the_numbers_of_a_feature_is_named_with_its_line_before_statistics(
    project: Project, taxi_rows: list[str]
) -> None:
    text = (project.root / "datasets" / "small.toml").read_text().replace("small", "texts")
    text = text.replace("texts.schema", "taxi.schema")
    rows = [
        line.replace(",", ",N/A ", 1) if number == 7 else line for number, line in enumerate(taxi_rows[:500])
    ]
    project.add_dataset("texts", text, "".join(rows))
    run = project.run("texts")
    assert run.status == 1
    assert run.states["ExampleGen"] == "failed" and run.states["StatisticsGen"] == "skipped"
    assert "'fare' is numeric" in run.error and ", line 8: " in run.error and "null_values" in run.error


def test_an_empty_split_stops_the_run_in_one_sentence(project: Project) -> None:
    text = DATASET.format(name="tiny", label=CLASSES, gate="sparse_categorical_accuracy", bound="min = 0.7")
    project.add_dataset("tiny", text, table(1))
    run = project.run("tiny")
    assert run.status == 1
    assert run.states["ExampleGen"] == "failed"
    assert "split is empty: of 1 rows none fell into it by hash; bring more rows" in run.error
