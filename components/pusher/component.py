"""TFX's Pusher, so that a version appears whole or not at all, and a live model is not pushed again.

TFX's own Pusher copies into the version's directory file by file: killed in between, it leaves half
a model under a name that a server may pick up. It also pushes the same model again whenever the
Evaluator ran again, which after the first push it always does, because its baseline changed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from absl import logging
from tfx import types
from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import (
    CUSTOM_CONFIG_KEY,
    MODEL_BLESSING_KEY,
    PUSH_DESTINATION_KEY,
    PUSHED_MODEL_KEY,
)
from tfx.utils import io_utils, proto_utils

from components.evaluator.explanation import Explanation, read_explanation
from components.evaluator.verdict import FILE as VERDICT
from components.evaluator.verdict import Verdict, read_verdict
from components.example_gen import span_store
from components.example_gen.span_conversion import WINDOW
from components.pusher.card import Made, render, spans_of
from components.pusher.settings import Card
from components.pusher.versions import list_versions, newest_version, prune, publish
from foundation.saved_model import identity
from trainer_module.settings import LEARNER, Settings


class Executor(executor.Executor):
    """Pushes to a directory of this machine or a mounted volume."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class."""
        self._log_startup(input_dict, output_dict, exec_properties)
        destination = proto_utils.json_to_proto(
            exec_properties[PUSH_DESTINATION_KEY], pusher_pb2.PushDestination()
        )
        directory = Path(destination.filesystem.base_directory)
        settings = json.loads(exec_properties.get(CUSTOM_CONFIG_KEY) or "null") or {}
        window = _read_window(input_dict)
        pushed = artifact_utils.get_single_instance(output_dict[PUSHED_MODEL_KEY])
        if self.CheckBlessing(input_dict):
            model = Path(self.GetModelPath(input_dict))
            verdict, explanation = _judged(input_dict)
            code = settings.get("learner_code", "")
            notes = {
                "metrics": verdict.whole.metrics if verdict else {},
                # The learner's, not this step's: it tells which model code a version is of.
                "code_fingerprint": code,
                **({"spans": {key: window[key] for key in ("window", "entries")}} if window else {}),
            }
            # First all that can fail: once a version is live, the run must say so.
            io_utils.copy_dir(str(model), pushed.uri)
            made = Made(directory.name, _settings_of(model), verdict, explanation, spans_of(window), code)
            version = push(model, directory, notes, render(Card(**settings.get("card", {})), made))
            self._MarkPushed(pushed, pushed_destination=str(version), pushed_version=version.name)
            if "keep_versions" in settings:
                _remove_old(directory, settings["keep_versions"])
        else:
            self._MarkNotPushed(pushed)
        if "span_store" in settings:
            # Here, because this is the last step on every runner, and runs only after the data gate: where a step
            # before it fails, the next run finds all spans again.
            _keep_store(Path(settings["span_store"]), settings["keep_spans"], window, directory)


class Pusher(component.Pusher):
    """See the module."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        directory: str,
        keep_versions: int,
        learner_code: str,
        spans: Mapping[str, Any],
        card: Card = Card(),
        **inputs: Any,
    ) -> None:
        """Takes channels as TFX's Pusher does, and where the newest `keep_versions` versions are to lie.

        `learner_code` is the fingerprint of the code that made the model, which a version carries; `spans`, of a
        table with spans, the `span_store` and how many of them to keep, `keep_spans`, else empty; `card` what only people
        know of the model.
        """
        filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=directory)
        super().__init__(
            push_destination=pusher_pb2.PushDestination(filesystem=filesystem),
            custom_config={
                "keep_versions": keep_versions,
                "learner_code": learner_code,
                "card": asdict(card),
                **spans,
            },
            **inputs,
        )


def push(
    model: Path,
    directory: Path,
    notes: Mapping[str, Any] | None = None,
    texts: Mapping[Path, str] | None = None,
) -> Path:
    """Makes `model` the newest version in `directory`, with `texts` in files beside it.

    Returns:
      The version's directory: a new one named by the Unix time in seconds, or the live one where it
      is this very model.
    """
    live = newest_version(directory)
    if live is not None and identity(live) == identity(model) != "":
        logging.info("Version %s is this model already.", live.name)
        return live
    return publish(model, directory, notes or {}, texts or {})


def _settings_of(model: Path) -> Settings | None:
    """What the model was built from; None where it does not say."""
    file = model / LEARNER
    return Settings.from_learner(json.loads(file.read_text())) if file.is_file() else None


def _judged(input_dict: dict[str, list[types.Artifact]]) -> tuple[Verdict | None, Explanation | None]:
    """What the Evaluator left with its blessing; nothing where nothing was evaluated."""
    for blessing in input_dict.get(MODEL_BLESSING_KEY, []):
        directory = Path(blessing.uri)
        if (directory / VERDICT).is_file():
            return read_verdict(directory), read_explanation(directory)
    return None, None


def _remove_old(directory: Path, keep: int) -> None:
    try:
        logging.info("Removed %d old version(s).", len(prune(directory, keep)))
    except OSError as error:
        logging.warning("Old versions could not be removed (%s): the next push tries again.", error)


def _keep_store(store: Path, keep: int, window: Mapping[str, Any], directory: Path) -> None:
    """Notes that the window's spans have been checked, and removes those that nobody needs any more."""
    needed = set(window.get("entries", ()))
    span_store.mark_checked(store, needed)
    for version in list_versions(directory):
        needed |= set(version.notes.get("spans", {}).get("entries", ()))
    removed = span_store.prune(store, keep, needed)
    logging.info("Removed %d converted span(s).", len(removed))


def _read_window(input_dict: dict[str, list[types.Artifact]]) -> dict[str, Any]:
    """The window that the model was made of, from the blessing; empty for a table without spans."""
    for blessing in input_dict.get(MODEL_BLESSING_KEY, []):
        file = Path(blessing.uri) / WINDOW
        if file.is_file():
            return dict(json.loads(file.read_text()))
    return {}
