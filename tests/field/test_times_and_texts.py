"""Times of any unit are one time, and a text is its words."""

import datetime
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from components.app_exporter.encoding import encode
from components.app_exporter.farmhash import fingerprint64
from components.app_exporter.metadata import describe
from components.app_exporter.probe import transform_of
from components.app_exporter.shipped_code import check_exportable
from components.data_gate.checks.cells import check_texts
from components.data_gate.report import DataGateError
from foundation.sections import ConfigurationError
from tests.field.signatures import Array, Exported, export
from tests.field.tables import write_examples
from tests.tf.conftest import Row
from trainer_module.features import read_features
from trainer_module.inputs.iso_times import PATTERN, seconds_of
from trainer_module.settings import Settings

UNITS = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}
TIMES: dict[str, Any] = {
    **{unit: {"kind": "time", "unit": unit} for unit in UNITS},
    "date": {"kind": "time", "unit": "day"},
    "text": {"kind": "time", "unit": "iso"},
}
START = datetime.datetime(2024, 2, 28, 22, 15, tzinfo=datetime.timezone.utc)
MOMENTS = [START + datetime.timedelta(hours=7 * step, minutes=step) for step in range(60)]


def time_rows() -> list[Row]:
    rows: list[Row] = [
        {unit: [round(moment.timestamp()) * factor] for unit, factor in UNITS.items()}
        | {"date": [int(moment.timestamp() // 86400)], "text": [moment.isoformat().encode()]}
        for moment in MOMENTS
    ]
    rows[3] = {name: [] for name in TIMES}
    rows[4] |= {"text": [b""]}
    return rows


@pytest.fixture(scope="module")
def times(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    types = {name: tf.string if name == "text" else tf.int64 for name in TIMES}
    return export(tmp_path_factory.mktemp("times"), dict(sorted(TIMES.items())), time_rows(), types)


def columns_of(exported: Exported, rows: list[Row]) -> dict[str, Array]:
    """Each feature's columns of the model's numbers."""
    matrix, start, found = exported.transformed(rows)["numeric"], 0, {}
    for feature in exported.table.settings.numeric:
        found[feature.name] = matrix[:, start : start + feature.width]
        start += feature.width
    return found


def test_every_unit_is_the_same_time(times: Exported) -> None:
    found = columns_of(times, time_rows())
    for name in ("ms", "us", "ns"):
        np.testing.assert_allclose(found[name], found["s"], atol=1e-4)
    others = [place for place in range(60) if place != 4]
    np.testing.assert_allclose(found["text"][others], found["s"][others], atol=0.1)
    np.testing.assert_allclose(found["text"][others, 1:], found["s"][others, 1:], atol=1e-5)


def test_a_time_is_its_place_in_the_day_the_week_and_the_year(times: Exported) -> None:
    found = columns_of(times, time_rows())
    for place in (0, 17, 59):
        moment = MOMENTS[place]
        day = (moment.hour + moment.minute / 60) / 24
        week = (moment.weekday() + day) / 7
        expected = [wave(2 * math.pi * turn) for turn in (day, week) for wave in (math.sin, math.cos)]
        np.testing.assert_allclose(found["s"][place, 1:5], expected, atol=1e-4)
        year = (moment.timetuple().tm_yday - 1 + day) / 365.2425
        angle = math.atan2(found["s"][place, 5], found["s"][place, 6]) / (2 * math.pi) % 1
        assert abs(angle - year) < 1.5 / 365
        assert found["date"].shape[1] == 5
    assert np.all(np.diff(found["s"][5:, 0]) > 0)


def test_a_missing_time_is_zero(times: Exported) -> None:
    found = columns_of(times, time_rows())
    assert all(np.all(columns[3] == 0) for columns in found.values()) and np.all(found["text"][4] == 0)


def test_every_signature_agrees_on_times(times: Exported) -> None:
    assert times.refusals(time_rows()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29", "2024-02-29T00:00:00+00:00"),
        ("2024-02-29 12:34:56", "2024-02-29T12:34:56+00:00"),
        ("2024-02-29T12:34:56.789Z", "2024-02-29T12:34:56+00:00"),
        ("2000-12-31T23:59+02:00", "2000-12-31T21:59:00+00:00"),
        ("1899-12-31T00:00:00-0330", "1899-12-31T03:30:00+00:00"),
        ("2023-02-29", None), ("1900-02-29", None), ("2024-13-01", None), ("29.02.2024", None), ("", None),
    ],
)  # fmt: skip
def test_iso_texts_are_read_exactly(text: str, expected: str | None) -> None:
    found = float(seconds_of(tf.constant(text)).numpy())
    assert (
        math.isnan(found)
        if expected is None
        else found == datetime.datetime.fromisoformat(expected).timestamp()
    )


def test_every_day_that_there_is_and_no_other_is_a_time() -> None:
    days = (0, 1, 28, 29, 30, 31, 32)
    for year in (*range(1895, 2110), 1, 4, 100, 400, 9999):
        for month in range(14):
            for day in days:
                try:
                    datetime.date(year, month, day)
                except ValueError:
                    there = False
                else:
                    there = True
                assert bool(re.fullmatch(PATTERN, f"{year:04}-{month:02}-{day:02}")) == there, (
                    year,
                    month,
                    day,
                )


def moments(directory: Path, train: list[str], held_out: list[str]) -> dict[str, list[str]]:
    return {
        split: write_examples(
            directory / split, [{"moment": [text.encode()]} if text else {} for text in some]
        )
        for split, some in (("train", train), ("eval", held_out))
    }


MOMENT = schema_pb2.Schema(feature=[schema_pb2.Feature(name="moment", type=schema_pb2.BYTES)])


def test_texts_that_are_no_times_are_refused_before_training(tmp_path: Path) -> None:
    files = moments(tmp_path, ["2024-02-29"] * 5 + ["29.02.2024"] * 2 + [""] * 2, ["29.02.2024"])
    with pytest.raises(
        DataGateError, match=r"'moment' is time, which cannot read '29\.02\.2024' \(in 3 rows\): write"
    ):
        check_texts({"moment": ("time", PATTERN)}, files, MOMENT)
    check_texts({"moment": ("time", PATTERN)}, moments(tmp_path, ["2024-02-29"], ["", "2024-12-31"]), MOMENT)


def test_a_day_that_there_is_not_is_counted_however_rare_it_is(tmp_path: Path) -> None:
    # More different texts than statistics know by name.
    rare = [(START + datetime.timedelta(minutes=step)).isoformat() for step in range(3000)]
    texts = [*rare, "2023-02-29", "2023-02-29", "2024-04-31 10:00", "2024-01-01T25:00", "soon", "later"]
    with pytest.raises(
        DataGateError,
        match=r"cannot read '2023-02-29', '2024-04-31 10:00', '2024-01-01T25:00' and 2 others \(in 6 rows\): write",
    ):
        check_texts({"moment": ("time", PATTERN)}, moments(tmp_path, texts, rare), MOMENT)


def test_an_app_without_times_is_refused_before_training() -> None:
    settings = Settings.from_json(
        {
            "features": {"moment": {"kind": "time", "unit": "s"}},
            "label": {"task": "binary", "column": "y"},
            "training": {"global_batch_size": 8},
        }
    )
    with pytest.raises(ConfigurationError, match="'moment': no app reads times yet"):
        check_exportable(settings, ("float32",))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "time"}, "lacks the required key 'unit'"),
        ({"kind": "time", "unit": "h"}, "unit"),
        ({"kind": "text", "ngrams": 0}, "ngrams is 0; it must be from 1 to 5"),
        ({"kind": "text", "max_length": 0}, "max_length is 0"),
    ],
)
def test_settings_are_checked(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_features({"x": entry}, "[features]")


TEXTS: dict[str, Any] = {
    "title": {"kind": "text", "buckets": 1000, "max_length": 6},
    "words": {"kind": "text", "buckets": 5000, "max_length": 9, "ngrams": 2, "pooling": "max"},
}
SAID = [
    "Red shoes, size 42!", "ZÜRICH—Größe", "", "  ", "...", "a b c d e f g h", "年龄 性别", "कि़ताब", "e\u0301te\u0301 d'hiver",
    "snake_case and\nlines", "I\u0307stanbul", "😀 smile",
]  # fmt: skip


def text_rows() -> list[Row]:
    return [{name: [SAID[row % len(SAID)].encode()] for name in TEXTS} for row in range(48)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("words"), TEXTS, text_rows(), {name: tf.string for name in TEXTS})


def test_a_text_is_its_words_in_lower_case(texts: Exported) -> None:
    found = texts.transformed(
        [{"title": [text.encode()]} for text in (SAID[0], "ZÜRICH—Größe", "...", SAID[5])]
    )
    ids = found["categorical"][:, :6].tolist()

    def expected(*words: str) -> list[int]:
        return [*(fingerprint64(word.encode()) % 1000 for word in words), *[1000] * (6 - len(words))]

    assert ids == [
        expected("red", "shoes", "size", "42"), expected("zürich", "größe"), expected(), expected(*"abcdef"),
    ]  # fmt: skip


def test_neighbours_are_words_too_where_that_is_asked_for(texts: Exported) -> None:
    ids = texts.transformed([{"words": [b"Red shoes now"]}])["categorical"][0, 6:].tolist()
    words = ("red", "shoes", "now", "red shoes", "shoes now")
    assert ids == [*(fingerprint64(word.encode()) % 5000 for word in words), *[5000] * 4]


def test_every_signature_and_an_app_agree_on_texts(texts: Exported, tmp_path: Path) -> None:
    rows = text_rows()
    assert texts.refusals(rows) == []
    transform = transform_of(tf.saved_model.load(str(texts.model)))
    described = describe(texts.model, transform, texts.table.settings, rows)
    plain = [*({name: text for name in TEXTS} for text in SAID), {}]
    theirs = transform([*({name: [text.encode()] for name in TEXTS} for text in SAID), {}])["categorical"]
    np.testing.assert_array_equal(encode(described, plain)["categorical"], theirs)
    javascript = texts.encode_in_javascript(described, plain, "categorical", tmp_path)
    np.testing.assert_array_equal(javascript, theirs)
