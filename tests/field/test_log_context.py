"""Columns of a log that say something of a request, such as the store: read, kept by spans, and refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.app_exporter.shipped_code import check_exportable
from components.example_gen.behaviour_log.columns import read_events
from components.example_gen.behaviour_log.events import Events, together
from components.example_gen.behaviour_log.items import Items, to_examples
from components.example_gen.behaviour_log.reading import LogReading
from components.example_gen.behaviour_log.sequences import (
    latest_events,
    make_sequences,
    make_window_sequences,
)
from components.example_gen.behaviour_log.stored import read_events as read_stored
from components.example_gen.behaviour_log.stored import write_events
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError
from components.example_gen.splits import EVAL, TRAIN
from foundation.sections import ConfigurationError
from pipeline import config
from trainer_module.log import FIRST_TARGET, ITEM, Log, read_log

TABLE = {
    "user": "who", "item": "what", "time": "when", "time_unit": "s", "history": 6,
    "context": {"store": {"kind": "vocabulary", "size": 100}, "hour": {"kind": "hashed", "buckets": 24}},
}  # fmt: skip


def log(**changed: Any) -> Log:
    made = read_log({**TABLE, **changed}, "[log]")
    assert made
    return made


def read(store: pa.Array, hour: pa.Array) -> Events:
    size = len(store)
    columns = {
        "who": pa.array([b"u"] * size), "what": pa.array([f"i{n}".encode() for n in range(size)]),
        "when": pa.array(range(1, size + 1)), "store": store, "hour": hour,
    }  # fmt: skip
    return read_events("log.csv", columns, 0, log(), 10**12)[0]


EVENTS = read(pa.array([b"01", None, b"", b"2", b"2"], pa.binary()), pa.array([0, None, 23, 7, 7]))


def test_a_text_stays_as_it_is_written_a_whole_number_is_one_and_missing_is_the_empty_text() -> None:
    assert EVENTS.context["store"].to_pylist() == [b"01", b"", b"", b"2", b"2"]
    assert EVENTS.context["hour"].to_pylist() == [b"0", b"", b"23", b"7", b"7"]


@pytest.mark.parametrize(("column", "what"), [(pa.array([0.5]), "decimals"), (pa.array([[1]]), "lists")])
def test_what_is_no_value_of_a_request_is_refused_with_the_column(column: pa.Array, what: str) -> None:
    with pytest.raises(ConversionError, match=rf"'hour', which \[log.context\] names, holds {what}"):
        read(pa.array([b"01"]), column)


def test_every_event_has_what_it_was_asked_for_with_in_sequences_spans_and_tails() -> None:
    made = make_sequences(EVENTS, log(), {EVAL: 3500})
    for split, first, stores in ((TRAIN, 0, [b"01", b"", b""]), (EVAL, 3, [b"01", b"", b"", b"2"])):
        assert made[split]["store"].to_pylist() == [stores]
        assert made[split][FIRST_TARGET].to_pylist() == [first]
    content = pa.BufferOutputStream()
    write_events(latest_events(EVENTS, log(history=3)), content)
    (tail,) = read_stored(pa.BufferReader(content.getvalue()))
    assert tail.context["hour"].to_pylist() == [b"23", b"7", b"7"] and tail.places.tolist() == [0, 1, 2]
    assert together([tail, tail]).context["store"].to_pylist() == 2 * [b"", b"2", b"2"]
    windowed, _ = make_window_sequences(EVENTS, np.array([0, 0, 1, 1, 2]), 1, 2, log())
    assert windowed[EVAL]["store"].to_pylist() == [[b"01", b"", b"", b"2", b"2"]]


def test_an_item_has_the_columns_so_that_no_schema_calls_them_dropped_and_a_step_reads_them_again() -> None:
    assert {"store", "hour"} <= set(to_examples(Items(pa.array([b"a"], pa.binary())), log()))
    again = LogReading.from_json(LogReading(log(), Reading()).to_json())
    assert (
        again and again.log == log() and [each.name for each in log().context_features] == ["hour", "store"]
    )
    assert ITEM not in log().context


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"hour": {"kind": "numeric"}}, "context 'hour' is numeric; a request has one text or whole number"),
        ({"tags": {"kind": "vocabulary", "multi": True}}, "make it vocabulary or hashed"),
        ({"when": {"kind": "vocabulary"}}, "'when' is what an event or a request of a log has already"),
        ({"items": {"kind": "vocabulary"}}, "'items' is what an event or a request of a log has already"),
        ({"store": {"kind": "vocabulary", "sizes": 4}}, r"\[log.context\] store has no key 'sizes'"),
        ({"store": {"size": 4}}, r"\[log.context\] store needs a kind"),
        ({"store": 4}, "context.store must be a table"),
    ],
)
def test_a_column_that_no_request_could_have_is_refused(context: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        log(context=context)


def test_a_column_of_the_item_table_and_an_app_are_refused() -> None:
    plain, given = "model.second_stage.candidates=0", 'log.context={%s = {kind = "vocabulary"}}'
    with pytest.raises(ConfigurationError, match="'department' is what an example of a log calls its own"):
        config.load("shop", "laptop", [given % "department"])
    asked = config.load("shop", "laptop", [plain, given % "store_id"]).settings
    check_exportable(asked, [])
    with pytest.raises(ConfigurationError, match=r"\[log.context\] has columns that requests have"):
        check_exportable(asked, ["tflite"])
    with pytest.raises(
        ConfigurationError, match=r"\[log.context\] 'aisle' is also a column of the item table"
    ):
        config.load("shop", "laptop", [given % "aisle", 'log.exclude={aisle = ["FUEL"]}'])
