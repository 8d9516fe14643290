"""A file that is replaced is whole at every moment."""

import os
from pathlib import Path

import pytest

from foundation.replacing import replace_file


def test_a_replaced_file_appears_whole_in_directories_that_are_made(tmp_path: Path) -> None:
    target = tmp_path / "task" / "output_metadata.json"
    replace_file(target, "{}")
    replace_file(target, "größer")
    assert target.read_text(encoding="utf-8") == "größer"
    assert [path.name for path in target.parent.iterdir()] == ["output_metadata.json"]


def test_what_was_there_stays_when_writing_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run.json"
    replace_file(target, b"before")

    def killed(*paths: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(OSError, match="no space left"):
        replace_file(target, b"after")
    assert target.read_bytes() == b"before"


def test_half_of_a_surrogate_pair_in_somebodys_data_is_spelled_out(tmp_path: Path) -> None:
    replace_file(tmp_path / "report.html", "caf\ud83d")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "caf\\ud83d"
