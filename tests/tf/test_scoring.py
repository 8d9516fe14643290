"""Predictions of whole tables: those that a server gives, each row once, and rows that do not fit said."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from components.example_gen.column_types import ColumnType
from components.example_gen.reading.dialect import Reading
from components.scoring import blocks
from components.scoring.blocks import Scoring, score
from components.scoring.fitting import fit_columns
from components.scoring.model import ServedModel, read_model
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


def predict(model: Path, file: Path, destination: Path, form: Any = "parquet") -> dict[str, int]:
    destination.mkdir(exist_ok=True)
    reading = Reading(
        columns=dict.fromkeys((*FEATURES, "id"), "is needed"), exact=("weekday", "visits", "id")
    )
    scoring = Scoring(read_model(model), file.suffix[1:], reading, ("id",), "7", str(destination), form)
    with beam.Pipeline() as pipeline:
        score(pipeline, [str(file)], scoring, str(destination / "counts"))
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

    def failing(self: ServedModel, examples: pa.Array) -> dict[str, pa.Array]:
        calls.append(len(examples))
        if len(calls) == 3:
            raise RuntimeError("the machine went down")
        return real(self, examples)

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
