"""Asks the exported model what a server would ask it, before it is pushed, without Docker.

TFX's InfraValidator needs Docker or a cluster's API, and TFX's own Kubeflow compiler refuses it. Here
the SavedModel is loaded by a fresh process under limits of time and memory, and by a
`tensorflow_model_server` too where one is installed. The blessing has the form of InfraValidator's, which
the Pusher understands; a blessed model is passed on with the requests as its warm-up requests.
"""

import functools
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.serving_check.answers import Answer, check_answers, compare_served, read_answer
from components.serving_check.isolated_replay import replay_isolated
from components.serving_check.model_server import BINARY, ask_server
from components.serving_check.recommendations import check_recommendations, make_log_replays, read_catalogue
from components.serving_check.requests import (
    Replay,
    SignatureDef,
    UnservableError,
    make_replays,
    read_many,
    read_signatures,
)
from components.serving_check.settings import Serving
from components.serving_check.warmup import write_warmup
from trainer_module.settings import Settings

_LOG = logging.getLogger(__name__)

Check = Callable[[Sequence[Replay], Sequence[Answer], Mapping[str, SignatureDef]], list[str]]
"""Requests, their answers and what the model promises → a sentence for each thing that is wrong."""

REFUSED = "INFRA_NOT_BLESSED"
"""File in the blessing of a refused model: one sentence a line."""


@component
def ServingCheckStep(
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    schema: InputArtifact[standard_artifacts.Schema],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    model_name: Parameter[str],
    settings: Parameter[str],
    limits: Parameter[str],
) -> None:
    """Blesses the model, or says in `REFUSED` why not; never fails because of what a model does.

    Args:
      model: From the Trainer.
      examples: Raw, whose eval split the requests are made from.
      schema: Of the raw examples.
      blessing: Gets the property ``blessed``, and, if it is 1, the model with warm-up requests.
      model_name: What servers will call the model.
      settings: `Settings.to_json` as JSON text.
      limits: What `Serving` says of one model, as JSON text.
    """
    files = tf.io.gfile.glob(os.path.join(artifact_utils.get_split_uri([examples], "eval"), "*"))
    exported = Path(path_utils.serving_model_dir(model.uri))
    schema_text = (Path(schema.uri) / "schema.pbtxt").read_text()
    serving = Serving(**json.loads(limits))
    replays: list[Replay] = []
    catalogue: list[str] = []
    learned = Settings.from_json(json.loads(settings))
    try:
        rows = read_many(files, serving.large_batch)
        if learned.log:
            catalogue = read_catalogue(exported, read_signatures(exported))
            replays = make_log_replays(model_name, rows, learned.log, serving.large_batch, catalogue)
        else:
            replays = make_replays(
                model_name,
                read_signatures(exported),
                rows,
                learned,
                _required(schema_text),
                serving.large_batch,
            )
        check: Check = check_answers
        if learned.log:
            check = functools.partial(check_recommendations, catalogue=catalogue)
        replays, refusals = check_model(exported, replays, serving, check)
    except UnservableError as error:
        refusals = [str(error)]
    for refusal in refusals:
        _LOG.info("refused: %s", refusal)
    directory = Path(blessing.uri)
    directory.mkdir(parents=True, exist_ok=True)
    blessing.set_int_custom_property("blessed", int(not refusals))
    if refusals:
        (directory / REFUSED).write_text("\n".join(refusals) + "\n")
        return
    stamped = Path(path_utils.stamped_model_path(blessing.uri))
    shutil.copytree(exported, stamped)
    write_warmup(stamped, [replay.request for replay in replays])
    blessing.set_int_custom_property("has_model", 1)
    (directory / "INFRA_BLESSED").touch()


class ServingCheck(ServingCheckStep):  # type: ignore[valid-type,misc]  # TFX's decorator makes it a class.
    """See `ServingCheckStep`."""

    def __init__(self, settings: Settings, serving: Serving, **inputs: Any) -> None:
        """Takes the sections for `settings` and `limits`, and all else as `ServingCheckStep` does."""
        # How many versions stay is the Pusher's: with it, every change of it would repeat this step.
        limits = {name: value for name, value in vars(serving).items() if name != "keep_versions"}
        super().__init__(
            settings=json.dumps(settings.to_json(), sort_keys=True),
            limits=json.dumps(limits, sort_keys=True),
            **inputs,
        )


def check_model(
    model: Path, replays: Sequence[Replay], limits: Serving, check: Check = check_answers
) -> tuple[list[Replay], list[str]]:
    """Asks `model` every request, in a process of its own and on a model server if there is one.

    Returns:
      The requests with the inputs that were used, and a sentence for each thing that is wrong.

    Raises:
      UnservableError: If not all requests were answered.
    """
    signatures = read_signatures(model)
    with tempfile.TemporaryDirectory() as scratch:
        replayed = replay_isolated(model, replays, Path(scratch), limits)
        asked = [Replay(replay.case, log.request) for replay, log in zip(replays, replayed.logs, strict=True)]
        answers = [read_answer(log.response) for log in replayed.logs]
        refusals = check(asked, answers, signatures)
        _LOG.info(
            "%d requests answered; loaded in %.1f s, %.0f MiB at most",
            len(asked), replayed.load_seconds, replayed.peak_mib,
        )  # fmt: skip
        server = shutil.which(BINARY)
        if server is None or refusals:
            return asked, refusals
        served = ask_server(server, model, asked, Path(scratch) / "server", limits)
    for protocol, theirs in served.items():
        refusals += compare_served(protocol, asked, answers, theirs)
    return asked, refusals


def _required(schema_text: str) -> frozenset[str]:
    """Features that every example must have, or nothing can parse it."""
    schema = text_format.Parse(schema_text, schema_pb2.Schema())
    specification = tft.tf_metadata.schema_utils.schema_as_feature_spec(schema).feature_spec
    return frozenset(
        name
        for name, spec in specification.items()
        if isinstance(spec, tf.io.FixedLenFeature) and spec.default_value is None
    )
