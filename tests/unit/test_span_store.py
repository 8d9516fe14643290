"""Converted spans: found again by their content, whole or not there, and removed only when nobody needs them."""

import os
from pathlib import Path

import pytest

from components.example_gen import span_store
from components.example_gen.span_store import Entry


def add(store: Path, number: int, content: str = "a", version: int | None = None) -> Entry:
    """An entry with a file of one byte in each split."""
    key = span_store.entry_key(f"{number}{content}")
    with span_store.making(store, str(number), key) as directory:
        for split in ("train", "eval"):
            (directory / f"Split-{split}").mkdir()
            (directory / f"Split-{split}" / "data.gz").write_text("x")
        rows = {"train": 1, "eval": 1}
        entry = Entry(str(number), number, version, key, content, rows, {}, ("a.csv",), span_store.now())
        span_store.finish(directory, entry)
    return entry


def settled(path: Path, text: str) -> Path:
    """A file that was written a while ago."""
    path.write_text(text)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_a_digest_is_of_what_is_in_the_files_not_of_their_names_or_times(tmp_path: Path) -> None:
    store = tmp_path / "store"
    first, second = settled(tmp_path / "a.csv", "1"), settled(tmp_path / "b.csv", "2")
    before = span_store.content_digests(store, {"1": [first, second]})
    moved = first.rename(tmp_path / "z.csv")
    os.utime(second)
    assert span_store.content_digests(store, {"1": [second, moved]}) == before
    settled(second, "3")
    assert span_store.content_digests(store, {"1": [second, moved]}) != before
    assert span_store.window_fingerprint(before) == span_store.window_fingerprint({**before})
    assert span_store.window_fingerprint(before) != span_store.window_fingerprint({"2": before["1"]})


def test_a_file_is_read_again_only_after_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, file = tmp_path / "store", settled(tmp_path / "a.csv", "1")
    monkeypatch.setattr(span_store, "_SETTLED_SECONDS", -1)
    before = span_store.content_digests(store, {"1": [file]})
    status = file.stat()
    monkeypatch.setattr(span_store, "_digest_file", lambda file: pytest.fail(f"{file} was read again"))
    assert span_store.content_digests(store, {"1": [file]}) == before
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(pytest.fail.Exception, match="was read again"):
        span_store.content_digests(store, {"1": [file]})


def test_a_file_that_was_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    """It may change again without a newer time."""
    store, file = tmp_path / "store", tmp_path / "a.csv"
    file.write_text("1")
    span_store.content_digests(store, {"1": [file]})
    assert not (store / "digests.json").exists()


def test_an_entry_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    key = span_store.entry_key("a")
    with pytest.raises(RuntimeError), span_store.making(tmp_path, "1", key) as directory:
        (directory / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    half = tmp_path / span_store.identifier("1", key)
    half.mkdir()
    (half / "manifest.json").write_text('{"name": "1"')
    assert span_store.find_entry(tmp_path, "1", key) is None and span_store.list_entries(tmp_path) == []
    entry = add(tmp_path, 1)
    assert span_store.find_entry(tmp_path, "1", entry.key) == entry


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    for name in (".1-aa.unfinished", ".2-bb.removed"):
        (tmp_path / name).mkdir()
    with span_store.exclusive(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_split_is_linked_and_takes_no_room_twice(tmp_path: Path) -> None:
    entry = add(tmp_path / "store", 1)
    span_store.link_split(tmp_path / "store", entry, "train", tmp_path / "Split-train")
    (file,) = (tmp_path / "Split-train").iterdir()
    assert file.name == "1-train-data.gz" and file.stat().st_nlink == 2


def test_a_split_is_copied_where_links_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("Invalid cross-device link")

    entry = add(tmp_path / "store", 1)
    monkeypatch.setattr(os, "link", refuse)
    span_store.link_split(tmp_path / "store", entry, "eval", tmp_path / "Split-eval")
    assert [path.read_text() for path in (tmp_path / "Split-eval").iterdir()] == ["x"]


def test_a_span_is_checked_once_it_is_said_to_be(tmp_path: Path) -> None:
    first, second = add(tmp_path, 1), add(tmp_path, 2)
    span_store.mark_checked(tmp_path, [first.identifier, "3-gone"])
    assert span_store.is_checked(tmp_path, first) and not span_store.is_checked(tmp_path, second)
    assert len(span_store.list_entries(tmp_path)) == 2


def test_the_newest_spans_and_what_is_needed_stay(tmp_path: Path) -> None:
    entries = [add(tmp_path, number) for number in (1, 2, 3, 4)]
    changed = add(tmp_path, 4, "b")
    removed = span_store.prune(tmp_path, 2, [entries[0].identifier])
    assert set(removed) == {entries[1].identifier, entries[3].identifier}
    assert span_store.list_entries(tmp_path) == [entries[0], entries[2], changed]
    assert span_store.prune(tmp_path, 0, []) == [], "0 keeps all"
