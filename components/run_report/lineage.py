"""What the boxes of the lineage graph say: one for each artifact that led to the model."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SHOWN = {
    "ExampleGen": ("examples", "Data"),
    "SchemaGen": ("schema", "Schema"),
    "Transform": ("transform_graph", "Transformed data"),
    "Trainer": ("model", "Model"),
    "BaselineModel": ("model", "Live model before"),
    "ServingCheck": ("blessing", "Serving check"),
    "Evaluator": ("evaluation", "Evaluation"),
    "Pusher": ("pushed_model", "Pushed model"),
}
"""Node → the output that stands for it, and its title; from top left to bottom right."""

_DIGITS = 12
"""Of a fingerprint, as far as it is shown."""


def make_box(
    node: str,
    path: Path,
    properties: Mapping[str, Any],
    code: str = "",
    remark: str = "",
    facts: tuple[str, ...] = (),
) -> dict[str, Any]:
    """One box: {id, title, lines}.

    Args:
      node: One of `SHOWN`.
      path: Of the artifact.
      properties: Of the artifact, custom ones included.
      code: Fingerprint of the code that made it, or "".
      remark: Who made it.
      facts: More lines, before the others.
    """
    lines = [*facts, *_facts(node, path, properties)]
    if code:
        lines.append(f"code {code}")
    return {"id": node, "title": SHOWN[node][1], "lines": [*lines[:2], remark] if remark else lines[:3]}


def _facts(node: str, path: Path, properties: Mapping[str, Any]) -> list[str]:
    match node:
        case "ExampleGen":
            # ExampleGen's digest of what is in the files.
            content = str(properties.get("input_fingerprint", ""))[:_DIGITS]
            return [*_window(path), *([f"content {content}"] if content else [])]
        case "SchemaGen":
            file = path / "schema.pbtxt"
            return [f"content {_digest(file.read_bytes())}"] if file.is_file() else []
        case "BaselineModel":
            version = properties.get("version")
            return (
                [f"version {version}", f"identity {properties.get('identity')}"] if version else ["none yet"]
            )
        case "ServingCheck":
            return ["passed" if properties.get("blessed") == 1 else "refused"]
        case "Pusher":
            version = properties.get("pushed_version")
            return [f"version {version}" if version else "not pushed"]
    return []


def _window(path: Path) -> list[str]:
    """The spans that the examples are of, where the source has spans."""
    file = path / "window.json"
    spans = json.loads(file.read_text()).get("window", []) if file.is_file() else []
    return [f"{len(spans)} span(s), {spans[0]} to {spans[-1]}"] if spans else []


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
