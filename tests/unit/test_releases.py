"""Versions: pushing, going back and pruning, also when killed half-way."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.pusher.versions import (
    RELEASE,
    VersionError,
    list_versions,
    newest_version,
    prune,
    publish,
    roll_back,
)
from pipeline import models

FILES = 60


def make_model(directory: Path, content: str) -> Path:
    """A SavedModel's shape, with enough files for a kill to fall between two of them."""
    (directory / "variables").mkdir(parents=True)
    (directory / "saved_model.pb").write_text(content)
    (directory / "fingerprint.pb").write_text(content)
    for index in range(FILES):
        (directory / "variables" / f"part-{index}").write_text(content * 500)
    return directory


def content_of(version: Path) -> str:
    return (version / "saved_model.pb").read_text()


def is_whole(version: Path) -> bool:
    parts = list((version / "variables").glob("part-*"))
    return len(parts) == FILES and {part.stat().st_size for part in parts} == {len(content_of(version)) * 500}


def push_three(tmp_path: Path) -> tuple[Path, list[int]]:
    serving = tmp_path / "runs" / "taxi" / "serving" / "taxi"
    made = [
        publish(
            make_model(tmp_path / name, name), serving, {"metrics": {"auc": 0.9}, "code_fingerprint": name}
        )
        for name in "abc"
    ]
    return serving, [int(version.name) for version in made]


def test_a_rollback_makes_the_older_model_live_under_a_new_number(tmp_path: Path) -> None:
    serving, (first, second, third) = push_three(tmp_path)
    made = roll_back(serving, first)
    assert newest_version(serving) == made
    assert content_of(made) == "a"
    assert is_whole(made)
    assert [version.number for version in list_versions(serving)] == [int(made.name), third, second, first]
    notes = list_versions(serving)[0].notes
    assert (notes["rolled_back_to"], notes["code_fingerprint"]) == (first, "a")
    # The old version's own notes were linked, and must not have been written through.
    assert "rolled_back_to" not in json.loads((serving / str(first) / RELEASE).read_text())


def test_what_cannot_be_rolled_back_to_is_said(tmp_path: Path) -> None:
    serving, (*_, third) = push_three(tmp_path)
    with pytest.raises(VersionError, match=f"Version {third} is live already"):
        roll_back(serving, third)
    with pytest.raises(VersionError, match=r"There is no version 7 in .*; there are: "):
        roll_back(serving, 7)


def test_retention_keeps_the_newest_and_never_removes_the_live_one(tmp_path: Path) -> None:
    serving, (first, second, third) = push_three(tmp_path)
    # Newer, and without a model: not live, and nobody's version, so that they do not count.
    (serving / str(third + 1)).mkdir()
    (serving / str(third + 2)).mkdir()
    assert newest_version(serving) == serving / str(third)
    assert prune(serving, 2) == [first]
    assert prune(serving, 1) == [second]
    assert newest_version(serving) == serving / str(third)
    with pytest.raises(VersionError, match="at least 1"):
        prune(serving, 0)
    assert prune(tmp_path / "nowhere", 1) == []


CHANGES = """
import itertools, pathlib, sys
from components.pusher.versions import list_versions, newest_version, prune, publish, roll_back
a, b, serving = map(pathlib.Path, sys.argv[1:])
print("ready", flush=True)
for turn in itertools.count():
    publish(a if turn % 2 else b, serving, {})
    versions = [v.number for v in list_versions(serving) if not v.live]
    if versions:
        roll_back(serving, versions[-1])
    prune(serving, 3)
"""


def test_a_server_never_sees_half_a_version_however_often_the_push_is_killed(tmp_path: Path) -> None:
    a, b = make_model(tmp_path / "a", "a"), make_model(tmp_path / "b", "b")
    serving, chance, seen = tmp_path / "serving", random.Random(5), set()
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", CHANGES, str(a), str(b), str(serving)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        before = newest_version(serving)
        deadline = time.monotonic() + 0.02 + chance.random() / 10
        # And one push at least, however slow the machine is.
        while time.monotonic() < deadline or newest_version(serving) == before:
            # What a server that watches would find; a version may go away while it is being looked at.
            newest = newest_version(serving)
            if newest is not None:
                try:
                    whole = is_whole(newest)
                except FileNotFoundError:
                    continue
                assert whole or not newest.exists()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for version in list_versions(serving):
            assert is_whole(version.path)
            seen.add(version.number)
    assert len(seen) >= 12
    # The next push clears away what the kills left.
    publish(a, serving, {})
    assert not [path for path in serving.iterdir() if path.name.endswith((".unfinished", ".removed"))]


def test_the_command_lists_rolls_back_and_prunes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serving, (first, *_, third) = push_three(tmp_path)
    workdir = ["--workdir", str(tmp_path / "runs")]
    assert models.main(workdir) == 0
    listed = capsys.readouterr().out
    assert "auc 0.9000" in listed
    assert "live" in next(line for line in listed.splitlines() if str(third) in line)
    assert models.main([*workdir, "rollback", str(first)]) == 0
    assert f"Version {first} is live again" in capsys.readouterr().out
    assert models.main([*workdir, "rollback", "3"]) == 2
    assert "There is no version 3" in capsys.readouterr().err
    assert models.main([*workdir, "prune", "--keep", "2"]) == 0
    assert len(list_versions(serving)) == 2
    assert models.main([*workdir, "--dataset", "other", "list"]) == 2
    assert "There is no pipeline 'other'" in capsys.readouterr().err


def test_a_canary_is_labelled_beside_the_version_below_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, (first, second, third) = push_three(tmp_path)
    workdir = ["--workdir", str(tmp_path / "runs")]
    assert models.main([*workdir, "config", "--canary", str(third)]) == 0
    text = capsys.readouterr().out
    assert f"versions: {second} versions: {third}" in text
    assert f'key: "stable" value: {second}' in text
    assert f'key: "canary" value: {third}' in text
    assert models.main([*workdir, "config", "--canary", str(first)]) == 2
    assert "none to call stable" in capsys.readouterr().err
    # After a rollback, the version below the canary may be the one that was rolled back from.
    assert models.main([*workdir, "config", "--canary", str(third), "--stable", str(first)]) == 0
    assert f'key: "stable" value: {first}' in capsys.readouterr().out
    assert models.main([*workdir, "config", "--canary", "7"]) == 2
    assert "There is no version 7" in capsys.readouterr().err
