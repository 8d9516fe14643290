"""What a run depends on, as fingerprints, so that a scheduler's run can tell that there is nothing to do.

Only the standard library and the configuration: the answer must not cost an import of TFX.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.config import ROOT, Config
from pipeline.fingerprint import CONVERTER_FILES, fingerprint

# The graph names the learner's entry points by import path, so that importing the graph does not lead there.
_ENTRY_POINTS = ("pipeline.graph", "trainer_module.preprocessing", "trainer_module.run")
# These decide where a run happens and who hears of it, not what comes out.
_WITHOUT_EFFECT = ("profile", "dataset_file", "kubeflow", "steps", "notify")

DESCRIPTIONS = {"data": "the data", "code": "the code", "configuration": "the configuration"}
"""Key of `read_inputs` → what to call it."""


def read_inputs(config: Config, source: Path) -> dict[str, str]:
    """Fingerprints of the data, the code and the configuration.

    Args:
      config: What the run does.
      source: The folder of the dataset's files.
    """
    code = [fingerprint(ROOT, name) for name in _ENTRY_POINTS]
    if config.app.formats:
        code.append(fingerprint(ROOT, "components.app_exporter", *CONVERTER_FILES))
    return {"data": _data(config, source), "code": _digest(code), "configuration": _configuration(config)}


def describe_change(now: Mapping[str, str], before: Mapping[str, str]) -> str:
    """What differs, in words; empty where nothing does."""
    changed = [name for key, name in DESCRIPTIONS.items() if now.get(key) != before.get(key)]
    return " and ".join(changed)


def _data(config: Config, source: Path) -> str:
    """Of names, sizes and times of change, as ExampleGen tells one table from another."""
    files = sorted(file for file in source.glob(config.source.pattern) if file.is_file())
    return _digest([[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files])


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
