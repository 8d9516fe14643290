"""Predictions of whole tables: those that a server gives, each row once, and rows that do not fit said."""

import json
import shutil
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.types.experimental import simple_artifacts

from components.data_gate.merged_statistics import name_of
from components.data_gate.serving_logs import serving_statistics
from components.example_gen.column_types import ColumnType
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError
from components.scoring import blocks
from components.scoring.blocks import BlockScorer, score
from components.scoring.component import Scorer
from components.scoring.fitting import fit_columns
from components.scoring.model import ServedModel, read_model
from components.scoring.request_log import RequestLog
from components.scoring.settings import Scoring
from components.serving_check.requests import serialize
from tests.field.signatures import Exported
from trainer_module.export import export_model
from trainer_module.model import build_model

from .conftest import Transformed

FEATURES = ("price", "visits", "age", "brand", "city", "weekday")


@pytest.fixture(scope="module")
def exported(orders: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    model = tmp_path_factory.mktemp("model") / "1"
    export_model(build_model(orders.settings), orders.settings, orders.output, str(model))
    return Exported(orders, model, {})


def table(orders: Transformed, **replaced: list[Any]) -> pa.Table:
    columns = {name: [(row[name][0] if row[name] else None) for row in orders.raw] for name in FEATURES}
    texts = {name: [value and value.decode() for value in columns[name]] for name in ("brand", "city")}
    return pa.table({"id": list(range(len(orders.raw))), **columns, **texts, **replaced})


def predict(
    model: Path, file: Path, destination: Path, form: Any = "parquet", log: RequestLog | None = None
) -> dict[str, int]:
    destination.mkdir(exist_ok=True)
    reading = Reading(
        columns=dict.fromkeys((*FEATURES, "id"), "is needed"), exact=("weekday", "visits", "id")
    )
    scorer = BlockScorer(
        read_model(model), file.suffix[1:], reading, ("id",), "7", str(destination), form, log
    )
    with beam.Pipeline() as pipeline:
        score(pipeline, [str(file)], scorer, str(destination / "counts"))
    counts = json.loads((destination / "counts").read_text())
    return {name: count for name, count in counts.items() if count}


def test_predictions_are_those_of_a_server_and_keep_their_keys(
    exported: Exported, orders: Transformed, tmp_path: Path
) -> None:
    file = tmp_path / "orders.parquet"
    pq.write_table(table(orders), file, row_group_size=64)
    assert predict(exported.model, file, tmp_path / "out") == {"predicted": 200}
    parts = sorted((tmp_path / "out").glob("part-*.parquet"))
    assert len(parts) == 4
    predicted = pa.concat_tables([pq.read_table(part) for part in parts])
    rows = [{name: row[name] for name in FEATURES} for row in orders.raw]
    served = exported.predict(rows)[:, 0]
    assert predicted["id"].to_pylist() == list(range(200))
    assert predicted["prediction"].to_pylist() == pytest.approx(served.tolist(), abs=1e-6)
    assert set(predicted["model_version"].to_pylist()) == {"7"}


@pytest.mark.parametrize("name", ["prediction", "model_version"])
def test_a_key_that_a_prediction_would_take_the_place_of_is_refused(exported: Exported, name: str) -> None:
    with pytest.raises(
        ValueError, match=f"keys names '{name}', and the predictions have a column of that name"
    ):
        BlockScorer(read_model(exported.model), "csv", Reading(), (name,), "7", "nowhere", "csv")


ODD = {
    "price": [float("inf"), -1e300, 0.0, None],
    "visits": [2**60 + 1, -(2**63), 2**63 - 1, None],
    "age": [-0.0, float("nan"), 1e39, None],
    "brand": ["", "ブランド", "x" * 5000, None],
    "weekday": [2**62, -1, -(2**63), None],
}


@pytest.mark.parametrize("listed", [False, True], ids=["columns", "lists, which become examples"])
def test_odd_values_mean_to_a_batch_what_they_mean_to_a_server(
    exported: Exported, orders: Transformed, tmp_path: Path, listed: bool
) -> None:
    rows = table(orders).slice(0, 4).to_pylist()
    odd = pa.Table.from_pylist(
        [row | {name: ODD[name][place] for name in ODD} for place, row in enumerate(rows)]
    )
    if listed:
        column = pa.array(
            [None if value is None else [value] for value in ODD["visits"]], pa.list_(pa.int64())
        )
        odd = odd.set_column(odd.column_names.index("visits"), "visits", column)
    pq.write_table(odd, tmp_path / "odd.parquet")
    assert predict(exported.model, tmp_path / "odd.parquet", tmp_path / "out") == {"predicted": 4}
    (part,) = (tmp_path / "out").glob("part-*.parquet")

    def as_row(row: dict[str, Any]) -> dict[str, list[Any]]:
        values = {name: row[name] for name in FEATURES} | {
            name: values[row["id"]] for name, values in ODD.items()
        }
        return {
            name: [] if value is None else [value.encode() if isinstance(value, str) else value]
            for name, value in values.items()
        }

    served = exported.predict([as_row(row) for row in rows])[:, 0]
    assert pq.read_table(part)["prediction"].to_pylist() == pytest.approx(served.tolist(), abs=1e-6)


def test_records_are_predicted_as_tables_are(exported: Exported, orders: Transformed, tmp_path: Path) -> None:
    """A key that the first ten thousand rows lack has its type all the same."""
    file = tmp_path / "orders.tfrecord"
    rows = [{name: row[name] for name in FEATURES} for row in orders.raw[:50]]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for number, row in enumerate(rows * 201):
            writer.write(serialize({**row, "id": [number] if number >= 10_000 else []}))
    assert predict(exported.model, file, tmp_path / "out") == {"predicted": 10_050}
    predicted = pq.read_table(tmp_path / "out" / "part-00000-00000.parquet")
    assert predicted["id"].to_pylist() == [None] * 10_000 + list(range(10_000, 10_050))
    served = exported.predict(rows)[:, 0]
    assert predicted["prediction"][-50:].to_pylist() == pytest.approx(served.tolist(), abs=1e-6)
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(serialize({**rows[0], "id": [0]}))
        writer.write(serialize({**rows[0], "id": [b"one"]}))
    with pytest.raises(ConversionError, match="has records that do not go together"):
        predict(exported.model, file, tmp_path / "mixed")


def test_predicted_rows_are_requests_to_the_data_gate(
    exported: Exported, orders: Transformed, tmp_path: Path
) -> None:
    """Those that fit, each once however often its block is predicted; no label is among them."""
    visits = [str(value) for value in table(orders)["visits"].to_pylist()]
    visits[5] = "often"
    file, logs = tmp_path / "orders.csv", tmp_path / "logs"
    pa.csv.write_csv(table(orders, visits=visits), file)
    for name in ("first", "again"):
        predict(exported.model, file, tmp_path / name, log=RequestLog(str(logs), 1.0, "day"))
    assert [path.name for path in logs.iterdir()] == ["scored-day-00000-00000.tfrecord.gz"]
    found = serving_statistics(logs, schema_pb2.Schema(), FEATURES)
    assert found and found.num_examples == 199
    assert {name_of(feature) for feature in found.features} == set(FEATURES)
    predict(exported.model, file, tmp_path / "half", log=RequestLog(str(logs), 0.5, "half"))
    (half,) = logs.glob("scored-half-*")
    assert 70 < sum(1 for _ in tf.data.TFRecordDataset(str(half), "GZIP")) < 130


class Night:
    """A cluster's volumes and the pipeline of a schedule, in this process."""

    def __init__(self, model: Path, directory: Path) -> None:
        self.directory, self.model, self.artifacts = directory, model, 0
        self.table = directory / "new"
        self.table.mkdir()

    def push(self, version: str) -> None:
        shutil.copytree(self.model, self.directory / "serving" / version)

    def run(self) -> tuple[Path, dict[str, Any], str, list[str]]:
        """Where the predictions are, the summary's metadata, its text, and the rejects' lines."""
        reading = Reading(exact=("weekday", "visits", "id"))
        scorer = Scorer(
            Scoring(keys=("id",)), reading, None, table=str(self.table), output=str(self.directory / "out"), model_version="",
            name="orders", serving_directory=str(self.directory / "serving"), files="*.csv", file_format="csv",
            request_log="",
        )  # fmt: skip
        self.artifacts += 1
        made = {key: simple_artifacts.File() for key in ("summary", "rejected")}
        for key, artifact in made.items():
            artifact.uri = str(self.directory / f"{key}-{self.artifacts}")
        scorer.executor_spec.executor_class().Do(
            {}, {key: [artifact] for key, artifact in made.items()}, scorer.exec_properties
        )
        latest = json.loads((self.directory / "out" / "latest.json").read_text())
        summary = made["summary"]
        counts = {
            name: summary.get_int_custom_property(name) for name in ("rows", "rejected", "predicted_before")
        }
        return (
            Path(latest["output"]),
            {**counts, "model_version": summary.get_string_custom_property("model_version")},
            Path(summary.uri, "summary.md").read_text(),
            Path(made["rejected"].uri, "rejected.csv").read_text().splitlines(),
        )


def test_a_scheduled_prediction_goes_on_after_a_retry_and_begins_anew_with_another_table_or_model(
    exported: Exported, orders: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night(exported.model, tmp_path)
    night.push("7")
    prices = [str(value) if value is not None else "" for value in table(orders)["price"].to_pylist()]
    prices[3] = "cheap"
    whole = table(orders, price=prices)
    for part in range(2):
        pa.csv.write_csv(whole.slice(100 * part, 100), night.table / f"{part}.csv")
    real = BlockScorer.score_block

    def killed(self: BlockScorer, block: Any, types: Any) -> Any:
        if block.file_number:
            raise RuntimeError("the pod is gone")
        return real(self, block, types)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="the pod is gone"):
        patched.setattr(BlockScorer, "score_block", killed)
        night.run()
    assert not (tmp_path / "out" / "latest.json").exists()
    place, counts, summary, rejected = night.run()
    assert counts == {"rows": 199, "rejected": 1, "predicted_before": 99, "model_version": "7"}
    assert rejected == ['"id","reason"', "3,\"price is 'cheap', and the model reads numbers\""]
    assert "| rows predicted | 199 |" in summary and rejected[1] in summary
    # Nothing is new: the same directory, and nothing is predicted again.
    assert night.run()[:2] == (place, {**counts, "predicted_before": 199})
    night.push("8")
    (tmp_path / "serving" / "8" / "assets" / "of-another-training").touch()
    other, counts, *_ = night.run()
    assert other != place and counts["model_version"] == "8" and counts["predicted_before"] == 0
    assert len([path for path in (tmp_path / "out").iterdir() if path.is_dir()]) == 2


def test_a_row_that_does_not_fit_is_left_out_and_said_and_the_others_are_as_ever(
    exported: Exported, orders: Transformed, tmp_path: Path
) -> None:
    whole = table(orders)
    prices = [str(value) if value is not None else "" for value in whole["price"].to_pylist()]
    visits = [str(value) for value in whole["visits"].to_pylist()]
    prices[3], visits[5], visits[6] = "cheap", "2.5", "4.0"
    file = tmp_path / "orders.csv"
    pa.csv.write_csv(table(orders, price=prices, visits=visits), file)
    assert predict(exported.model, file, tmp_path / "out", "csv") == {"predicted": 198, "rejected": 2}
    (rejected,) = (tmp_path / "out").glob("rejected-*.csv")
    assert pa.csv.read_csv(rejected).to_pylist() == [
        {"id": 3, "reason": "price is 'cheap', and the model reads numbers"},
        {"id": 5, "reason": "visits is '2.5', and the model reads whole numbers"},
    ]
    (part,) = (tmp_path / "out").glob("part-*.csv")
    predicted = pa.csv.read_csv(part)
    expected = exported.predict([{name: row[name] for name in FEATURES} for row in orders.raw])[:, 0].tolist()
    for key, value in zip(predicted["id"].to_pylist(), predicted["prediction"].to_pylist()):
        # 7 of the table's row, 4 here.
        assert key == 6 or value == pytest.approx(expected[key], abs=1e-6)


def test_a_stopped_prediction_goes_on_and_predicts_each_row_once(
    exported: Exported, orders: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "orders.parquet"
    calls: list[int] = []
    pq.write_table(table(orders), file, row_group_size=50)
    real = ServedModel.predict

    def failing(self: ServedModel, columns: dict[str, pa.Array], typed: bool) -> dict[str, pa.Array]:
        calls.append(len(columns["price"]))
        if len(calls) == 3:
            raise RuntimeError("the machine went down")
        return real(self, columns, typed)

    monkeypatch.setattr(blocks.ServedModel, "predict", failing)
    with pytest.raises(RuntimeError, match="went down"):
        predict(exported.model, file, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 2
    assert predict(exported.model, file, tmp_path / "out") == {"predicted": 200, "predicted before": 100}
    ids = [
        key
        for part in sorted((tmp_path / "out").glob("part-*"))
        for key in pq.read_table(part)["id"].to_pylist()
    ]
    assert ids == list(range(200))


def test_a_multiclass_model_names_the_likeliest_class(actions: Transformed, tmp_path: Path) -> None:
    model = build_model(actions.settings, outputs=3)
    export_model(model, actions.settings, actions.output, str(tmp_path / "1"))
    served = read_model(tmp_path / "1")
    assert sorted(served.classes) == ["buy", "cart", "view"] and served.columns == (
        "prediction",
        "probability",
    )
    pq.write_table(table(actions), tmp_path / "actions.parquet")
    assert predict(tmp_path / "1", tmp_path / "actions.parquet", tmp_path / "out") == {"predicted": 100}
    predicted = pq.read_table(tmp_path / "out" / "part-00000-00000.parquet")
    answered = Exported(actions, tmp_path / "1", {}).predict(
        [{name: row[name] for name in FEATURES} for row in actions.raw]
    )
    assert predicted["prediction"].to_pylist() == [served.classes[best] for best in answered.argmax(axis=1)]
    assert predicted["probability"].to_pylist() == pytest.approx(answered.max(axis=1).tolist(), abs=1e-6)


def test_lists_fit_value_by_value() -> None:
    column = pa.array([[b"1", b"2"], [], None, [b"3", b"x"]], pa.list_(pa.binary()))
    fitted = fit_columns({"visits": column}, {"visits": ColumnType.INT})
    assert fitted.fits.to_pylist() == [True, True, True, False]
    assert fitted.columns["visits"].to_pylist()[:2] == [[1, 2], []]
