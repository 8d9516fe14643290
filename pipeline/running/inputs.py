"""What a run depends on, as fingerprints, so that a scheduler's run can tell that there is nothing to do.

Only the standard library and the configuration: the answer must not cost an import of TFX.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from components.example_gen import span_store
from foundation import registry
from pipeline.config import ROOT, Config
from pipeline.fingerprint import CONVERTER_FILES, fingerprint
from pipeline.running import preflight
from pipeline.workspace import Workspace

# The graph names the learner's entry points by import path, so that importing the graph does not lead there.
_ENTRY_POINTS = ("pipeline.graph", "trainer_module.preprocessing", "trainer_module.run")
_ROOMS = ("trainer_module.features", "trainer_module.tasks", "trainer_module.models")
# These decide where a run happens and who hears of it, not what comes out.
_WITHOUT_EFFECT = ("profile", "dataset_file", "kubeflow", "steps", "notify")

DESCRIPTIONS = {"data": "the data", "code": "the code", "configuration": "the configuration"}
"""Key of `read_inputs` → what to call it."""


@dataclasses.dataclass(frozen=True)
class Data:
    """What is in the window now.

    `window_end` is the newest span's name, empty for a table without spans: a span that arrives from now
    on is the next run's. A file that was only touched leaves the `fingerprint` as it is.
    """

    window_end: str
    fingerprint: str


def read_data(config: Config, workspace: Workspace, source: Path) -> Data:
    """Reads what it must of the window's files.

    Args:
      config: What the run does.
      workspace: Whose store of spans remembers what is in files that have not changed.
      source: The folder of the dataset's files.
    """
    window = preflight.find_window(config, source)
    contents = span_store.content_digests(workspace.spans, {span.name: span.files for span in window.spans})
    newest = window.newest.name if config.source.has_spans else ""
    return Data(newest, span_store.window_fingerprint(contents))


def read_inputs(config: Config, data: Data) -> dict[str, str]:
    """Fingerprints of the data, the code and the configuration."""
    return {"data": data.fingerprint, **read_without_data(config)}


def read_without_data(config: Config) -> dict[str, str]:
    """Fingerprints of the code and the configuration."""
    # All that can be chosen, so that another choice is a change of the configuration alone.
    known = {f"{room}.{name}" for room in _ROOMS for name in registry.names(room)}
    chosen = sorted(known | set(config.settings.modules))
    code = [fingerprint(ROOT, name, chosen=chosen) for name in _ENTRY_POINTS]
    if config.app.formats:
        code.append(fingerprint(ROOT, "components.app_exporter.component", *CONVERTER_FILES))
    return {"code": _digest(code), "configuration": _configuration(config)}


def describe_change(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    """What differs, in words; empty where nothing does."""
    changed = [name for key, name in DESCRIPTIONS.items() if now.get(key) != before.get(key)]
    return " and ".join(changed)


def _configuration(config: Config) -> str:
    decisive = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _WITHOUT_EFFECT
    }
    schema = config.schema_file.read_text() if config.schema_file else None
    return _digest([decisive, schema])


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # The kind tells a bucketized from a hashed feature of the same name and number of buckets.
        return {"kind": type(value).__name__, **vars(value)}
    return str(value)
