"""What tells one SavedModel from another."""

import hashlib
from pathlib import Path


def identity(model: str | Path | None) -> str:
    """The same for copies of one saved model, and no other's; empty for none.

    TensorFlow writes `fingerprint.pb` with every SavedModel: hashes of its graph, its signatures and
    its variables.
    """
    if not model or not Path(model, "fingerprint.pb").is_file():
        return ""
    return hashlib.sha256(Path(model, "fingerprint.pb").read_bytes()).hexdigest()[:16]
