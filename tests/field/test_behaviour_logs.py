"""What a behaviour log's examples hold: nothing that was not known yet, every event once, and no row without a word."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.example_gen.behaviour_log.conversion import LogFiles, convert_log
from components.example_gen.behaviour_log.counts import COUNTS, ITEM_COUNTS
from components.example_gen.behaviour_log.events import Events
from components.example_gen.behaviour_log.gathering import GatherByUser, read_gathered, remove_gathered
from components.example_gen.behaviour_log.sequences import make_sequences
from components.example_gen.columnar_examples import raise_conversion_error
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError
from components.example_gen.splits import Splits
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, ITEMS, TIME, USER, Log

NOW = 1_800_000_000_000


def log(**keys: Any) -> Log:
    return Log(**{"user": "who", "item": "what", "time": "when", "time_unit": "s", **keys})


def sequences(
    rows: list[tuple[str, str, int]], described: Log, start: int = 10**9
) -> dict[str, list[dict[str, Any]]]:
    users, items, times = zip(*rows)
    events = Events(
        pa.array([user.encode() for user in users]), pa.array([item.encode() for item in items]),
        np.array(times, np.int64), np.arange(len(rows)),
    )  # fmt: skip
    made = make_sequences(events, described, {"eval": start})
    return {
        split: [dict(zip(columns, row)) for row in zip(*(column.to_pylist() for column in columns.values()))]
        for split, columns in made.items()
    }


def test_a_history_holds_what_is_strictly_earlier_and_events_of_one_time_are_a_basket() -> None:
    rows = [("u", "c", 20), ("u", "a", 10), ("u", "b", 10), ("u", "d", 30)]
    (train,) = sequences(rows, log(history=8))["train"]
    assert train[ITEM] == [b"a", b"b", b"c", b"d"]
    # Of one basket are a and b: neither is known when the other is predicted.
    assert train[BASKET] == [0, 0, 1, 2]
    assert train[FIRST_TARGET] == 0


def test_ties_in_time_keep_the_log_s_order_where_it_says_so() -> None:
    rows = [("u", "b", 10), ("u", "a", 10), ("u", "c", 10)]
    (train,) = sequences(rows, log(history=8, same_time="in_order"))["train"]
    assert (train[ITEM], train[BASKET]) == ([b"b", b"a", b"c"], [0, 1, 2])


def test_nothing_of_the_judged_time_is_learned_and_a_user_s_first_basket_of_it_is_judged() -> None:
    rows = [("u", "a", 10), ("u", "b", 20), ("u", "c", 50), ("u", "d", 50), ("u", "e", 60), ("new", "x", 70)]
    made = sequences(rows, log(history=8), start=50)
    assert [row[ITEM] for row in made["train"]] == [[b"a", b"b"]]
    judged = {row[USER]: (row[ITEM], row[FIRST_TARGET]) for row in made["eval"]}
    assert judged == {b"u": ([b"a", b"b", b"c", b"d"], 2), b"new": ([b"x"], 0)}


def test_leave_last_out_judges_each_user_s_last_basket_and_learns_from_users_of_one() -> None:
    rows = [("u", "a", 10), ("u", "b", 20), ("u", "c", 30), ("once", "x", 5)]
    made = sequences(rows, log(history=8, split="leave_last_out"))
    assert sorted((row[USER], row[ITEM]) for row in made["train"]) == [
        (b"once", [b"x"]),
        (b"u", [b"a", b"b"]),
    ]
    assert [(row[ITEM], row[FIRST_TARGET]) for row in made["eval"]] == [([b"a", b"b", b"c"], 2)]


@pytest.mark.parametrize("history", [1, 3, 7])
def test_each_event_is_a_target_once_with_as_many_events_before_it_as_are_known(history: int) -> None:
    random = np.random.default_rng(history)
    rows = [(f"u{random.integers(5)}", f"i{number}", int(random.integers(1000))) for number in range(60)]
    made = sequences(rows, log(history=history))
    targets: Counter[bytes] = Counter()
    whole = {
        user: [
            item
            for _, _, item in sorted(
                (time, place, item) for place, (who, item, time) in enumerate(rows) if who == user
            )
        ]
        for user, _, _ in rows
    }
    for row in made["train"]:
        first = row[FIRST_TARGET]
        targets.update(row[ITEM][first:])
        of_user = [item.encode() for item in whole[row[USER].decode()]]
        place = of_user.index(row[ITEM][first])
        assert row[ITEM][:first] == of_user[max(0, place - history) : place]
        assert row[TIME] == sorted(row[TIME]) and len(row[ITEM]) <= 2 * history
    assert set(targets.values()) == {1} and len(targets) == len(rows)


def convert(
    directory: Path,
    text: str,
    described: Log,
    items: str = "",
    splits: Splits = Splits(time="when", eval_from=40),
) -> dict[str, list[tf.train.Example]]:
    (directory / "log.csv").write_text(text)
    files = [str(directory / "log.csv")]
    item_files = []
    if items:
        (directory / "products.csv").write_text(items)
        item_files = [str(directory / "products.csv")]
    exact = (described.item, described.user, *described.operands)
    codes = (described.item, described.user)
    read = LogFiles(
        "csv", files, item_files, Reading(columns=described.columns, exact=exact, codes=codes),
        Reading(columns={**described.item_columns, "kind": "[features] names"}, exact=exact, codes=codes),
    )  # fmt: skip
    made = directory / "made"
    try:
        with beam.Pipeline(argv=["--direct_running_mode=in_memory"]) as pipeline:
            convert_log(pipeline, read, str(made), splits, described, NOW)
    except Exception as error:
        raise_conversion_error(error)
        raise
    assert not list(made.glob(".*")), "what was gathered by user is removed"
    return {
        split: [
            tf.train.Example.FromString(record)
            for file in sorted(made.glob(f"Split-{split}/*"))
            for record in tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator()
        ]
        for split in ("train", "eval", ITEMS)
    }


def test_beam_groups_names_of_files_and_never_the_log(tmp_path: Path) -> None:
    """Its local runner holds in memory what it groups: 170 bytes an event, before."""

    def events(number: int) -> Events:
        users = pa.array([b"u", b"v", b"w"])
        return Events(users, users, np.full(3, number), np.arange(3) + 3 * number)

    def check(found: list[tuple[int, Any]]) -> None:
        read = [(part, list(read_gathered(files))) for part, files in found]
        assert all(isinstance(file, str) for _, files in found for _, file in files)
        rows = [
            (part, span, user, int(place))
            for part, parts in read
            for span, of_file in parts
            for user, place in zip(of_file.users.to_pylist(), of_file.places)
        ]
        wanted = [(n % 2, n % 3, b"uvw"[i : i + 1], 3 * n + i) for n in range(10) for i in range(3)]
        assert sorted(rows) == sorted(wanted)
        assert len(list(tmp_path.glob(".gathered/*/*"))) == 10, "three blocks a time, each of a part and span"

    with beam.Pipeline(argv=["--direct_running_mode=in_memory"]) as pipeline:
        given = pipeline | beam.Create([(number % 2, (number % 3, events(number))) for number in range(10)])
        gathered = given | GatherByUser(str(tmp_path), held=7)
        _ = gathered | beam.combiners.ToList() | beam.Map(check)
    remove_gathered(str(tmp_path))
    assert not list(tmp_path.iterdir())


def values(example: tf.train.Example, name: str) -> list[Any]:
    feature = example.features.feature[name]
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


LINES = [("u", "007", 10), ("u", "8", 20), ("u", "9", 30), ("v", "8", 15), ("v", "7", 40), ("u", "8", 45)]
TEXT = "who,what,when,amount\n" + "".join(f"{who},{what},{when},1\n" for who, what, when in LINES)


def test_identifiers_arrive_as_the_log_writes_them(tmp_path: Path) -> None:
    made = convert(tmp_path, TEXT, log())
    assert {value for row in made["train"] + made["eval"] for value in values(row, ITEM)} == {
        b"007",
        b"7",
        b"8",
        b"9",
    }
    # The items are those that were learned from; 7 only comes later.
    assert sorted(values(row, ITEM)[0] for row in made[ITEMS]) == [b"007", b"8", b"9"]


def test_rows_that_are_no_events_are_dropped_and_counted_by_reason(tmp_path: Path) -> None:
    text = TEXT + "u,,50,1\n,8,50,1\nu,8,,1\nu,8,55,0\nu,8,1900000000,1\nu,gone,60,1\nu,8,65,\n"
    items = "what,kind\n007,a\n8,b\n9,b\n8,c\ngone,old\nnever,a\n"
    described = log(items="products.csv", where="amount > 0", exclude={"kind": ("old",)})
    made = convert(tmp_path, text, described, items)
    counts = json.loads((tmp_path / "made" / COUNTS).read_text())
    assert counts["rows"] == 13 and counts["events"] == 6
    assert counts["without user, item or time"] == 3
    # An amount that is missing is not above 0.
    assert counts["not where [log] where holds"] == 2
    assert counts["dated after the run"] == 1
    assert counts["of excluded items"] == 1
    # Of an item that comes twice the first row is taken; one that nobody took yet can be recommended.
    kinds = {values(row, ITEM)[0]: values(row, "kind") for row in made[ITEMS]}
    assert kinds == {b"007": [b"a"], b"8": [b"b"], b"9": [b"b"], b"never": [b"a"]}
    assert (
        json.loads((tmp_path / "made" / ITEM_COUNTS).read_text())[
            "items that the item table has several times"
        ]
        == 1
    )


def test_an_item_that_the_table_lacks_is_learned_from_without_features_and_counted(tmp_path: Path) -> None:
    made = convert(tmp_path, TEXT, log(items="products.csv"), "what,kind\n8,b\n")
    assert {values(row, ITEM)[0]: values(row, "kind") for row in made[ITEMS]} == {
        b"8": [b"b"],
        b"007": [],
        b"9": [],
    }
    counts = json.loads((tmp_path / "made" / ITEM_COUNTS).read_text())
    assert counts["items of the log that the item table lacks"] == 2


@pytest.mark.parametrize(
    ("text", "keys", "sentence"),
    [
        (TEXT.replace(",10,", ",yesterday,"), {}, "holds texts: set [log] time_unit = \"iso\""),
        (TEXT, {"time_unit": "iso"}, "has the time 40: write it as the log does, as a text such as 2026-11-27"),
        (TEXT.replace(",10,", ",99999999999,"), {}, "99999999999, which is no time between 1970 and 2100 in the unit 's'"),
        (TEXT.replace("u,007,10", "u,7.5,10"), {}, "holds decimals such as 7.5: write whole numbers or texts"),
        (TEXT, {"where": "amount == 'x'"}, "compares a text with a number"),
        (TEXT.replace(",45,", ",35,").replace(",40,", ",35,"), {},
         "The eval split is empty: of 6 rows of the log, 6 of them events, none fell into it"),
        (TEXT, {"where": "amount > 5"}, "The log has 6 rows, none of which is an event: 6 not where [log] where holds; bring others"),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_read_is_refused_in_one_sentence(
    tmp_path: Path, text: str, keys: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConversionError) as caught:
        convert(tmp_path, text, log(**keys))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_a_log_of_one_time_has_nothing_to_judge(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="All events of the log are of one time, so that none is later"):
        convert(tmp_path, "who,what,when\nu,1,10\nu,2,10\n", log(), splits=Splits())


def test_a_log_and_an_item_table_that_write_items_in_two_ways_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="has such as 'a7' where the log has '007': write them alike"):
        convert(tmp_path, TEXT, log(items="products.csv"), "what,kind\na7,b\na8,b\n")


def test_times_as_texts_are_moments(tmp_path: Path) -> None:
    moments = ["2026-01-01", "2026-01-01T12:00:00+01:00", "2026-01-01 12:00:00", "2026-01-02T00:00:00.250Z"]
    text = "who,what,when\n" + "".join(f"u,i{number},{moment}\n" for number, moment in enumerate(moments))
    splits = Splits(train=1, eval=1, time="when", eval_from="2026-01-02")
    made = convert(tmp_path, text, log(time_unit="iso"), splits=splits)
    day = 1_767_225_600_000
    (train,), (judged,) = made["train"], made["eval"]
    assert values(train, TIME) == [day, day + 11 * 3_600_000, day + 12 * 3_600_000]
    assert values(judged, TIME)[-1] == day + 24 * 3_600_000 + 250
