"""Logs whose events are of several kinds, such as views and purchases: which are known, learned from and judged."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.example_gen.behaviour_log.columns import read_events
from components.example_gen.behaviour_log.counts import OTHER_KIND
from components.example_gen.behaviour_log.events import Events
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
from components.example_gen.splits import EVAL, TRAIN
from foundation.sections import ConfigurationError
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, USER, Log, read_log

TABLE = {
    "user": "who", "item": "what", "time": "when", "time_unit": "s", "history": 6,
    "events": {"column": "event", "weights": {"view": 0.2, "cart": 1.0, "buy": 3.0}, "target": ["buy"]},
}  # fmt: skip
BUY, CART, VIEW = range(3)
"""Their numbers: the alphabet's."""


def log(**changed: Any) -> Log:
    made = read_log({**TABLE, **changed}, "[log]")
    assert made
    return made


def events_of(rows: list[tuple[str, str, int, int]]) -> Events:
    users, items, times, kinds = zip(*rows)
    return Events(
        pa.array([user.encode() for user in users]), pa.array([item.encode() for item in items]),
        np.array(times, np.int64), np.arange(len(rows)), np.array(kinds, np.int64),
    )  # fmt: skip


def examples(columns: dict[str, pa.Array]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row)) for row in zip(*(column.to_pylist() for column in columns.values()))]


def test_a_kind_is_read_by_its_name_and_rows_of_others_are_counted() -> None:
    kinds = [b"view", b"refund", b"buy", None, b"cart"]
    columns = {
        "who": pa.array([b"u"] * 5), "what": pa.array([b"i"] * 5), "when": pa.array([1, 2, 3, 4, 5]),
        "event": pa.array(kinds, pa.binary()),
    }  # fmt: skip
    events, dropped = read_events("log.csv", columns, 0, log(), 10**12)
    assert events.kinds is not None and events.kinds.tolist() == [VIEW, BUY, CART]
    assert events.times.tolist() == [1000, 3000, 5000] and dropped == {OTHER_KIND: 2}
    # Whole numbers as they are written.
    numbered = log(events={"column": "event", "weights": {"10": 1.0, "9": 0.0}})
    columns["event"] = pa.array([9, 9, 10, 7, 10])
    events, _ = read_events("log.csv", columns, 0, numbered, 10**12)
    assert events.kinds is not None and events.kinds.tolist() == [1, 1, 0, 0]


def test_what_is_judged_is_the_first_basket_with_a_kind_that_is_and_nothing_else_of_it() -> None:
    rows = [
        ("u", "a", 10, VIEW), ("u", "a", 20, BUY), ("u", "b", 60, VIEW), ("u", "x", 70, VIEW), ("u", "b", 70, BUY),
        ("u", "c", 70, CART), ("u", "d", 70, BUY), ("u", "e", 80, BUY), ("looks", "a", 65, VIEW),
    ]  # fmt: skip
    made = make_sequences(events_of(rows), log(), {EVAL: 50})
    (judged,) = examples(made[EVAL])
    # The view of b in the judged time is known, as it was earlier; x and c, of the basket itself, are not there.
    assert judged[ITEM] == [b"a", b"a", b"b", b"b", b"d"]
    assert judged[EVENT_KIND] == [VIEW, BUY, VIEW, BUY, BUY] and judged[FIRST_TARGET] == 3
    (learned,) = examples(made[TRAIN])
    assert (learned[ITEM], learned[EVENT_KIND]) == ([b"a", b"a"], [VIEW, BUY])


def test_histories_are_what_counting_by_hand_says() -> None:
    """Of random logs, against a loop over events: each event of training once, from what was strictly before it."""
    random, described = np.random.default_rng(1), log(history=12)
    rows = [
        (
            f"u{random.integers(5)}",
            f"i{random.integers(9)}",
            int(random.integers(30)),
            int(random.integers(3)),
        )
        for _ in range(300)
    ]
    made = make_sequences(events_of(rows), described, {EVAL: 20})
    found: dict[str, list[Any]] = {user: [] for user in sorted({row[0] for row in rows})}
    for example in examples(made[TRAIN]):
        for place in range(example[FIRST_TARGET], len(example[ITEM])):
            before = [
                (example[ITEM][each].decode(), example[TIME][each], example[EVENT_KIND][each])
                for each in range(place)
                if example[BASKET][each] < example[BASKET][place]
            ]
            target = (example[ITEM][place].decode(), example[TIME][place], example[EVENT_KIND][place])
            found[example[USER].decode()].append((target, before[-1:]))
    for user, targets in found.items():
        mine = sorted((row[2], row[3] != BUY, place) for place, row in enumerate(rows) if row[0] == user)
        ordered = [rows[place][1:] for _, _, place in mine]
        expected = [
            (row, [earlier for earlier in ordered if earlier[1] < row[1]][-1:])
            for row in ordered
            if row[1] < 20
        ]
        assert targets == expected
    for example in examples(made[EVAL]):
        later = [row for row in rows if row[0] == example[USER].decode() and row[2] >= 20 and row[3] == BUY]
        first = min(row[2] for row in later)
        bought = [row[1].encode() for row in later if row[2] == first][: described.history]
        assert example[ITEM][example[FIRST_TARGET] :] == bought
        assert max(example[TIME][: example[FIRST_TARGET]], default=-1) < first


def test_spans_and_tails_keep_the_kind() -> None:
    rows = [
        ("u", "a", 1, VIEW),
        ("u", "b", 2, BUY),
        ("u", "c", 3, CART),
        ("u", "d", 4, VIEW),
        ("u", "e", 5, BUY),
    ]
    content = pa.BufferOutputStream()
    write_events(latest_events(events_of(rows), log(history=3)), content)
    (tail,) = read_stored(pa.BufferReader(content.getvalue()))
    assert tail.items.to_pylist() == [b"c", b"d", b"e"]
    assert tail.kinds is not None and tail.kinds.tolist() == [CART, VIEW, BUY]
    made, _ = make_window_sequences(events_of(rows), np.array([0, 0, 1, 2, 2]), 1, 2, log())
    assert [(row[ITEM], row[EVENT_KIND], row[FIRST_TARGET]) for row in examples(made[EVAL])] == [
        ([b"a", b"b", b"c", b"d", b"e"], [VIEW, BUY, CART, VIEW, BUY], 4)
    ]
    assert examples(made[TRAIN])[0][EVENT_KIND] == [VIEW, BUY, CART]


def test_items_which_have_no_events_have_the_feature_so_that_no_schema_calls_it_dropped() -> None:
    items = Items(pa.array([b"a"], pa.binary()))
    assert EVENT_KIND in to_examples(items, log())
    assert EVENT_KIND not in to_examples(items, Log("who", "what", "when"))


def test_kinds_have_one_number_in_every_step_however_a_file_orders_them() -> None:
    read = LogReading.from_json(LogReading(log(), Reading()).to_json())
    assert read and read.log == log() and log().events
    assert log().events.names == ("buy", "cart", "view") and log().events.counts == (3.0, 1.0, 0.2)  # type: ignore[union-attr]
    plain = Log("who", "what", "when")
    assert read_log(plain.to_table(), "[log]") == plain


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"events": {"column": "event"}}, "lacks the required key 'weights'"),
        ({"events": {"column": "event", "weights": {}}}, "give each kind of event a number"),
        ({"events": {"column": "event", "weights": {"buy": -1.0}}}, "give each kind of event a number"),
        ({"events": {"column": "e", "weights": {"buy": 1.0}, "target": ["by"]}}, "target names 'by'"),
        ({"events": {"column": "e", "weights": {"buy": 1.0, "view": 0.0}, "target": ["view"]}}, "gives 0"),
        ({"split": "leave_last_out"}, 'set split = "time"'),
    ],
)
def test_kinds_that_mean_nothing_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        log(**changed)
