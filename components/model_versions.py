"""Reading a serving directory, `<directory>/<version>/saved_model.pb`; standard library only."""

import hashlib
from pathlib import Path


def newest_version(directory: Path) -> Path | None:
    """The version that TensorFlow Serving would serve: the greatest number with a whole model."""
    versions = [
        path
        for path in (directory.iterdir() if directory.is_dir() else ())
        if path.name.isdigit() and (path / "saved_model.pb").is_file()
    ]
    return max(versions, key=lambda path: int(path.name), default=None)


def identity(model: Path | None) -> str:
    """What tells one saved model from another; empty for none.

    TensorFlow writes `fingerprint.pb` with every SavedModel: hashes of its graph, its signatures and
    its variables.
    """
    if model is None or not (model / "fingerprint.pb").is_file():
        return ""
    return hashlib.sha256((model / "fingerprint.pb").read_bytes()).hexdigest()[:16]
