"""What the Trainer's step runs in its pod; its text is the pod's command, as tests are not in the image.

    python -c TEXT '{"overrides": [...], "data": "/mnt/models/transformed", ...}'

The run_fn is the one that the compiled pipeline names, with the configuration that it gets there. Without data
the files are there and empty, for workers that only pretend to train.
"""

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

from components.trainer_pods import distributed_trainer, kubernetes_api, worker_pods
from pipeline import config
from pipeline.kubeflow import pods

given = json.loads(sys.argv[1])
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
# As after an hour or two, in a test's seconds.
worker_pods.PATIENCE_SECONDS = given["patience_seconds"]
worker_pods._KEEP_FINISHED_SECONDS = given["keep_finished_seconds"]
kubernetes_api._AWAY_SECONDS = given["away_seconds"]

loaded = config.load("taxi", "cluster", given["overrides"])
asked = pods.worker_pods(loaded, loaded.kubeflow)
here = Path("/tmp/step")
data = Path(given["data"] or here)
if not given["data"]:
    (data / "transform_graph").mkdir(parents=True)
    for split in ("train", "eval"):
        (data / f"transformed_examples/Split-{split}").mkdir(parents=True)
        (data / f"transformed_examples/Split-{split}/rows.gz").write_bytes(b"")
arguments = SimpleNamespace(
    train_files=[f"{data}/transformed_examples/Split-train/*"],
    eval_files=[f"{data}/transformed_examples/Split-eval/*"],
    transform_graph_path=f"{data}/transform_graph",
    base_model=None,
    hyperparameters=None,
    serving_model_dir=f"{here}/out/Format-Serving",
    model_run_dir=f"{here}/out/run",
    custom_config={
        **loaded.settings.to_json(),
        "recovery_root": "/mnt/models/recovery",
        **({"worker_pods": asked} if asked else {}),
    },
)
try:
    if asked:
        distributed_trainer.run_fn(arguments)
    else:
        from trainer_module.run import run_fn

        run_fn(arguments)
except Exception as error:
    sys.exit(f"Trainer failed: {type(error).__name__}: {error}")
report = here / "out/run/training.json"
print("Trainer done:", *sorted(str(path.relative_to(here)) for path in here.glob("out/*/*")))
print(json.dumps(json.loads(report.read_text())) if report.exists() else "{}")
