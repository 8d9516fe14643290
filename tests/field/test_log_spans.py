"""A log that arrives in spans: the same histories as from the whole log, and no file of it is read twice."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components.example_gen.behaviour_log import spans as log_spans
from components.example_gen.behaviour_log.counts import COUNTS
from components.example_gen.behaviour_log.events import Events
from components.example_gen.behaviour_log.reading import LogReading
from components.example_gen.behaviour_log.sequences import latest_events, make_window_sequences
from components.example_gen.component import Executor
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError
from components.example_gen.span_conversion import WINDOW
from components.example_gen.spans import SpanError
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, ITEMS, TIME, USER, Log

Row = tuple[str, str, int]
Known = dict[tuple[str, str, int], list[str]]
LOG = Log("who", "what", "when", time_unit="s", items="things.csv", exclude={"kind": ("old",)}, history=4)
DAY, FIRST_DAY = 86_400, 20_454  # 2026-01-01
THINGS = "what,kind\n" + "".join(f"i{number},{'old' if number == 9 else 'new'}\n" for number in range(12))


def day_of(number: int) -> list[Row]:
    """The events of a day; of some moments a user has several."""
    random = np.random.default_rng(number)
    return [
        (f"u{random.integers(7)}", f"i{random.integers(10)}", (FIRST_DAY + number) * DAY + 600 * int(moment))
        for moment in random.integers(30, size=25)
    ]


def put(directory: Path, number: int, rows: list[Row]) -> None:
    file = directory / "data" / f"{number}" / "log.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("who,what,when\n" + "".join(f"{who},{what},{when}\n" for who, what, when in rows))


def run(directory: Path, spans: int = 2, end: str = "") -> dict[str, Any]:
    """Runs the step; gives its outputs."""
    place = directory / f"out-{len(list(directory.glob('out-*')))}"
    outputs = {key: standard_artifacts.Examples() for key in ("examples", "newest")}
    for key, artifact in outputs.items():
        artifact.uri = str(place / key)
        Path(artifact.uri).mkdir(parents=True)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=DirectRunner", "--direct_running_mode=in_memory"],
        tmp_dir=str(directory), unique_id="1",
    )  # fmt: skip
    codes = (LOG.user, LOG.item)
    reading = Reading(columns=LOG.columns, exact=(*codes, LOG.time), codes=codes)
    items = Reading(columns={**LOG.item_columns, "kind": ""}, exact=("what",), codes=("what", "kind"))
    (directory / "data").mkdir(exist_ok=True)
    (directory / "data" / "things.csv").write_text(THINGS)
    settings = {"spans": spans, "missing": "fail", "duplicate": "fail"}
    Executor(context).Do(
        {},
        {key: [artifact] for key, artifact in outputs.items()},
        {
            "input_base": str(directory / "data"), "pattern": "{SPAN}/*.csv", "file_format": "csv",
            "splits": "{}", "column_types": "{}", "window": json.dumps(settings), "window_end": end,
            "window_fingerprint": "", "store": str(directory / "store"), "conversion_fingerprint": "1",
            "reading": reading.to_json(), "log": LogReading(LOG, items).to_json(),
        },
    )  # fmt: skip
    return outputs


def examples(artifact: Any, split: str) -> list[dict[str, list[Any]]]:
    found = []
    for file in sorted((Path(artifact.uri) / f"Split-{split}").iterdir()):
        for record in tf.data.TFRecordDataset(str(file), "GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            found.append(
                {
                    name: list(getattr(value, value.WhichOneof("kind")).value)
                    for name, value in features.items()
                }
            )
    return found


def known_of(rows: list[dict[str, list[Any]]]) -> Known:
    """Each target, and what is known of its user: the latest events of a strictly earlier time."""
    known: Known = {}
    for row in rows:
        for place in range(row[FIRST_TARGET][0], len(row[ITEM])):
            before = range(max(0, place - LOG.history), place)
            target = (row[USER][0].decode(), row[ITEM][place].decode(), row[TIME][place] // 1000)
            assert target not in known
            known[target] = [
                row[ITEM][each].decode() for each in before if row[BASKET][each] < row[BASKET][place]
            ]
    return known


def expected(days: dict[int, list[Row]], learned: range, judged: int) -> tuple[Known, Known]:
    """The same from the whole log, for the targets of train and eval."""
    wanted = {number: [row for row in rows if row[1] != "i9"] for number, rows in days.items()}
    train: Known = {}
    first: dict[str, int] = {}
    last: Known = {}
    whole = [row for number in sorted(wanted) if number <= judged for row in wanted[number]]
    for user in {row[0] for row in whole}:
        of_user = sorted((row for row in whole if row[0] == user), key=lambda row: row[2])
        for place, (_, item, moment) in enumerate(of_user):
            before = of_user[max(0, place - LOG.history) : place]
            known = [each[1] for each in before if each[2] < moment]
            day = moment // DAY - FIRST_DAY
            if day in learned:
                train[user, item, moment] = known
            if day == judged and first.setdefault(user, moment) == moment:
                last[user, item, moment] = known
    return train, last


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files of logs that were read, a folder each."""
    files: list[str] = []
    whole: Callable[..., None] = log_spans.convert_span

    def convert_span(pipeline: Any, logged: Any, *others: Any) -> None:
        files.extend(Path(file).parent.name for file in logged.log)
        whole(pipeline, logged, *others)

    monkeypatch.setattr(log_spans, "convert_span", convert_span)
    yield files


def check(outputs: dict[str, Any], days: dict[int, list[Row]], learned: range, judged: int) -> None:
    train, last = expected(days, learned, judged)
    assert train and last
    assert known_of(examples(outputs["examples"], "train")) == train
    assert known_of(examples(outputs["examples"], "eval")) == last


def test_a_day_more_reads_its_own_file_and_gives_what_the_whole_log_gives(
    tmp_path: Path, read: list[str]
) -> None:
    # One event of an item and a moment each: the test tells targets apart by them.
    days = {number: list(dict.fromkeys(day_of(number))) for number in range(1, 5)}
    for number in range(1, 4):
        put(tmp_path, number, days[number])
    outputs = run(tmp_path)
    assert read == ["1", "2", "3"]
    check(outputs, days, range(2, 3), 3)
    # Statistics see the newest span, and each that no gate has seen.
    assert json.loads(outputs["newest"].split_names) == ["train", "items", "2"]
    seen = examples(outputs["newest"], "train")
    assert {row[TIME][0] // 1000 // DAY - FIRST_DAY for row in seen} == {3}

    read.clear()
    put(tmp_path, 4, days[4])
    outputs = run(tmp_path)
    assert read == ["4"]
    check(outputs, days, range(3, 4), 4)
    window = json.loads((Path(outputs["examples"].uri) / WINDOW).read_text())
    assert (window["window"], window["converted"]) == (["3", "4"], ["4"])
    assert {row[ITEM][0].decode() for row in examples(outputs["examples"], ITEMS)} == {
        f"i{number}" for number in range(12) if number != 9
    }
    counts = json.loads((Path(outputs["examples"].uri) / COUNTS).read_text())
    assert counts["rows"] == len(days[3] + days[4])
    assert counts["of excluded items"] == sum(row[1] == "i9" for row in days[3] + days[4])

    # One before the window changes: what is known of its users does, too, and no other file is read.
    read.clear()
    days[1] = list(dict.fromkeys((who, "i11", when) for who, _, when in days[1]))
    put(tmp_path, 1, days[1])
    check(run(tmp_path), days, range(3, 4), 4)
    assert read == ["1"]


def test_a_span_of_which_no_row_is_an_event_and_one_that_is_alone_are_refused(tmp_path: Path) -> None:
    put(tmp_path, 1, day_of(1))
    with pytest.raises(SpanError, match="Span 1 is the only one of the window, and of a log's spans"):
        run(tmp_path)
    put(tmp_path, 2, [("u", "i9", (FIRST_DAY + 2) * DAY)])
    with pytest.raises(
        SpanError, match="Span 2: The log has 1 rows, none of which is an event: 1 of excluded"
    ):
        run(tmp_path)
    put(tmp_path, 2, [(who, what, when - 2 * DAY) for who, what, when in day_of(1)])
    with pytest.raises(
        ConversionError, match="The eval split is empty: no event of the newest span is later"
    ):
        run(tmp_path)


def window_of(rows: list[Row], spans: list[int], log: Log = LOG) -> tuple[dict[str, Any], int]:
    events = Events(
        pa.array([row[0].encode() for row in rows]), pa.array([row[1].encode() for row in rows]),
        np.array([row[2] for row in rows], np.int64), np.arange(len(rows)),
    )  # fmt: skip
    made, late = make_window_sequences(events, np.array(spans), 1, 2, log)
    return {
        split: sorted(
            (user.decode(), b" ".join(items).decode(), first)
            for user, items, first in zip(*(columns[name].to_pylist() for name in (USER, ITEM, FIRST_TARGET)))
        )
        for split, columns in made.items()
    }, late


def test_a_span_s_targets_follow_the_tail_and_a_user_who_is_new_has_none() -> None:
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("new", "x", 3), ("u", "d", 4), ("newer", "y", 4)]
    made, late = window_of(rows, [0, 0, 1, 1, 2, 2])
    assert made == {
        "train": [("new", "x", 0), ("u", "a b c", 2)],
        "eval": [("newer", "y", 0), ("u", "a b c d", 3)],
    }
    assert late == 0


def test_what_comes_too_late_is_known_to_later_events_and_is_no_target() -> None:
    # b comes a span after c, which happened later; e comes with the newest, and d happened at the same time.
    rows = [("u", "a", 1), ("u", "c", 3), ("u", "b", 2), ("u", "d", 5), ("u", "e", 5), ("u", "f", 6)]
    made, late = window_of(rows, [0, 0, 1, 1, 2, 2])
    assert made == {"train": [("u", "a b c d", 3)], "eval": [("u", "a b c d f", 4)]}
    assert late == 2


def test_a_basket_that_two_spans_share_is_not_known_to_its_own_events() -> None:
    rows = [("u", "a", 1), ("u", "b", 2), ("u", "c", 2)]
    events = Events(
        pa.array([b"u"] * 3), pa.array([b"a", b"b", b"c"]), np.array([1, 2, 2]), np.arange(len(rows))
    )
    made, _ = make_window_sequences(events, np.array([0, 0, 1]), 1, 2, LOG)
    assert made["train"][FIRST_TARGET].to_pylist() == [2]
    assert made["train"][BASKET].to_pylist() == [[0, 1, 1]]


def test_a_tail_has_of_each_user_the_latest_events() -> None:
    events = Events(
        pa.array([b"u", b"v", b"u", b"u"]), pa.array([b"a", b"b", b"c", b"d"]), np.array([3, 1, 1, 2]), np.arange(4)
    )  # fmt: skip
    tail = latest_events(events, Log("who", "what", "when", history=2))
    assert list(zip(tail.users.to_pylist(), tail.items.to_pylist(), tail.times.tolist())) == [
        (b"u", b"d", 2), (b"u", b"a", 3), (b"v", b"b", 1),
    ]  # fmt: skip
