"""Which pushed model is live."""

from pathlib import Path

from components.pusher.versions import newest_version
from foundation.saved_model import identity


def make(directory: Path, version: str, *, fingerprint: bytes = b"f", whole: bool = True) -> Path:
    model = directory / version
    model.mkdir(parents=True)
    (model / "fingerprint.pb").write_bytes(fingerprint)
    if whole:
        (model / "saved_model.pb").write_bytes(b"")
    return model


def test_the_greatest_number_is_live(tmp_path: Path) -> None:
    for version in ("9", "10", "latest", ".11.unfinished"):
        make(tmp_path, version)
    assert newest_version(tmp_path) == tmp_path / "10"


def test_a_version_without_a_whole_model_is_not(tmp_path: Path) -> None:
    make(tmp_path, "9")
    make(tmp_path, "10", whole=False)
    assert newest_version(tmp_path) == tmp_path / "9"


def test_nothing_is_live_where_nothing_was_pushed(tmp_path: Path) -> None:
    assert newest_version(tmp_path / "nowhere") is None
    assert identity(None) == ""


def test_models_are_told_apart_by_their_fingerprint(tmp_path: Path) -> None:
    first, same = make(tmp_path, "1"), make(tmp_path, "2")
    assert identity(first) == identity(same) != identity(make(tmp_path, "3", fingerprint=b"g"))
