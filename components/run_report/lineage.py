"""What the boxes of the lineage graph say: one for each artifact that led to the model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Box:
    """One artifact: its step's id, and what the box says."""

    id: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Lineage:
    """`boxes` in the order of a run, `edges` from id to id between all steps, and `source`, a caption."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str], ...]
    source: str


def make_box(
    node: str,
    path: Path,
    properties: Mapping[str, Any],
    code: str = "",
    remark: str = "",
    facts: tuple[str, ...] = (),
) -> Box:
    """The box of a step's artifact, which is at `path` and has `properties`, custom ones included.

    `code` is the fingerprint of what made it, `remark` says who did, and `facts` are lines before all others.
    """
    lines = [*facts, *_facts(node, path, properties), *([f"code {code}"] if code else [])]
    return Box(node, SHOWN[node][1], (*lines[:2], remark) if remark else tuple(lines[:3]))


def _facts(node: str, path: Path, properties: Mapping[str, Any]) -> list[str]:
    match node:
        case "ExampleGen":
            # ExampleGen's digest of what is in the files.
            content = str(properties.get("input_fingerprint", ""))[:_DIGITS]
            return [*_window(path), *([f"content {content}"] if content else [])]
        case "SchemaGen":
            if not (file := path / "schema.pbtxt").is_file():
                return []
            return [f"content {hashlib.sha256(file.read_bytes()).hexdigest()[:_DIGITS]}"]
        case "BaselineModel":
            if version := properties.get("version"):
                return [f"version {version}", f"identity {properties.get('identity')}"]
            return ["none yet"]
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
