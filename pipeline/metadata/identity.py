"""The name of a workspace's pipeline in ML Metadata; standard library only.

TFX finds caches and runs by it, and knows neither directories nor machines. In a file of the workspace it is the
pipeline's own. In a database that others use it is also the workspace's: two of one dataset, on one machine or on two,
share no cache and no history.
"""

import hashlib
import uuid
from pathlib import Path

from foundation.replacing import replace_file
from pipeline.workspace import Workspace

_DIGITS = 12
"""Hexadecimal, after at most 50 characters of the pipeline's name and a full stop: TFX takes 63 in all."""


def ensure_identity(workspace: Workspace) -> None:
    """Gives a workspace that has none its identity; call it with the workspace's lock held."""
    if not _read(workspace.identity):
        replace_file(workspace.identity, uuid.uuid4().hex + "\n")


def pipeline_name(workspace: Workspace) -> str:
    """The name in ML Metadata; of a workspace without an identity one that nobody has.

    A workspace that is copied or moved to another path is another: the artifacts that ML Metadata knows are at the old
    one.
    """
    if workspace.database is None:
        return workspace.model_name
    text = f"{_read(workspace.identity)}:{workspace.root}"
    return f"{workspace.model_name}.{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        return ""
