"""Predicting a table: what is refused at once, in one sentence and with status 2, and leaves nothing."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.scoring.request import Request
from pipeline import config, score
from tests.flink_stand_in import Answers
from trainer_module.settings import LEARNER

HEADER = (
    "trip_miles,fare,trip_seconds,pickup_latitude,pickup_longitude,dropoff_latitude,dropoff_longitude,payment_type,"
    "company,trip_start_hour,trip_start_day,trip_start_month,pickup_census_tract,dropoff_census_tract,"
    "pickup_community_area,dropoff_community_area,trip_start_timestamp"
)


def push(directory: Path, name: str) -> None:
    model = directory / "runs" / name / "serving" / name / "17"
    model.mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"model")
    # What a version says of itself decides, and not what the dataset file says now.
    tables = config.load(name, "laptop").settings.to_json()
    (model / LEARNER).parent.mkdir()
    (model / LEARNER).write_text(json.dumps({"settings": {**tables, "training": {}}}))


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    push(tmp_path, "taxi")
    (tmp_path / "trips.csv").write_text(f"{HEADER}\n{','.join('1' * (HEADER.count(',') + 1))}\n")
    return tmp_path


def ask(workdir: Path, *more: str, file: str = "trips.csv") -> int:
    given = [
        "--workdir",
        str(workdir / "runs"),
        "--input",
        str(workdir / file),
        "--output",
        str(workdir / "out"),
    ]
    return score.main([*given, *more, "--dry-run"])


def test_a_dry_run_says_what_would_be_predicted(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(workdir) == 0
    assert "1 file(s) with version 17 of taxi" in capsys.readouterr().out
    assert not (workdir / "out").exists()


@pytest.mark.parametrize(
    ("more", "file", "expected"),
    [
        (("--version", "16"), "trips.csv", "There is no version 16"),
        ((), "nowhere.csv", "does not exist"),
        ((), "runs", "has no file like '*.csv'"),
        (("--keys", "order"), "trips.csv", "has no column 'order', which --keys names"),
        (("--keys", "fare,fare"), "trips.csv", "--keys names 'fare' twice: remove one."),
        (
            ("--k", "5"),
            "trips.csv",
            "--k is how many items are recommended to a user of a behaviour log, and this is",
        ),
    ],
)
def test_what_cannot_be_predicted_is_refused_at_once(
    workdir: Path, more: tuple[str, ...], file: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(workdir, *more, file=file) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    push(tmp_path, "shop")
    (tmp_path / "log").mkdir()
    for name, columns in (
        ("log.csv", "household_id,product_id,transaction_timestamp,quantity"),
        ("products.csv", "product_id,department"),
    ):
        (tmp_path / "log" / name).write_text(f"{columns}\n{','.join('1' * (columns.count(',') + 1))}\n")
    return tmp_path


SHOP = (
    "--dataset", "shop", "--set", "source.format=csv", "--set", "source.pattern='*.csv'", "--set", "log.items=products.csv",
)  # fmt: skip


def test_a_log_is_asked_for_its_users_and_its_item_table_is_none_of_its_files(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(shop, *SHOP, file="log") == 0
    assert "1 file(s) with version 17 of shop" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--k", "0"), "--k is 0; it must be from 1 to 100, the most items that a model answers."),
        (("--k", "101"), "--k is 101; it must be from 1 to 100"),
        (("--set", "scoring.k=101"), "[scoring] k is 101; it must be from 1 to 100"),
        (
            ("--keys", "quantity"),
            "--keys are columns beside the predictions of a table's rows, and a log's users have",
        ),
        (
            ("--set", "scoring.keys=['quantity']"),
            "[scoring] keys are columns beside the predictions of a table's rows",
        ),
        (
            ("--set", "scoring.logged_share=0.5"),
            "[scoring] logged_share is of the rows of a table, and what a model is",
        ),
        (("--set", "scoring.keep=-1"), "[scoring] keep is -1; it must be 0 (all) or more."),
        (("--set", "log.user=customer"), "has no column 'customer', which [log] user names"),
    ],
)
def test_what_means_nothing_for_a_log_is_refused_at_once(
    shop: Path, more: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(shop, *SHOP, *more, file="log") == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_a_model_of_another_kind_than_the_dataset_is_not_asked(
    workdir: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ours, theirs in (("shop", "taxi"), ("taxi", "shop")):
        (workdir / "runs" / ours / "serving" / ours / "17" / LEARNER).write_text(
            json.dumps({"settings": {**config.load(theirs, "laptop").settings.to_json(), "training": {}}})
        )
    assert ask(shop, *SHOP, file="log") == ask(workdir) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert (
        "was learned from a table of rows, and shop is a behaviour log now: give another --version" in first
    )
    assert "was learned from a behaviour log, and taxi is a table of rows now" in second


def test_a_model_that_is_told_kinds_needs_a_log_that_has_them(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = shop / "runs" / "shop" / "serving" / "shop" / "17" / LEARNER
    tables = json.loads(learner.read_text())["settings"]
    tables["log"]["events"] = {"column": "event", "weights": {"buy": 1.0}, "in_requests": True}
    learner.write_text(json.dumps({"settings": tables}))
    assert ask(shop, *SHOP, file="log") == 2
    assert "is told the kinds of events, and shop has no [log.events]: add it" in capsys.readouterr().err


def test_what_is_not_given_is_as_the_dataset_file_says(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--workdir", str(workdir / "runs"), "--dry-run"]
    for key, place in (("input", workdir / "trips.csv"), ("output", workdir / "out")):
        assert score.main(given) == 2
        assert f"There is no {key}: give --{key}, or set {key} in [scoring]." in capsys.readouterr().err
        given += ["--set", f"scoring.{key}='{place}'"]
    assert score.main(given) == 0
    assert score.main([*given, "--set", "scoring.keys=['order']"]) == 2
    assert "no column 'order'" in capsys.readouterr().err


def test_rows_are_logged_only_where_the_data_gate_finds_and_can_read_them(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged = ("--set", "scoring.logged_share=0.1")
    assert ask(workdir, *logged) == 2
    assert "[drift] has no serving_logs" in capsys.readouterr().err
    (workdir / "logs").mkdir()
    logged = (*logged, "--set", f"drift.serving_logs='{workdir / 'logs'}'")
    assert ask(workdir, *logged) == 0
    (workdir / "logs" / "today.csv").touch()
    assert ask(workdir, *logged) == 2
    assert "has CSV files (today.csv), and [scoring] logged_share adds TFRecords" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "status", "is_wrapped"), [(signal.SIGINT, 130, False), (signal.SIGTERM, 143, True)]
)
def test_an_interrupted_call_leaves_no_job_on_the_engine_and_one_after_a_killed_call_cancels_its(
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
    status: int,
    is_wrapped: bool,
) -> None:
    flink, names = Answers(), []

    def begin(request: Request, make_pipeline: Callable[[], Any], tell: Any) -> None:
        """As a job is begun, and then the user, or the machine, has enough."""
        (job_name,) = [text for text in make_pipeline() if text.startswith("--job_name=")]
        names.append(job_name.partition("=")[2])
        flink.jobs.append(
            {"jid": f"job-{len(names)}", "name": names[-1], "state": "RUNNING", "tasks": {"total": 9}}
        )
        try:
            os.kill(os.getpid(), number)
            time.sleep(9)
        except KeyboardInterrupt:
            if is_wrapped:
                raise RuntimeError("KeyboardInterrupt [while running 'ScoreBlocks']")  # noqa: B904 - as Beam
            raise

    # Beam takes seconds to import, and is not what is tested.
    spec = find_spec("apache_beam")
    beam = SimpleNamespace(__spec__=spec, Pipeline=lambda argv: argv)
    monkeypatch.setitem(sys.modules, "apache_beam", beam)
    monkeypatch.setitem(sys.modules, "components.scoring.job", SimpleNamespace(predict=begin))
    monkeypatch.setattr(score, "check_engine", lambda beam, files: None)
    options = json.dumps([f"--flink_master={flink.address}", "--environment_type=EXTERNAL"])
    given = ["--workdir", str(workdir / "runs"), "--input", str(workdir / "trips.csv"), "--output", str(workdir / "out"),
             "--profile", "flink", "--set", f"beam.options={options}"]  # fmt: skip
    assert score.main(given) == status
    said = capfd.readouterr()
    assert "the same command goes on where this one stopped" in said.err
    assert f"the Flink job {names[0]} was cancelled" in said.out
    assert flink.cancelled == ["job-1"] and flink.jobs[0]["state"] == "CANCELED"

    flink.jobs[0]["state"] = "RUNNING"
    assert score.main(given) == status
    assert names[0] == names[1] and flink.cancelled == ["job-1", "job-1", "job-2"]
    flink.close()


def test_without_a_pushed_model_it_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trips.csv").write_text(f"{HEADER}\n")
    assert ask(tmp_path) == 2
    assert "none has been pushed: `make run` makes one" in capsys.readouterr().err


def test_predictions_of_something_else_are_not_mixed_with_these(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = workdir / "out"
    out.mkdir()
    (out / ".scoring.json").write_text(json.dumps({"state": "of another input"}))
    assert ask(workdir) == 2
    assert "holds other files, or predictions of another input or model" in capsys.readouterr().err
    (out / ".scoring.json").write_text("not JSON")
    assert ask(workdir) == 2
