"""Caches as narrow as the folders: what runs again after an edit, and whether a scheduler's run would train.

A step also runs again where its inputs changed: after an edit of Transform, all that follows it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import config
from pipeline.config import ROOT
from pipeline.fingerprint import step_fingerprint
from pipeline.nodes import STEPS
from pipeline.running import inputs

PACKAGES = ("pipeline", "components", "trainer_module", "foundation")
TRAINS = "and a scheduler's run trains"

# fmt: off
EDITED = {
    "components/step.py": "",
    "components/app_exporter/tflite.py": f"AppExporter, {TRAINS}",
    "components/app_exporter/farmhash.py": f"AppExporter, {TRAINS}",
    "components/app_exporter/kinds/hashed.py": f"AppExporter, {TRAINS}",
    "components/app_exporter/kinds/hashed.mjs": f"AppExporter, {TRAINS}",
    "components/app_exporter/tfjs/converter/uv.lock": f"AppExporter, {TRAINS}",
    "components/app_exporter/tfjs/runtime/predict.mjs": f"AppExporter, {TRAINS}",
    "components/baseline_model/component.py": f"BaselineModel, {TRAINS}",
    "components/data_gate/checks/labels.py": f"DataGate, {TRAINS}",
    "components/data_gate/drift.py": f"DataGate, {TRAINS}",
    "components/evaluator/arrays/sums.py": f"Evaluator, {TRAINS}",
    "components/evaluator/component.py": f"Evaluator, {TRAINS}",
    "components/evaluator/ranking/measures.py": "",
    "components/example_gen/behaviour_log/sequences.py": f"ExampleGen, Scorer, {TRAINS}",
    "components/example_gen/component.py": f"ExampleGen, {TRAINS}",
    "components/example_gen/reading/records.py": f"ExampleGen, Scorer, {TRAINS}",
    "components/example_gen/sources/csv.py": f"ExampleGen, Scorer, {TRAINS}",
    "components/processes/division.py": f"ExampleGen, StatisticsGen, Transform, Evaluator, Scorer, {TRAINS}",
    "components/pusher/component.py": f"Pusher, {TRAINS}",
    "components/pusher/templates/model_card.md.jinja": f"Pusher, {TRAINS}",
    "components/run_report/charts.py": "RunReport",
    "components/run_report/templates/report.html.jinja": "RunReport",
    "components/schema/reviewed_schema.py": f"SchemaGen, {TRAINS}",
    "components/scoring/blocks.py": "Scorer",
    "components/scoring/users/parts.py": "Scorer",
    "components/serving_check/answers.py": f"ServingCheck, RunReport, {TRAINS}",
    "components/statistics_gen/component.py": f"StatisticsGen, {TRAINS}",
    "components/trainer_pods/worker_pods.py": "",
    "components/transform/shards.py": f"Transform, {TRAINS}",
    "components/tuner/component.py": "Tuner",
    "foundation/process.py": f"Tuner, Trainer, {TRAINS}",
    "pipeline/graph.py": TRAINS,
    "pipeline/retrain.py": "",
    "pipeline/config/loading.py": "",
    "pipeline/engines/options.py": "",
    "pipeline/kubeflow/submit.py": "",
    "pipeline/metadata/connection.py": "",
    "pipeline/notify/events.py": "",
    "pipeline/project/layout.py": "",
    "pipeline/project/templates/Makefile.jinja": "",
    "pipeline/notify/channels/webhook.py": "",
    "pipeline/running/local.py": "",
    "pipeline/runs/report.py": "",
    "pipeline/session/session.py": "",
    "trainer_module/model.py": f"Tuner, Trainer, {TRAINS}",
    "trainer_module/features/hashed.py": f"Transform, Tuner, Trainer, AppExporter, {TRAINS}",
    "trainer_module/losses/focal.py": TRAINS,
    "trainer_module/optimizers/adam.py": f"Tuner, Trainer, {TRAINS}",
    "trainer_module/metrics/r2.py": TRAINS,
    "trainer_module/models/perceptron.py": f"Tuner, Trainer, {TRAINS}",
    "trainer_module/retrieval/network.py": TRAINS,
    "trainer_module/retrieval/encoders/gru.py": "",
    "trainer_module/retrieval/serving/answers.py": "",
    "trainer_module/retrieval/training/comparison.py": TRAINS,
    "trainer_module/second_stage/pairs.py": "",
    "trainer_module/tasks/binary.py": f"DataGate, Transform, Tuner, Trainer, AppExporter, {TRAINS}",
    "trainer_module/preprocessing.py": f"Transform, {TRAINS}",
    "trainer_module/distribution/launcher.py": f"Tuner, Trainer, {TRAINS}",
    "trainer_module/inputs/batches.py": f"Tuner, Trainer, {TRAINS}",
    "trainer_module/training/loop.py": f"Tuner, Trainer, {TRAINS}",
    "trainer_module/tuning/search.py": "Tuner",
    "trainer_module/warm_start/carry_over.py": f"Tuner, Trainer, {TRAINS}",
}
"""A file of each folder → the steps whose code it is, in their order; on a laptop, with an export for apps. `Scorer` is in
no run of the graph: its code is in the cluster's file alone."""
# fmt: on


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copied = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "node_modules", ".*")
        shutil.copytree(ROOT / package, copied / package, ignore=ignored)
    return copied


@pytest.fixture
def read_state(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, str]]:
    monkeypatch.setattr(inputs, "ROOT", tree)
    loaded = config.load("taxi", "laptop", ["app.formats=['tfjs']"])

    def read() -> dict[str, str]:
        code = {node: step_fingerprint(step, loaded, root=tree) for node, step in STEPS.items()}
        return {**code, TRAINS: inputs.read_without_data(loaded)["code"]}

    return read


def test_an_edit_of_a_file_repeats_the_steps_whose_code_it_is_and_no_others(
    tree: Path, read_state: Callable[[], dict[str, str]]
) -> None:
    before, found = read_state(), {}
    for name in EDITED:
        text = (tree / name).read_bytes()
        (tree / name).write_bytes(text + b"# edited\n")
        after = read_state()
        found[name] = ", ".join(key for key in before if after[key] != before[key])
        (tree / name).write_bytes(text)
    assert found == EDITED


def test_a_file_of_each_folder_is_edited(tree: Path) -> None:
    files = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    walked = {Path(name).parent for name in EDITED}
    assert {path.parent for path in files if path.name != "__init__.py"} == walked


def test_every_step_that_runs_our_code_says_which() -> None:
    assert [node for node, step in STEPS.items() if not step.code] == ["ExampleValidator"]
