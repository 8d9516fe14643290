"""What tells one SavedModel from another."""

import hashlib
from pathlib import Path

_BLOCK = 1 << 20


def identity(model: str | Path | None) -> str:
    """The same for copies of one saved model, and no other's; empty for none.

    It is of the content of the graph, the variables and the assets, so that a damaged copy is told from a whole one;
    what a server is given besides (`assets.extra`) does not count. TensorFlow writes `fingerprint.pb` with every
    SavedModel; what has none is not taken for one.
    """
    if not model or not Path(model, "fingerprint.pb").is_file():
        return ""
    digest = hashlib.sha256()
    for part in ("fingerprint.pb", "saved_model.pb", "variables", "assets"):
        for path in sorted([Path(model, part), *Path(model, part).rglob("*")]):
            if path.is_file():
                digest.update(f"{path.relative_to(model)}\0{path.stat().st_size}\0".encode())
                with path.open("rb") as file:
                    while block := file.read(_BLOCK):
                        digest.update(block)
    return digest.hexdigest()[:16]
