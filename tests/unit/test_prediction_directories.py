"""Predictions of a schedule, a directory each: which of them are removed, and that nothing else is."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.scoring.pruning import prune
from components.scoring.request import LOCK, SUMMARY
from foundation.lock import locked

NIGHTS = [f"202611{day:02d}-060000" for day in range(1, 7)]


def put(output: Path, name: str, is_complete: bool = True) -> Path:
    directory = output / name
    directory.mkdir(parents=True)
    (directory / ".scoring.json").write_text(json.dumps({"state": name, "begun": 1}))
    (directory / "part-00000-00000.parquet").touch()
    if is_complete:
        (directory / SUMMARY).write_text("{}")
    return directory


@pytest.fixture
def output(tmp_path: Path) -> Path:
    for night in NIGHTS:
        put(tmp_path, night)
    return tmp_path


def visible(output: Path) -> Iterator[str]:
    return (path.name for path in sorted(output.iterdir()))


def test_the_newest_stay_and_none_is_removed_unless_asked_for(output: Path) -> None:
    latest = output / NIGHTS[-1]
    assert prune(output, latest, keep=0) == prune(output, latest, keep=6) == []
    assert [path.name for path in prune(output, latest, keep=2)] == NIGHTS[:4]
    assert [*visible(output)] == NIGHTS[4:]
    assert [path.name for path in prune(output, latest, keep=1)] == NIGHTS[4:5]
    assert prune(output, latest, keep=1) == []


def test_the_latest_counts_and_stays_however_long_ago_it_began(output: Path) -> None:
    """As where a night has the files and the model of an earlier one, and goes on in its directory."""
    assert [path.name for path in prune(output, output / NIGHTS[0], keep=2)] == NIGHTS[1:5]
    assert [*visible(output)] == [NIGHTS[0], NIGHTS[5]]


def test_what_is_not_complete_or_of_somebody_else_stays_and_does_not_count(output: Path) -> None:
    """Also what is called as a prediction is."""
    begun = put(output, "20261007-060000", is_complete=False)
    (output / "20261008-060000").mkdir()
    (output / "20261009-060000").write_text("a file")
    (output / "20261010-060000").symlink_to(output / NIGHTS[2])
    put(output, "by-hand")
    (output / ".20261011-060000.removed-by-me").touch()
    others = {path.name for path in output.iterdir()} - {*NIGHTS}
    assert [path.name for path in prune(output, output / NIGHTS[-1], keep=2)] == NIGHTS[:4]
    assert {*visible(output)} == {*NIGHTS[4:], *others} and (begun / "part-00000-00000.parquet").exists()


def test_one_that_is_being_written_again_stays(output: Path) -> None:
    with locked(output / NIGHTS[0] / LOCK):
        assert [path.name for path in prune(output, output / NIGHTS[-1], keep=1)] == NIGHTS[1:5]
    assert (output / NIGHTS[0] / SUMMARY).exists()


def test_a_removal_that_was_killed_is_finished_by_the_next(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of a directory is never taken for a prediction."""

    def killed(path: Path, ignore_errors: bool) -> None:
        del ignore_errors
        (path / "part-00000-00000.parquet").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", killed)
        prune(output, output / NIGHTS[-1], keep=5)
    assert [*visible(output)] == [f".{NIGHTS[0]}.removed", *NIGHTS[1:]]
    assert prune(output, output / NIGHTS[-1], keep=5) == []
    assert [*visible(output)] == NIGHTS[1:]
