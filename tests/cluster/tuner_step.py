"""What the Tuner's step runs in its pod; its text is the pod's command, as tests are not in the image.

The component is the one of the graph, with the parameters that the compiled pipeline gives it.
"""

import json
import logging
import sys
from pathlib import Path

from tfx.types import standard_artifacts
from tfx.types.experimental.simple_artifacts import File

from components.trainer_pods import worker_pods
from components.tuner.component import TunerStep
from pipeline import config
from pipeline.kubeflow import pods

given = json.loads(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
logging.getLogger().setLevel(logging.INFO)
worker_pods.PATIENCE_SECONDS = given["patience_seconds"]
loaded = config.load("taxi", "cluster", given["overrides"])
asked = pods.trial_pods(loaded, loaded.kubeflow)


def artifact(kind: type, path: str, **properties: str) -> object:
    made = kind()
    made.uri = path
    for name, value in properties.items():
        setattr(made, name, value)
    return made


data, here = given["data"], Path("/tmp/step")
TunerStep.EXECUTOR_SPEC.executor_class().Do(
    {
        "examples": [
            artifact(
                standard_artifacts.Examples, f"{data}/transformed_examples", split_names='["train", "eval"]'
            )
        ],
        "transform_graph": [artifact(standard_artifacts.TransformGraph, f"{data}/transform_graph")],
    },
    {
        "best": [artifact(standard_artifacts.HyperParameters, str(here / "best"))],
        "trials": [artifact(File, str(here / "trials"))],
    },
    {
        "configuration": json.dumps(loaded.settings.to_json(), sort_keys=True),
        "tuning": json.dumps(loaded.tuning.to_json(), sort_keys=True),
        "train_splits": '["train"]',
        "parallel": loaded.tuning.parallel,
        "pods": json.dumps(asked) if asked else "",
        "recovery_root": "/mnt/models/recovery",
        "code_fingerprint": "the same",
    },
)
print(json.dumps({path.name: json.loads(path.read_text()) for path in here.glob("*/*")}))
