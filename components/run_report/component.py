"""The report as a step, where the pipeline runs on Kubeflow Pipelines, whose own page shows it.

KFP's page knows its own artifact types alone: it shows an artifact of type `system.HTML` as the page
that it is, and the numbers among the metadata of one of type `system.Metrics`. The compiler gives the
outputs of this step those types (`pipeline.kubeflow.specification`). There is no ML Metadata to read
on a cluster, so everything comes from the step's inputs; times are what KFP shows itself.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.experimental.simple_artifacts import File, Metrics

from components.example_gen.behaviour_log.counts import COUNTS, ITEM_COUNTS, describe_counts
from components.run_report import rendering
from components.run_report.decision import Outcome
from components.run_report.document import Header, Reproduction, assemble
from components.run_report.lineage import SHOWN, Lineage, make_box
from components.serving_check.component import REFUSED
from foundation.replacing import replace_file
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
    tuning: InputArtifact[File] = None,
) -> None:
    """Writes `PAGE` into `report`, and the whole split's metrics into `metrics` and its properties.

    Inputs are what the run's steps made; those that may be None are so where nothing was compared, had been pushed,
    was pushed, or was tuned. Of the parameters, which are texts, `name` is the pipeline's, `configuration` the run's as JSON,
    `edges` says in JSON whose output goes into which step, [[step, step]], and `code` is the fingerprint of the
    learner's code.
    """
    steps = {
        "ExampleGen": examples, "SchemaGen": schema, "Transform": transform_graph, "Trainer": model,
        "BaselineModel": baseline_model, "ServingCheck": infra_blessing, "Evaluator": evaluation,
        "Pusher": pushed_model,
    }  # fmt: skip
    read = {
        "statistics": statistics, "anomalies": anomalies, "drift": gate, "training": model_run,
        "evaluation": evaluation, "tuning": tuning,
    }  # fmt: skip
    document = assemble(
        Header(
            f"{name}: run on Kubeflow Pipelines",
            "From the artifacts of this run's steps.",
            "It needs no network and runs no script.",
        ),
        _outcome(blessing, infra_blessing, pushed_model, dropped_rows(Path(examples.uri))),
        {section: Path(artifact.uri) for section, artifact in read.items() if artifact},
        {
            "drift": "The data gate compared nothing with earlier data.",
            "timing": "Kubeflow Pipelines shows each step's time itself.",
        },
        lineage=lambda result: _lineage(steps, json.loads(edges), code, result),
        reproduction=lambda: _reproduction(name, code, configuration),
    )
    replace_file(Path(report.uri) / PAGE, rendering.render(document))
    numbers = document.evaluation.whole.metrics if document.evaluation else {}
    replace_file(Path(metrics.uri) / METRICS, json.dumps(numbers, indent=1) + "\n")
    for key, value in numbers.items():
        metrics.set_float_custom_property(key, value)


class RunReport(RunReportStep):  # type: ignore[misc, valid-type]  # the decorator makes a class of the function
    """See `RunReportStep`."""

    def __init__(self, settings: Settings, edges: Sequence[tuple[str, str]], **inputs: Any) -> None:
        """Takes the sections for `configuration`, `edges` as they are, and all else as `RunReportStep` does."""
        super().__init__(
            configuration=json.dumps(settings.to_json(), sort_keys=True), edges=json.dumps(edges), **inputs
        )


def dropped_rows(examples: Path) -> tuple[str, ...]:
    """What ExampleGen left out of a behaviour log, a sentence each; empty for a table of rows."""
    files = [examples / name for name in (COUNTS, ITEM_COUNTS)]
    if not all(file.is_file() for file in files):
        return ()
    return tuple(describe_counts(*(json.loads(file.read_text()) for file in files)))


def _outcome(
    blessing: Artifact, infra_blessing: Artifact, pushed_model: Artifact | None, notes: tuple[str, ...]
) -> Outcome:
    refused = Path(infra_blessing.uri) / REFUSED
    # KFP hands numbers back as it stored them, as doubles.
    blessed = all(_properties(each).get("blessed") == 1 for each in (blessing, infra_blessing))
    return Outcome(
        blessed=blessed,
        refusals=tuple(refused.read_text().splitlines()) if refused.is_file() else (),
        pushed_version=str(_properties(pushed_model).get("pushed_version") or "") or None,
        notes=notes,
    )


def _lineage(
    artifacts: Mapping[str, Artifact | None], edges: Sequence[Sequence[str]], code: str, result: str
) -> Lineage:
    boxes = (
        make_box(
            node,
            Path(artifact.uri) if artifact else Path(),
            _properties(artifact),
            code=code if node == "Trainer" else "",
            facts=(result,) if node == "Evaluator" and result else (),
        )
        for node in SHOWN
        for artifact in (artifacts[node],)
    )
    return Lineage(
        tuple(boxes),
        tuple((source, target) for source, target in edges),
        "From the run's artifacts. Content and code are fingerprints.",
    )


def _reproduction(name: str, code: str, configuration: str) -> Reproduction:
    settings = json.dumps(json.loads(configuration), indent=2, ensure_ascii=False)
    facts = (("pipeline", name), ("code fingerprint", code))
    return Reproduction(facts=facts, configuration=tuple(settings.splitlines()))


def _properties(artifact: Artifact | None) -> dict[str, Any]:
    if artifact is None:
        return {}
    values = {}
    for properties in (artifact.mlmd_artifact.properties, artifact.mlmd_artifact.custom_properties):
        for key, value in properties.items():
            kind = value.WhichOneof("value")
            content = getattr(value, kind) if kind else None
            if kind == "struct_value":
                # TFX's entrypoint for KFP wraps what KFP hands back.
                content = json_format.MessageToDict(content).get("__value__")
            # And it marks what is no property of the type.
            values[key.removeprefix("custom:")] = content
    return values
