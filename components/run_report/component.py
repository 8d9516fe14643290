"""The report as a step, where the pipeline runs on Kubeflow Pipelines, whose own page shows it.

KFP's page knows its own artifact types alone: it shows an artifact of type `system.HTML` as the page
that it is, and the numbers among the metadata of one of type `system.Metrics`. The compiler gives the
outputs of this step those types (`pipeline.kubeflow.specification`). There is no ML Metadata to read
on a cluster, so everything comes from the step's inputs; times are what KFP shows itself.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.experimental.simple_artifacts import File, Metrics

from components.evaluator.verdict import read_verdict
from components.run_report import rendering
from components.run_report.anomalies import read_anomalies, read_drift
from components.run_report.decision import decide, key_figures
from components.run_report.evaluation import main_result, present
from components.run_report.lineage import SHOWN, make_box
from components.run_report.statistics import read_statistics
from components.run_report.training import read_training
from components.serving_check.component import REFUSED
from foundation.replacing import replace_file
from foundation.sections import UserError
from trainer_module.settings import Settings

PAGE = "report.html"
METRICS = "metrics.json"


@component
def RunReportStep(
    examples: InputArtifact[standard_artifacts.Examples],
    schema: InputArtifact[standard_artifacts.Schema],
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    model: InputArtifact[standard_artifacts.Model],
    model_run: InputArtifact[standard_artifacts.ModelRun],
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    blessing: InputArtifact[standard_artifacts.ModelBlessing],
    infra_blessing: InputArtifact[standard_artifacts.InfraBlessing],
    report: OutputArtifact[File],
    metrics: OutputArtifact[Metrics],
    name: Parameter[str],
    configuration: Parameter[str],
    edges: Parameter[str],
    code: Parameter[str],
    gate: InputArtifact[standard_artifacts.ExampleAnomalies] = None,
    baseline_model: InputArtifact[standard_artifacts.Model] = None,
    pushed_model: InputArtifact[standard_artifacts.PushedModel] = None,
) -> None:
    """Writes `PAGE` into `report`, and the whole split's metrics into `metrics` and its properties.

    Args:
      examples: And all other inputs: what the run's steps made.
      schema: See above.
      statistics: See above.
      anomalies: See above.
      transform_graph: See above.
      model: See above.
      model_run: See above.
      evaluation: See above.
      blessing: From the Evaluator.
      infra_blessing: From the serving check.
      report: For KFP's `system.HTML`.
      metrics: For KFP's `system.Metrics`.
      name: The pipeline's.
      configuration: The run's, as JSON text.
      edges: [[step, step]] of the graph, as JSON text: whose output goes into which.
      code: Fingerprint of the learner's code.
      gate: The data gate's report; None where it compares nothing.
      baseline_model: None where nothing had been pushed.
      pushed_model: None where nothing was pushed.
    """
    missing: dict[str, str] = {
        "drift": "The data gate compared nothing with earlier data.",
        "timing": "Kubeflow Pipelines shows each step's time itself.",
    }

    def read(section: str, reader: Callable[[Path], Any], artifact: Artifact) -> Any:
        try:
            return reader(Path(artifact.uri))
        except (FileNotFoundError, UserError) as error:
            missing[section] = f"{str(error).rstrip('.')}."
            return None

    verdict = read("evaluation", read_verdict, evaluation)
    found = read("statistics", read_statistics, statistics)
    trained = read("training", read_training, model_run)
    numbers = verdict.whole.metrics if verdict else {}
    result = main_result(verdict) if verdict else ""
    refused = Path(infra_blessing.uri) / REFUSED
    version = str(_properties(pushed_model).get("pushed_version") or "") if pushed_model else ""
    decision = decide(
        status="succeeded",
        error=None,
        judged=verdict is not None,
        blessed=_is_blessed(blessing) and _is_blessed(infra_blessing),
        refusals=[
            *(refused.read_text().splitlines() if refused.is_file() else ()),
            *(verdict.refusals if verdict else ()),
        ],
        pushed_version=version or None,
    )
    artifacts = {
        "ExampleGen": examples, "SchemaGen": schema, "Transform": transform_graph, "Trainer": model,
        "BaselineModel": baseline_model, "ServingCheck": infra_blessing, "Evaluator": evaluation,
        "Pusher": pushed_model,
    }  # fmt: skip
    document = {
        "run": {
            "title": f"{name}: run on Kubeflow Pipelines",
            "subtitle": "From the artifacts of this run's steps.",
            "wall_seconds": 0.0,
            "log": None,
            "log_tail": [],
            "footer": "It needs no network and runs no script.",
        },
        "decision": {**decision, "figures": key_figures(verdict, found, trained, None)},
        "statistics": found,
        "spans": "",
        "anomalies": read("anomalies", read_anomalies, anomalies),
        "drift": read("drift", read_drift, gate) if gate else None,
        "training": trained,
        "evaluation": present(verdict) if verdict else None,
        "timing": [],
        "lineage": {
            "boxes": [
                make_box(
                    node,
                    Path(artifacts[node].uri) if artifacts[node] else Path(),
                    _properties(artifacts[node]) if artifacts[node] else {},
                    code=code if node == "Trainer" else "",
                    facts=(result,) if node == "Evaluator" and result else (),
                )
                for node in SHOWN
            ],
            "edges": json.loads(edges),
            "source": "From the run's artifacts. Content and code are fingerprints.",
        },
        "reproduction": {
            "commands": [],
            "facts": [("pipeline", name), ("code fingerprint", code)],
            "configuration": json.dumps(json.loads(configuration), indent=2, ensure_ascii=False).splitlines(),
        },
        "missing": missing,
    }
    replace_file(Path(report.uri) / PAGE, rendering.render(document))
    replace_file(Path(metrics.uri) / METRICS, json.dumps(numbers, indent=1) + "\n")
    for key, value in numbers.items():
        metrics.set_float_custom_property(key, value)


class RunReport(RunReportStep):
    """See `RunReportStep`."""

    def __init__(self, settings: Settings, edges: Sequence[tuple[str, str]], **inputs: Any) -> None:
        """Takes the sections for `configuration`, `edges` as they are, and all else as `RunReportStep` does."""
        super().__init__(
            configuration=json.dumps(settings.to_json(), sort_keys=True), edges=json.dumps(edges), **inputs
        )


def _is_blessed(artifact: Artifact) -> bool:
    # KFP hands numbers back as it stored them, as doubles.
    return _properties(artifact).get("blessed") == 1


def _properties(artifact: Artifact) -> dict[str, Any]:
    message = artifact.mlmd_artifact
    found = {}
    for properties in (message.properties, message.custom_properties):
        for key, value in properties.items():
            kind = value.WhichOneof("value")
            content = getattr(value, kind) if kind else None
            if kind == "struct_value":
                # TFX's entrypoint for KFP wraps what KFP hands back.
                content = json_format.MessageToDict(content).get("__value__")
            # And it marks what is no property of the type.
            found[key.removeprefix("custom:")] = content
    return found
