"""The data gate on real statistics of small tables: what it lets pass, and what it says of the rest."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types import standard_artifacts

from components.data_gate import statistics_history
from components.data_gate.component import DataGate
from components.data_gate.drift import measure
from components.data_gate.label_statistics import label_names, label_statistics
from components.data_gate.merged_statistics import (
    Statistics,
    common_of,
    counts_of,
    merge_statistics,
    name_of,
    rows_with_value,
)
from components.data_gate.report import REPORT, DataGateError
from components.data_gate.serving_logs import ServingLogsError
from components.data_gate.settings import Drift
from components.example_gen.span_conversion import WINDOW
from pipeline.schema import keep_comparators
from trainer_module.label import Label

SCHEMA = """
feature { name: "fare" type: FLOAT
  drift_comparator { jensen_shannon_divergence { threshold: 0.05 } }
  skew_comparator { jensen_shannon_divergence { threshold: 0.05 } } }
feature { name: "tips" type: FLOAT }
feature { name: "payment" type: BYTES
  drift_comparator { infinity_norm { threshold: 0.1 } }
  skew_comparator { infinity_norm { threshold: 0.1 } } }
feature { name: "zone" type: BYTES }
"""
COLUMNS = {
    "single": {},
    "lists": {},
    "vectors": {},
    "texts": {},
    "features": {
        "fare": ("numeric", ["integer", "decimal"]),
        "payment": ("vocabulary", ["text", "integer"]),
        "zone": ("vocabulary", ["text", "integer"]),
    },
    "label": {"task": "binary", "expression": "tips > 0.2 * fare"},
}
LIMITS = {"action": "fail", "window": 3, "label_shift": 0.1, "missing_shift": 0.1}


def trips(seed: int, rows: int = 900) -> pd.DataFrame:
    """A heavy-tailed number, two categories, one of them mostly missing, a label rate of about 0.3."""
    random = np.random.default_rng(seed)
    fare = np.round(np.exp(random.normal(2, 0.7, rows)) * 4) / 4 + 3
    return pd.DataFrame(
        {
            "fare": fare,
            "tips": fare * random.choice([0.0, 0.1, 0.3], rows, p=[0.5, 0.2, 0.3]),
            "payment": random.choice(["Cash", "Card", "Dispute"], rows, p=[0.6, 0.39, 0.01]),
            "zone": np.where(random.random(rows) < 0.3, random.choice(["n", "s"], rows), None),
        }
    )


def example(row: dict[str, Any]) -> bytes:
    features = {}
    for name, value in row.items():
        if value is None or value != value:
            continue
        if isinstance(value, str):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        else:
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write(table: pd.DataFrame, path: Path, compression: str = "GZIP") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in table.to_dict("records"):
            writer.write(example(row))


def statistics_of(table: pd.DataFrame) -> Statistics:
    return tfdv.generate_statistics_from_dataframe(table).datasets[0]


NONE: Mapping[int, pd.DataFrame] = {}


@dataclass
class Gate:
    """Runs the component as TFX does, on what ExampleGen, StatisticsGen and ExampleValidator leave."""

    directory: Path
    serving_logs: str = ""
    spans: bool = True

    @property
    def history(self) -> Path:
        return self.directory / "history"

    def __call__(
        self,
        span: int,
        table: pd.DataFrame,
        columns: dict[str, Any] = COLUMNS,
        unchecked: Mapping[int, pd.DataFrame] = NONE,
        **limits: Any,
    ) -> dict[str, Any]:
        place = self.directory / f"run-{len(list(self.directory.glob('run-*')))}"
        artifacts: dict[str, Any] = {
            "statistics": standard_artifacts.ExampleStatistics(),
            "anomalies": standard_artifacts.ExampleAnomalies(),
            "examples": standard_artifacts.Examples(),
            "schema": standard_artifacts.Schema(),
            "report": standard_artifacts.ExampleAnomalies(),
        }
        for name, artifact in artifacts.items():
            artifact.uri = str(place / name)
            (place / name).mkdir(parents=True)
        schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
        (place / "schema" / "schema.pbtxt").write_text(SCHEMA)
        train = table.index % 3 > 0
        splits = {"train": table[train], "eval": table[~train]}
        splits |= {str(number): rows for number, rows in unchecked.items()}
        (place / "examples" / WINDOW).write_text(json.dumps({"unchecked": {str(n): n for n in unchecked}}))
        for name in ("statistics", "anomalies", "examples"):
            artifacts[name].split_names = json.dumps(list(splits))
        artifacts["statistics"].span = span
        for split, rows in splits.items():
            found = tfdv.generate_statistics_from_dataframe(rows.reset_index(drop=True))
            for name, file, message in (
                ("statistics", "FeatureStats.pb", found),
                ("anomalies", "SchemaDiff.pb", tfdv.validate_statistics(found, schema)),
            ):
                path = place / name / f"Split-{split}" / file
                path.parent.mkdir()
                path.write_bytes(message.SerializeToString())
            write(rows, place / "examples" / f"Split-{split}" / "data.gz")
        report = artifacts.pop("report")
        DataGate.EXECUTOR_SPEC.executor_class().Do(
            {name: [artifact] for name, artifact in artifacts.items()},
            {"report": [report]},
            {
                "columns": json.dumps(columns),
                "drift": json.dumps({**LIMITS, **limits}),
                "history_directory": str(self.history) if self.spans else "",
                "serving_logs": self.serving_logs,
                "serving_logs_state": "",
            },
        )
        return json.loads((Path(report.uri) / REPORT).read_text())


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history that three spans left."""
    gate = Gate(tmp_path_factory.mktemp("accepted"))
    for span in (1, 2, 3):
        gate(span, trips(span))
    return gate.history


@pytest.fixture
def gate(tmp_path: Path, accepted: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    made.history.symlink_to(accepted)
    before = {path.name: path.read_bytes() for path in accepted.iterdir()}
    yield made
    for path in accepted.iterdir():
        if path.name not in before:
            path.unlink()
    assert {path.name: path.read_bytes() for path in accepted.iterdir()} == before


def changed(span: int = 4, **columns: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
    return trips(span).assign(**columns)


def test_an_unshifted_resample_passes_and_is_remembered(gate: Gate) -> None:
    for seed in (4, 5, 6, 7):
        report = gate(4, trips(seed))
    measured = {(each["feature"], each["metric"]): each for each in report["drift"]}
    assert set(measured) == {
        ("fare", "js"), ("payment", "linf"), ("(label)", "linf"), ("fare", "missing"), ("payment", "missing"),
        ("tips", "missing"), ("zone", "missing"),
    }  # fmt: skip
    assert all(each["distance"] < each["threshold"] for each in measured.values())
    assert (report["span"], report["action"], report["anomalies"]) == (4, "fail", [])
    assert sorted(path.name for path in gate.history.iterdir()) == [f"span-{n}.pb" for n in (1, 2, 3, 4)]


SHIFTS: dict[str, tuple[dict[str, Callable[[pd.DataFrame], Any]], str, str, str]] = {
    "a category's share": (
        {"payment": lambda t: np.where(t.index % 4 == 0, "Dispute", t.payment)},
        "payment", "linf", "'Dispute' rose from 0.96 % to 26 % of rows",
    ),
    "a new category": (
        {"payment": lambda t: np.where(t.index % 5 == 0, "Coupon", t.payment)},
        "payment", "linf", "new value 'Coupon', 20 % of rows",
    ),
    "a number": (
        {"fare": lambda t: t.fare * 1.7, "tips": lambda t: t.tips * 1.7},
        "fare", "js", ", 1.68 times",
    ),
    "a unit": (
        {"fare": lambda t: t.fare * 100, "tips": lambda t: t.tips * 100},
        "fare", "js", " times",
    ),
    "a vanished column": ({"zone": lambda t: None}, "zone", "missing", "the column vanished: 30 % of rows"),
    "a column half missing": (
        {"payment": lambda t: np.where(t.index % 2 == 0, None, t.payment)},
        "payment", "missing", "100 % of rows had a value, now 50 %",
    ),
    "the label's rate": ({"tips": lambda t: t.tips * 3}, "(label)", "linf", "class '1' rose from 3"),
}  # fmt: skip


@pytest.mark.parametrize("what", SHIFTS)
def test_a_shift_fails_and_says_what_changed_and_is_not_remembered(gate: Gate, what: str) -> None:
    columns, feature, metric, words = SHIFTS[what]
    with pytest.raises(DataGateError) as raised:
        gate(4, changed(**columns))
    found = [each for each in raised.value.report["drift"] if each["distance"] > each["threshold"]]
    assert [(each["feature"], each["metric"]) for each in found] == [(feature, metric)]
    assert words in found[0]["description"], found[0]["description"]
    shown = "the label" if feature == "(label)" else feature
    row = next(line for line in str(raised.value).splitlines() if line.strip().startswith(shown))
    assert found[0]["description"] in row and f"{found[0]['distance']:.3f}" in row
    assert not (gate.history / "span-4.pb").exists()


def test_a_factor_of_a_hundred_is_called_that(gate: Gate) -> None:
    table = changed(fare=lambda t: t.fare * 100, tips=lambda t: t.tips * 100)
    report = gate(4, table, action="warn")
    (description,) = (
        each["description"]
        for each in report["drift"]
        if each["feature"] == "fare" and each["metric"] == "js"
    )
    factor = float(description.rpartition(", ")[2].removesuffix(" times"))
    assert factor == pytest.approx(100, rel=0.1)


def test_warn_accepts_and_remembers(gate: Gate) -> None:
    report = gate(4, changed(payment=lambda t: "Coupon"), action="warn")
    assert any(each["distance"] > each["threshold"] for each in report["drift"])
    assert (gate.history / "span-4.pb").exists()


def test_off_measures_nothing(gate: Gate) -> None:
    assert gate(4, changed(payment=lambda t: "Coupon"), action="off")["drift"] == []


def test_a_backfill_is_compared_with_what_was_before_it(gate: Gate) -> None:
    statistics_history.store(gate.history, 8, statistics_of(changed(payment=lambda t: "Coupon")))
    assert gate(4, trips(4))["drift"]


def test_a_late_span_is_judged_by_the_spans_before_it_and_is_named(gate: Gate) -> None:
    """The gate knows the spans 1 to 3; with 5 comes 4, which was not there when 6 was the newest."""
    late = changed(payment=lambda t: "Coupon")
    with pytest.raises(DataGateError, match=r"payment +previous +linf .* \(span 4\)") as caught:
        gate(5, trips(5), unchecked={4: late})
    assert "vanished" not in str(caught.value), "span 5 is not compared with span 4"
    assert not (gate.history / "span-5.pb").exists() and not (gate.history / "span-4.pb").exists()
    report = gate(5, trips(5), unchecked={4: trips(4)})
    assert {each["split"] for each in report["drift"]} == {"4", "all"}
    assert (gate.history / "span-5.pb").exists() and (gate.history / "span-4.pb").exists()


def test_spans_that_come_together_are_compared_with_each_other(gate: Gate) -> None:
    with pytest.raises(DataGateError, match=r"\(span 22\)"):
        gate(23, trips(23), unchecked={21: trips(21), 22: changed(payment=lambda t: "Coupon")}, window=1)


def test_the_window_is_as_long_as_it_says(tmp_path: Path) -> None:
    for span in range(6):
        statistics_history.store(tmp_path, span, Statistics(num_examples=span + 1))
    found = statistics_history.spans_before(tmp_path, 4, 3)
    assert [(number, each.num_examples) for number, each in found] == [(1, 2), (2, 3), (3, 4)]


def test_a_damaged_history_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "span-1.pb").write_bytes(b"\xff\xff")
    with pytest.raises(statistics_history.HistoryError, match=r"span-1\.pb.*damaged: remove the file"):
        statistics_history.spans_before(tmp_path, 2, 7)


def test_another_label_is_not_compared_with_the_old_one(gate: Gate) -> None:
    other = {**COLUMNS, "label": {"task": "binary", "expression": "tips > 0"}}
    assert not [each for each in gate(4, trips(4), other)["drift"] if each["feature"] == "(label)"]


def test_a_table_without_spans_is_compared_with_nothing(tmp_path: Path) -> None:
    gate = Gate(tmp_path, spans=False)
    report = gate(0, trips(1))
    labels = report.pop("labels")
    assert report == {"span": None, "action": "fail", "anomalies": [], "drift": [], "infinite": {}}
    assert sum(count["rows"] for by_head in labels.values() for count in by_head.values()) == 900
    assert not gate.history.exists()


def test_what_the_schema_refuses_is_reported_with_the_drift(gate: Gate) -> None:
    with pytest.raises(DataGateError, match="differs from the schema") as raised:
        gate(4, changed(fare=lambda t: "free", zone=lambda t: None))
    assert {each["feature"] for each in raised.value.report["anomalies"]} == {"fare"}
    assert "The data has drifted" in str(raised.value) and "zone" in str(raised.value)


@pytest.mark.parametrize("kind", ["csv", "tfrecord"])
def test_serving_logs_are_compared_without_their_label(tmp_path: Path, kind: str) -> None:
    gate = Gate(tmp_path, serving_logs=str(tmp_path / "logs"), spans=False)
    requests = trips(9, 300).drop(columns="tips")
    alike, other = tmp_path / "logs" / f"day.{kind}", tmp_path / "logs" / f"next.{kind}"
    alike.parent.mkdir()
    assert gate(0, trips(1))["drift"] == [], "no request yet"

    def log(table: pd.DataFrame, path: Path) -> None:
        if kind == "csv":
            table.to_csv(path, index=False)
        else:
            write(table, path, "")

    log(requests, alike)
    report = gate(0, trips(1))
    assert {each["against"] for each in report["drift"]} == {"serving"}
    assert not [each for each in report["drift"] if each["distance"] > each["threshold"]]
    log(requests.assign(payment="Cash", zone=None), other)
    alike.unlink()
    with pytest.raises(DataGateError) as raised:
        gate(0, trips(1))
    found = {
        each["feature"]: each for each in raised.value.report["drift"] if each["distance"] > each["threshold"]
    }
    assert (
        found["payment"]["description"].startswith("'Ca") and "of requests" in found["payment"]["description"]
    )
    assert "the column is missing in requests" in found["zone"]["description"]
    assert set(found) == {"payment", "zone"}


def test_logs_of_two_formats_are_refused(tmp_path: Path) -> None:
    trips(1, 9).to_csv(tmp_path / "a.csv")
    write(trips(1, 9), tmp_path / "b.tfrecord", "")
    with pytest.raises(ServingLogsError, match="keep one format"):
        Gate(tmp_path, serving_logs=str(tmp_path), spans=False)(0, trips(1))


def test_a_comparator_that_could_find_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = SCHEMA.replace("jensen_shannon_divergence", "infinity_norm")
    monkeypatch.setitem(globals(), "SCHEMA", wrong)
    with pytest.raises(DataGateError, match="fare is a number, and its drift_comparator has infinity_norm"):
        Gate(tmp_path)(1, trips(1))


def test_merged_statistics_are_those_of_the_whole() -> None:
    tables = [trips(seed, rows) for seed, rows in ((1, 300), (2, 900), (3, 2000))]
    merged = merge_statistics([statistics_of(table) for table in tables])
    whole = statistics_of(pd.concat(tables, ignore_index=True))
    expected = {name_of(feature): feature for feature in whole.features}
    assert merged.num_examples == whole.num_examples == 3200
    for feature in merged.features:
        other = expected[name_of(feature)]
        kind = feature.WhichOneof("stats")
        assert feature.type == other.type and kind == other.WhichOneof("stats")
        ours, theirs = getattr(feature, kind), getattr(other, kind)
        assert ours.common_stats.num_non_missing == theirs.common_stats.num_non_missing
        if kind == "string_stats":
            assert counts_of(feature) == counts_of(other) and ours.unique == theirs.unique
        else:
            for name in ("min", "max", "num_zeros"):
                assert getattr(ours, name) == getattr(theirs, name)
            assert ours.mean == pytest.approx(theirs.mean)
            # Half of the tips are 0: there the median is any value up to the next.
            assert name_of(feature) == "tips" or ours.median == pytest.approx(theirs.median, rel=0.05)
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    distances = measure(merged, merge_statistics([whole]), schema, "previous", [], Drift(), {})
    assert {each.feature: each.distance < 0.002 for each in distances} == {"fare": True, "payment": True}


def test_infinite_values_are_compared_by_how_many_there_are() -> None:
    def draw(seed: int, share: float) -> Statistics:
        random = np.random.default_rng(seed)
        fare = np.where(random.random(900) < share, np.inf, random.normal(0, 1, 900))
        return statistics_of(pd.DataFrame({"fare": fare}))

    past = merge_statistics([draw(seed, 0.1) for seed in range(1, 8)])
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    for share, drifts in ((0.1, False), (0.5, True)):
        new = merge_statistics([draw(50, share)])
        (distance,) = measure(new, past, schema, "previous", [], Drift(), {})
        assert (distance.distance > 0.02) == drifts, distance


def test_an_empty_list_of_values_is_missing() -> None:
    """So TFX's CsvExampleGen writes a missing value, and TFDV counts the row as one that has the feature."""
    for values in ([[1.5], [], [2.5], []], [["a"], [], ["b"], []], [[], [], [], []]):
        batch = pa.RecordBatch.from_arrays([pa.array(values)], ["zone"])
        statistics = generate_statistics_in_memory(batch).datasets[0]
        (zone,) = statistics.features
        assert common_of(zone).num_non_missing == 4
        merged = merge_statistics([statistics] * 3).features[0]
        filled = sum(map(bool, values))
        assert (rows_with_value(zone), rows_with_value(merged)) == (filled, 3 * filled)
        assert merged.num_stats.mean == zone.num_stats.mean


def test_labels_of_every_task_are_counted(tmp_path: Path) -> None:
    table, schema = trips(1, 400), text_format.Parse(SCHEMA, schema_pb2.Schema())
    write(table, tmp_path / "data.gz")
    files = [str(tmp_path / "data.gz")]
    binary = label_statistics(files, Label("binary", expression="tips > 0.2 * fare"), schema)[""]
    assert counts_of(binary) == {
        "0": (table.tips <= 0.2 * table.fare).sum(), "1": (table.tips > 0.2 * table.fare).sum()
    }  # fmt: skip
    classes = label_statistics(files, Label("multiclass", column="zone"), schema)[""]
    assert counts_of(classes) == table.zone.value_counts().to_dict()
    assert classes.string_stats.common_stats.num_missing == table.zone.isna().sum()
    number = label_statistics(files, Label("regression", expression="fare + tips"), schema)[""]
    paid = table.fare + table.tips
    assert number.num_stats.mean == pytest.approx(paid.mean(), rel=1e-5)
    assert number.num_stats.median == pytest.approx(paid.median(), rel=1e-5)
    whole = merge_statistics([Statistics(num_examples=len(table), features=[number])])
    for factor, drifts in ((1.0, False), (1.3, True)):
        write(trips(2, 400).assign(fare=lambda t, by=factor: t.fare * by), tmp_path / "other.gz")
        label = Label("regression", expression="fare + tips")
        other = label_statistics([str(tmp_path / "other.gz")], label, schema)[""]
        other_whole = merge_statistics([Statistics(num_examples=400, features=[other])])
        limits = Drift(label_shift=0.03)
        (distance,) = measure(other_whole, whole, schema, "previous", [], limits, label_names(label))
        assert distance.feature == "(label)" and distance.exceeds == drifts, distance


def test_an_inferred_schema_keeps_the_comparators_that_a_person_wrote() -> None:
    inferred = 'feature { name: "fare" type: FLOAT }\nfeature { name: "new" type: INT }\n'
    kept = text_format.Parse(keep_comparators(inferred, SCHEMA), schema_pb2.Schema())
    fare, new = kept.feature
    assert fare.drift_comparator.jensen_shannon_divergence.threshold == 0.05
    assert fare.HasField("skew_comparator") and not new.HasField("drift_comparator")
    assert keep_comparators(inferred, "") == text_format.MessageToString(
        text_format.Parse(inferred, schema_pb2.Schema())
    )
