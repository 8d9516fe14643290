"""Recommendations for all users of a log: those of a server, each user once, and rows that are no events said."""

import csv
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml
from tfx.types.experimental import simple_artifacts

from components.example_gen.behaviour_log import stored
from components.example_gen.behaviour_log.counts import FUTURE, NOT_WHERE, OTHER_KIND
from components.example_gen.behaviour_log.gathering import GatherByUser
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import ConversionError
from components.scoring.component import Scorer
from components.scoring.job import predict
from components.scoring.preparation import Dataset, prepare
from components.scoring.settings import Scoring
from components.scoring.summary import UsersSummary
from components.scoring.users.model import Recommender
from pipeline import config
from pipeline.kubeflow.compile import compile_pipeline
from tests.tf.test_retrieval import ITEMS, NAMES
from tests.tf.test_second_stage import make_stage
from tests.tf.test_told_kinds import LOG as TOLD
from tests.tf.test_told_kinds import make_network
from trainer_module.export import write_archive
from trainer_module.features.vocabulary import escape
from trainer_module.log import VOCABULARY, Log, read_log
from trainer_module.retrieval import export
from trainer_module.settings import Settings

LOG = replace(TOLD, time_unit="s", where="amount > 0")
DAY, FIRST_DAY, USERS = 86_400, 19_700, 60
Row = dict[str, Any]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is told kinds and has a second stage, as version 7."""
    directory = tmp_path_factory.mktemp("serving")
    vocabulary = directory / VOCABULARY
    vocabulary.write_bytes(b"".join(line + b"\n" for line in escape(tf.constant(NAMES)).numpy()))
    tables = {"log": LOG.to_table(), "label": {"task": "retrieval"}, "model": {"kind": "two_tower"}}
    settings = Settings.from_json({**tables, "training": {"global_batch_size": 1}})

    def make() -> Any:
        return export._archive(make_network(), TOLD, str(vocabulary), ITEMS, make_stage)

    (directory / "versions").mkdir()
    write_archive(make, settings, str(directory / "versions" / "7"))
    return directory / "versions"


@pytest.fixture(scope="module")
def recommend(serving: Path) -> Any:
    return tf.saved_model.load(str(serving / "7")).signatures["recommend"]


def make_rows() -> list[Row]:
    """Several events of a moment, items that the model lacks, kinds that are none, and what is yet to come."""
    random = np.random.default_rng(5)
    rows: list[Row] = []
    for user in range(USERS):
        for _ in range(random.integers(1, 15)):
            item = random.integers(ITEMS + 6)
            rows.append({
                "u": 1000 + user, "i": NAMES[item].decode() if item < ITEMS else f"new{item}",
                "t": (FIRST_DAY + int(random.integers(9))) * DAY, "event": str(random.choice(["view", "buy", "share"])),
                "amount": int(random.random() < 0.9),
            })  # fmt: skip
        rows[-1].update(event="buy", amount=1)
    rows.append({**rows[0], "t": int(time.time()) + 9 * DAY, "event": "buy", "amount": 1})
    # Of nothing that the model knows.
    rows.append({**rows[0], "u": 999, "i": "new", "event": "buy", "amount": 1})
    random.shuffle(rows)  # type: ignore[arg-type]
    return rows


ROWS = make_rows()


def write(directory: Path, form: str, rows: Sequence[Mapping[str, Any]] = ROWS) -> Path:
    """In two files."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        table = pa.Table.from_pylist([dict(row) for row in part])
        if form == "csv":
            pa.csv.write_csv(table, directory / f"{number}.csv")
        else:
            pq.write_table(table, directory / f"{number}.parquet", row_group_size=100)
    return directory


def dataset(form: str, log: Log = LOG) -> Dataset:
    exact = ("u", "i", "t", "amount")
    return Dataset("shop", f"*.{form}", form, Reading(exact=exact, codes=("u", "i"), times=("t",)), log, None)


def ask(
    serving: Path, given: Path, output: Path, form: str = "csv", log: Log = LOG, **asked: Any
) -> UsersSummary:
    request = prepare(dataset(form, log), serving, "", given, output, Scoring(**asked))
    done = predict(request, beam.Pipeline, print)
    assert isinstance(done, UsersSummary)
    assert json.loads((output / "summary.json").read_text())["users"] == done.users
    return done


def read(output: Path) -> dict[Any, list[Row]]:
    """User → what is recommended."""
    found: dict[Any, list[Row]] = {}
    for part in sorted(output.glob("part-*")):
        table = pq.read_table(part) if part.suffix == ".parquet" else pa.csv.read_csv(
            part, parse_options=pa.csv.ParseOptions(newlines_in_values=True)
        )  # fmt: skip
        for row in table.to_pylist():
            found.setdefault(row.pop("user"), []).append(row)
    return found


def served(recommend: Any, k: int) -> dict[int, tuple[list[str], list[float]]]:
    """User → items and scores, of one request each with all that the user did, in the order of the log."""
    users: dict[int, list[Row]] = {}
    for row in ROWS:
        if row["amount"] and row["event"] != "share" and row["t"] < time.time():
            users.setdefault(row["u"], []).append(row)
    answers = {}
    for user, rows in users.items():
        rows.sort(key=lambda row: row["t"])
        answer = recommend(
            items=tf.constant([[row["i"] for row in rows]]),
            times=tf.constant([[1000 * row["t"] for row in rows]], tf.int64),
            kinds=tf.constant([[row["event"] for row in rows]]),
            exclude=tf.constant([[""]]), among=tf.constant([], tf.string), k=tf.constant(k),
        )  # fmt: skip
        answers[user] = (
            [item.decode() for item in answer["items"].numpy()[0]], answer["scores"].numpy()[0].tolist()
        )  # fmt: skip
    return answers


@pytest.mark.parametrize(("form", "written"), [("csv", "parquet"), ("parquet", "csv")])
def test_lists_are_those_of_a_server_item_by_item_and_each_user_has_one(
    serving: Path, recommend: Any, tmp_path: Path, form: str, written: str
) -> None:
    given = write(tmp_path / "log", form)
    done = ask(serving, given, tmp_path / "out", form, format=written, k=7)
    expected, found = served(recommend, 7), read(tmp_path / "out")
    assert found.keys() == expected.keys() and 999 in found and len(found) == done.users == USERS + 1
    for user, (items, scores) in expected.items():
        assert [row["item"] for row in found[user]] == items
        assert [row["score"] for row in found[user]] == pytest.approx(scores, rel=1e-4, abs=1e-4)
        assert [row["place"] for row in found[user]] == [*range(1, 8)]
    assert {str(row["model_version"]) for rows in found.values() for row in rows} == {"7"}
    unknown = sum(row["i"].startswith("new") for row in ROWS if row["amount"] and row["event"] != "share")
    assert (done.rows, done.rejected, done.unknown) == (len(ROWS), 0, unknown)
    assert done.recommendations == 7 * done.users and done.left_out.keys() == {NOT_WHERE, OTHER_KIND, FUTURE}
    assert {path.name for path in (tmp_path / "out").glob(".*")} == {
        ".lock", ".scoring.json", ".counts.json", ".00000.json",
    }  # fmt: skip


def test_rows_without_user_item_or_time_are_left_out_and_said_and_the_others_are_as_ever(
    serving: Path, tmp_path: Path
) -> None:
    ask(serving, write(tmp_path / "log", "csv"), tmp_path / "out")
    odd = [
        {**ROWS[0], "u": 1, name: value}
        for name, value in (("t", "soon"), ("t", ""), ("i", ""), ("t", "1e30"))
    ]
    odd.append({**ROWS[0], "u": ""})
    rows = [{name: str(value) for name, value in row.items()} for row in (*odd[:2], *ROWS, *odd[2:])]
    done = ask(serving, write(tmp_path / "odd", "csv", rows), tmp_path / "again")
    assert read(tmp_path / "again") == read(tmp_path / "out")
    assert done.rejected == 5
    assert done.reasons == {"whose t is no time": 2, "without i": 1, "without t": 1, "without u": 1}
    listed = [
        row
        for file in sorted((tmp_path / "again").glob("rejected-*.csv"))
        for row in csv.DictReader(file.open(newline=""))
    ]
    assert [(row["u"], row["t"], row["reason"]) for row in listed[:2]] == [
        ("1", "soon", "t is 'soon', which is no time in the unit 's'"), ("1", "", "without t"),
    ]  # fmt: skip
    assert "5 rows (rejected-*.csv says which); 2 whose t is no time; 1 without i" in str(done)


def test_texts_that_are_no_times_are_left_out_one_by_one(serving: Path, tmp_path: Path) -> None:
    log = replace(LOG, time_unit="iso")
    rows = [{**row, "t": f"2026-01-{1 + place % 28:02d} 12:00:00"} for place, row in enumerate(ROWS[:300])]
    rows[100]["t"], rows[299]["t"], rows[7]["t"] = "2026-02-30", "soon", "1969-12-31"
    done = ask(serving, write(tmp_path / "log", "csv", rows), tmp_path / "out", log=log)
    assert done.reasons == {"whose t is no time": 3} and done.rows == 300
    rejected = "".join(file.read_text() for file in sorted((tmp_path / "out").glob("rejected-*.csv")))
    assert all(text in rejected for text in ("'2026-02-30', which is no time", "'soon'", "'1969-12-31'"))


def test_a_log_of_another_unit_or_without_events_is_refused_as_a_run_refuses_it(
    serving: Path, tmp_path: Path
) -> None:
    given = write(tmp_path / "log", "csv")
    with pytest.raises(ConversionError, match="no time between 1970 and 2100 in the unit 's'"):
        ask(
            serving,
            write(tmp_path / "ms", "csv", [{**row, "t": 1000 * row["t"]} for row in ROWS]),
            tmp_path / "1",
        )
    with pytest.raises(
        ConversionError, match=re.escape(f"none of which is an event: {len(ROWS)} {NOT_WHERE}")
    ):
        ask(serving, given, tmp_path / "2", log=replace(LOG, where="amount > 9"))
    assert not [*tmp_path.glob("*/part-*")] and not [*tmp_path.glob("*/summary.json")]


def test_what_was_stopped_goes_on_and_asks_for_each_user_once(
    serving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, calls = write(tmp_path / "log", "csv"), []
    monkeypatch.setattr(stored, "_PART_BYTES", sum(file.stat().st_size for file in given.iterdir()) // 3)
    real = Recommender.recommend

    def failing(self: Recommender, *arguments: Any) -> Any:
        calls.append(len(arguments[1]))
        if len(calls) == 3:
            raise RuntimeError("the machine went down")
        return real(self, *arguments)

    monkeypatch.setattr(Recommender, "recommend", failing)
    with pytest.raises(RuntimeError, match="went down"):
        ask(serving, given, tmp_path / "out")
    assert len([*(tmp_path / "out").glob("part-*")]) == 2 and not (tmp_path / "out" / ".gathered").exists()
    done = ask(serving, given, tmp_path / "out")
    assert done.users == USERS + 1 == len(read(tmp_path / "out")) and done.users_before == sum(calls[:2]) > 0
    assert all(len(rows) == 10 for rows in read(tmp_path / "out").values())
    # All is done: not even the log is read again.
    monkeypatch.setattr(GatherByUser, "expand", None)
    assert ask(serving, given, tmp_path / "out") == replace(done, users_before=done.users, seconds=0.0)


def test_the_pipeline_of_a_schedule_is_told_what_the_rows_of_a_log_say() -> None:
    overrides = ["scoring.input='/mnt/data/log'", "scoring.output='/mnt/models/lists'", "scoring.k=20"]
    loaded = config.load("shop", "cluster", overrides)
    spec, _ = yaml.safe_load_all(compile_pipeline(loaded, scores=True))
    given = spec["root"]["dag"]["tasks"]["Scorer"]["inputs"]["parameters"]
    log = json.loads(given["log"]["runtimeValue"]["constant"])
    assert read_log(log, "[log]") == loaded.settings.log
    assert json.loads(given["scoring"]["runtimeValue"]["constant"])["k"] == 20


def test_a_schedule_recommends_and_keeps_as_many_predictions_as_it_is_told(
    serving: Path, tmp_path: Path
) -> None:
    given = write(tmp_path / "log", "csv", [*ROWS, {**ROWS[0], "u": None}])
    made = []
    for night in range(2):
        artifacts = {key: simple_artifacts.File() for key in ("summary", "rejected")}
        for key, artifact in artifacts.items():
            artifact.uri = str(tmp_path / f"{key}-{night}")
        described = dataset("csv")
        scorer = Scorer(
            Scoring(keep=1, k=3), described.reading, described.log, table=str(given), output=str(tmp_path / "out"),
            model_version="", name="shop", serving_directory=str(serving), files="*.csv", file_format="csv",
            request_log="",
        )  # fmt: skip
        scorer.executor_spec.executor_class().Do(
            {}, {key: [artifact] for key, artifact in artifacts.items()}, scorer.exec_properties
        )
        made.append(json.loads((tmp_path / "out" / "latest.json").read_text()))
        assert artifacts["summary"].get_int_custom_property("users") == USERS + 1
        report = Path(artifacts["summary"].uri, "summary.md").read_text()
        assert f"| users | {USERS + 1} |" in report and "| rows without u | 1 |" in report
        rejected = Path(artifacts["rejected"].uri, "rejected.csv").read_text().splitlines()
        assert len(rejected) == 2 and rejected[0] == '"u","i","t","reason"'
        assert sum(map(len, read(Path(made[-1]["output"])).values())) == 3 * (USERS + 1)
        if not night:
            write(given, "csv", [*ROWS, {**ROWS[1], "u": None}])
    assert made[0]["output"] != made[1]["output"]
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == [
        Path(made[1]["output"]).name
    ]
