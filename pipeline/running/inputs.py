"""What a run depends on, as fingerprints, so that a scheduler's run can tell that there is nothing to do.

Only the standard library and the configuration: the answer must not cost an import of TFX.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from components.example_gen import span_store
from components.example_gen.source_format import source_format
from foundation import registry
from pipeline.config import ROOT, Config
from pipeline.fingerprint import content_digests, fingerprint
from pipeline.nodes import STEPS
from pipeline.running import preflight
from pipeline.workspace import Workspace

# How the steps are wired and what they are told; what a step does is its own code, and its settings' values
# are the configuration's.
_WIRING = ("pipeline/graph.py", "pipeline/quality.py")

_CHOICES = tuple(f"trainer_module.{room}" for room in ("features", "losses", "metrics", "models", "tasks"))


@dataclasses.dataclass(frozen=True)
class Data:
    """The data that a run would train on now.

    `window_end` is the newest span's name, empty for a table without spans: a span that arrives from now
    on is the next run's. A file that was only touched leaves the `fingerprint` as it is.
    """

    window_end: str
    fingerprint: str


def read_data(config: Config, workspace: Workspace, source: Path) -> Data:
    """Reads the window's files below `source`, but for those that the workspace's store of spans remembers."""
    window = preflight.find_window(config, source)
    contents = span_store.content_digests(
        workspace.spans,
        {span.name: span.files for span in window.spans},
        source_format(config.source.format, config.reading).digest,
    )
    newest = window.newest.name if config.source.has_spans else ""
    return Data(newest, span_store.window_fingerprint(contents))


def read_inputs(config: Config, data: Data) -> dict[str, str]:
    """Fingerprints of the data, the code and the configuration."""
    return {"data": data.fingerprint, **read_without_data(config)}


def read_without_data(config: Config) -> dict[str, str]:
    """Fingerprints of the code and the configuration."""
    steps = [STEPS[node] for node in config.nodes]
    code = [fingerprint(ROOT, *step.code, files=step.files) for step in steps]
    # All that the learner can be given, so that another choice is a change of the configuration alone.
    choices = {f"{package}.{name}" for package in _CHOICES for name in registry.names(package)}
    choices |= {module for step in steps for module in step.chosen(config)}
    chosen = fingerprint(ROOT, *sorted(choices))
    wiring = fingerprint(ROOT, files=_WIRING)
    return {"code": _digest([code, chosen, wiring]), "configuration": _configuration(config)}


def describe_change(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    """What differs, in words; empty where nothing does."""
    changed = [f"the {key}" for key in ("data", "code", "configuration") if now.get(key) != before.get(key)]
    return " and ".join(changed)


def _configuration(config: Config) -> str:
    decisive = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name == "name" or any(table.steps for table in field.metadata.values())
    }
    schema = config.schema_file.read_text() if config.schema_file else None
    contents = content_digests(config.settings.named_files)
    return _digest([decisive, schema, *([contents] if contents else [])])


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # The kind tells a bucketized from a hashed feature of the same name and number of buckets.
        return {"kind": type(value).__name__, **vars(value)}
    return str(value)
