"""Predicting a table: what is refused at once, in one sentence and with status 2, and leaves nothing."""

import json
from pathlib import Path

import pytest

from pipeline import score

HEADER = (
    "trip_miles,fare,trip_seconds,pickup_latitude,pickup_longitude,dropoff_latitude,dropoff_longitude,payment_type,"
    "company,trip_start_hour,trip_start_day,trip_start_month,pickup_census_tract,dropoff_census_tract,"
    "pickup_community_area,dropoff_community_area,trip_start_timestamp"
)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    model = tmp_path / "runs" / "taxi" / "serving" / "taxi" / "17"
    model.mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"model")
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
        (("--keys", "fare,fare"), "trips.csv", "--keys fare,fare names a column twice: remove one."),
        (("--dataset", "shop"), "trips.csv", "its model recommends"),
        (("--set", "source.format='tfrecord'"), "trips.csv", "Only CSV and Parquet"),
    ],
)
def test_what_cannot_be_predicted_is_refused_at_once(
    workdir: Path, more: tuple[str, ...], file: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(workdir, *more, file=file) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


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
