"""Directories of spans and of versions in which anything may lie: one sentence or a success, and nothing is lost."""

import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import local_runner
from components.pusher.versions import check_live, list_versions
from foundation.saved_model import identity
from pipeline import models, retrain

from .test_full_disks import make_model, make_serving, memory_only
from .test_fuzz import ask, bounded, check

__all__ = ["memory_only"]

DATASET = """
name = "shop"
[source]
format = "csv"
path = "data"
pattern = "{pattern}"
[window]
spans = 3
missing = "ignore"
[label]
task = "binary"
column = "paid"
[features]
price = {{ kind = "numeric" }}
[training]
global_batch_size = 8
[gates.auc]
min = 0.5
"""
PATTERNS = ["{YYYY}-{MM}-{DD}/*.csv", "{SPAN}/*.csv", "{SPAN}/v{VERSION}/*.csv", "{SPAN:3}.csv*", "*/*.csv"]
NUMBERS = ["0", "1", "01", "001", "7", "2", "9" * 30, "-1", "1.5", "²", "٣", "007"]
SPANS = st.sampled_from(
    ["2026-01-01", "2026-01-02", "2026-02-30", "2026-1-1", "2099-01-01", "0000-00-00", "0001-01-01", "9999-12-31",
     "２０２６-01-01", ".2026-01-01", "2026-01-01.unfinished", "latest", "a\nb", "v1", "[x]", "{SPAN}", *NUMBERS]
)  # fmt: skip
FILES = st.sampled_from(
    [
        "rows.csv",
        "day.csv",
        "rows.csv.gz",
        ".rows.csv",
        "rows.csv~",
        "_SUCCESS",
        "v1",
        "v01",
        "é.csv",
        "a b.csv",
    ]
)
GOOD = b"price,paid\n1,0\n2,1\n"
CONTENTS = st.one_of(
    st.sampled_from(
        [GOOD, b"", b"price,paid\n", b"\n\n", b"price\n1\n", b"\xff\xfe\x00", b"price,paid\n1,0\n\x00\x00\n", GOOD[:-3],
         gzip.compress(GOOD), gzip.compress(GOOD)[:-9], b'price,paid\n"1,0\n2', b"paid,price,paid\n1,2,3\n"]
    ),
    st.binary(max_size=30),
)  # fmt: skip
KINDS = st.sampled_from(
    ["file", "file", "file", "empty directory", "link", "link to nothing", "link to itself"]
)
ENTRIES = st.lists(st.tuples(SPANS, st.none() | FILES, KINDS, CONTENTS), max_size=6)


def put(path: Path, kind: str, content: bytes, elsewhere: Path) -> None:
    """Lays something at `path`, unless that is taken or its parent is no directory."""
    if path.parent.is_symlink() or (path.parent.exists() and not path.parent.is_dir()) or lexists(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_bytes(content)
    elif kind == "empty directory":
        path.mkdir()
    else:
        path.symlink_to({"link": elsewhere, "link to nothing": "/nowhere", "link to itself": path.name}[kind])


def lexists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def everything(root: Path) -> dict[str, bytes]:
    """What lies below a directory: files with their content, links with where they lead."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[str(path)] = str(path.readlink()).encode()
        elif path.is_file():
            found[str(path)] = path.read_bytes()
        else:
            found[str(path)] = b"/"
    return found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@bounded
@given(pattern=st.sampled_from(PATTERNS), entries=ENTRIES)
def test_a_directory_of_spans_is_read_or_refused_and_stays_as_it_is(
    pattern: str, entries: Sequence[tuple[str, str | None, str, bytes]]
) -> None:
    shutil.rmtree("data", ignore_errors=True)
    data = Path("data")
    data.mkdir()
    outside = Path("outside").absolute()
    outside.mkdir(exist_ok=True)
    (outside / "rows.csv").write_bytes(GOOD)
    Path("shop.toml").write_text(DATASET.format(pattern=pattern))
    for span, name, kind, content in entries:
        path = data / span if name is None else data / span / name
        put(path, kind, content, outside if name is None else outside / "rows.csv")
    before = everything(data)
    statuses = set()
    for main in (local_runner.main, retrain.main):
        status, error = ask(main, ["--dry-run", "--dataset", "shop.toml", "--workdir", "runs"])
        check(status, error.replace(str(data.absolute()), "data"), (0, 2, 65))
        assert error.count("\n") <= 1 or "future" in error
        statuses.add(bool(status))
    # Both commands say the same of the same directory.
    assert len(statuses) == 1
    assert everything(data) == before and not Path("runs").exists()


VERSIONS = st.sampled_from(
    [
        *NUMBERS,
        "9" * 18,
        "8" * 19,
        ".1.unfinished",
        ".2.removed",
        "tmp",
        "models.config",
        "1795448868",
        "a\nb",
    ]
)
DAMAGES = st.sampled_from(["none", "truncated", "no saved_model.pb", "release.json", "empty"])


@bounded
@given(
    entries=st.lists(st.tuples(VERSIONS, KINDS, CONTENTS), max_size=4),
    damage=DAMAGES,
    commands=st.lists(
        st.sampled_from(
            ["list", "prune", "prune --keep 1", "rollback {before}", "config --canary {newest}", "rollback 7"]
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_a_directory_of_versions_is_read_or_refused_and_no_model_is_lost(
    entries: Sequence[tuple[str, str, bytes]], damage: str, commands: Sequence[str]
) -> None:
    for directory in ("runs", "made", "model"):
        shutil.rmtree(directory, ignore_errors=True)
    serving = make_two_versions(Path("runs/taxi/serving"))
    outside = make_model(Path("model").absolute(), b"somebody else's")
    newest, before = list_versions(serving)
    foreign = []
    for name, kind, content in entries:
        put(serving / name, kind, content, outside)
        if not name.endswith((".unfinished", ".removed")):
            foreign.append(serving / name)
    break_version(newest.path, damage)
    whole, outside_before = identity(before.path), everything(outside)
    for command in commands:
        arguments = command.format(newest=newest.number, before=before.number).split()
        check(*ask(models.main, ["--workdir", "runs", *arguments]))
    assert [path for path in foreign if not lexists(path)] == [], "what is not ours stays"
    assert everything(outside) == outside_before
    # A model that was whole is still there, unless nothing was damaged and somebody asked for no more than one.
    left = [identity(each.path) for each in list_versions(serving)]
    assert whole in left or (damage == "none" and "prune --keep 1" in commands)
    assert damage != "none" or check_live(serving)[0] is not None


def make_two_versions(parent: Path) -> Path:
    """A serving directory with two versions that were pushed."""
    parent.mkdir(parents=True)
    serving = make_serving(Path("made"))
    serving.rename(parent / "taxi")
    return parent / "taxi"


def break_version(version: Path, damage: str) -> None:
    if damage == "truncated":
        next((version / "variables").iterdir()).write_bytes(b"")
    elif damage == "no saved_model.pb":
        (version / "saved_model.pb").unlink()
    elif damage == "release.json":
        (version / "assets.extra" / "release.json").write_text("[" * 2000)
    elif damage == "empty":
        shutil.rmtree(version)
        version.mkdir()
