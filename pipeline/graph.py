"""The one TFX graph, wired from top to bottom; every runner runs this."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.component import SchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.components.transform.component import Transform
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2, trainer_pb2

from components.app_exporter.component import AppExporter
from components.data_gate.component import DataGate
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen, schema_types
from components.pusher.baseline_model import BaselineModel
from components.pusher.component import Pusher
from components.run_report.component import RunReport
from components.schema.reviewed_schema import ReviewedSchema
from components.serving_check.component import ServingCheck
from pipeline.config import ROOT, Config
from pipeline.fingerprint import CONVERTER_FILES, fingerprint
from pipeline.quality import evaluation_config
from pipeline.workspace import Workspace


def build(
    config: Config,
    workspace: Workspace,
    source_directory: str | RuntimeParameter,
    live_model: str = "",
    serving_logs_state: str = "",
    cache: bool = True,
    window_end: str | RuntimeParameter = "",
    window_fingerprint: str = "",
    worker_pods: Mapping[str, Any] | None = None,
    report: bool = False,
) -> Pipeline:
    """Wires the graph.

    Args:
      config: What the run does.
      workspace: Where its files go.
      source_directory: The folder of the dataset's files, or the parameter that names it at each run.
      live_model: Identity of the model that is live now, "" if unknown; see `BaselineModel`.
      serving_logs_state: What tells the logged requests of one day from another's; see `DataGate`.
      cache: Whether a step whose inputs, parameters and code are unchanged may be skipped.
      window_end: Name of the newest span to train on, or the parameter that names it; "" for the newest.
      window_fingerprint: Of the files that ExampleGen will read, "" to look only when it runs. It is
        part of the cache key: without it a cached step would hand on examples that are no longer all.
      worker_pods: The values of `components.trainer_pods.worker_pods.WorkerPods` where the workers of a training
        are pods of their own; None where the Trainer's step is to run them itself.
      report: Whether the report is a step; a local run makes its own, also where a step failed.
    """
    settings = config.settings.to_json()
    # TFX sorts the keys of what it hands to Transform and Trainer, and with them the model's columns.
    settings_text = json.dumps(settings, sort_keys=True)

    examples = ExampleGen(
        source_directory,
        pattern=config.source.files,
        file_format=config.source.format,
        splits={"train": config.splits.train, "eval": config.splits.eval},
        column_types=schema_types(config.schema_file.read_text(), str(config.schema_file))
        if config.schema_file
        else {},
        conversion_fingerprint=fingerprint(ROOT, "components.example_gen.columnar_examples"),
        code_fingerprint=fingerprint(ROOT, "components.example_gen.component"),
        window={
            "spans": config.window.spans,
            "missing": config.window.missing,
            "duplicate": config.window.duplicate,
        },
        store=str(workspace.spans),
        window_end=window_end,
        window_fingerprint=window_fingerprint,
    )

    # Of the newest span, and of those that nobody has checked yet: what arrives is checked once.
    statistics = StatisticsGen(examples=examples.outputs["newest" if config.source.has_spans else "examples"])

    schema = _schema(config, statistics).with_id("SchemaGen")

    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])

    gate = DataGate(
        statistics=statistics.outputs["statistics"],
        anomalies=validator.outputs["anomalies"],
        schema=schema.outputs["schema"],
        examples=examples.outputs["newest" if config.source.has_spans else "examples"],
        # What it reads of the settings, so that a change of anything else does not repeat it.
        columns=json.dumps(
            {
                "features": sorted(feature.name for feature in config.settings.features),
                "label": settings["label"],
            }
        ),
        drift=json.dumps(
            {
                "action": config.drift.action,
                "window": config.drift.window,
                "label_shift": config.drift.label_shift,
                "missing_shift": config.drift.missing_shift,
            }
        ),
        history_directory=str(workspace.statistics) if config.source.has_spans else "",
        serving_logs=str(config.serving_logs or ""),
        serving_logs_state=serving_logs_state,
        code_fingerprint=fingerprint(
            ROOT, "components.data_gate.component", chosen=[type(config.settings.label.rules).__module__]
        ),
    )

    transform = Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="trainer_module.preprocessing.preprocessing_fn",
        custom_config={
            "features": settings["features"],
            "label": settings["label"],
            "code_fingerprint": fingerprint(
                ROOT, "trainer_module.preprocessing", chosen=config.settings.preprocessing_modules
            ),
        },
        # Statistics of the transformed examples would cost a third of the step; nothing reads them.
        disable_statistics=True,
        disable_analyzer_cache=True,
    )
    transform.add_upstream_node(gate)

    baseline = BaselineModel(push_directory=str(workspace.serving), live_model=live_model)

    trainer = Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        # Only then: otherwise every push would have the next run train again.
        base_model=baseline.outputs["model"] if config.settings.training.warm_start else None,
        run_fn="components.trainer_pods.distributed_trainer.run_fn"
        if worker_pods
        else "trainer_module.run.run_fn",
        # Required by TFX and unused: the configuration is in epochs (trap 10).
        train_args=trainer_pb2.TrainArgs(splits=["train"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={
            **settings,
            "recovery_root": str(workspace.recovery),
            "code_fingerprint": fingerprint(ROOT, "trainer_module.run", chosen=config.settings.modules),
            **_pods_config(worker_pods),
        },
    )

    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        schema=schema.outputs["schema"],
        eval_config=evaluation_config(config),
    )

    serving_check = ServingCheck(
        model=trainer.outputs["model"],
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        model_name=config.name,
        settings=settings_text,
        limits=json.dumps(
            {
                "load_seconds": config.serving.load_seconds,
                "answer_seconds": config.serving.answer_seconds,
                "memory_mib": config.serving.memory_mib,
            }
        ),
        large_batch=config.serving.large_batch,
        code_fingerprint=fingerprint(ROOT, "components.serving_check.component"),
    )

    # The model is the one that the serving check leaves: the Trainer's, with warm-up requests.
    pusher = Pusher(
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=serving_check.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(workspace.serving))
        ),
        custom_config={
            "keep_versions": config.serving.keep_versions,
            **(
                {"span_store": str(workspace.spans), "keep_spans": config.retention.spans}
                if config.source.has_spans
                else {}
            ),
            "code_fingerprint": fingerprint(ROOT, "trainer_module.run"),
        },
    )

    app_exporters = [
        AppExporter(
            pushed_model=pusher.outputs["pushed_model"],
            examples=examples.outputs["examples"],
            settings=settings_text,
            formats=formats,
            max_quality_drop=config.app.max_quality_drop,
            code_fingerprint=fingerprint(ROOT, "components.app_exporter.component", *CONVERTER_FILES),
        )
        for formats in [" ".join(config.app.formats)]
        if formats
    ]

    before_report = [
        examples, statistics, schema, validator, gate, transform, trainer, baseline, evaluator, serving_check,
        pusher, *app_exporters,
    ]  # fmt: skip
    reports = [
        RunReport(
            examples=examples.outputs["examples"],
            schema=schema.outputs["schema"],
            statistics=statistics.outputs["statistics"],
            anomalies=validator.outputs["anomalies"],
            gate=gate.outputs["report"],
            transform_graph=transform.outputs["transform_graph"],
            model=trainer.outputs["model"],
            model_run=trainer.outputs["model_run"],
            baseline_model=baseline.outputs["model"],
            evaluation=evaluator.outputs["evaluation"],
            blessing=evaluator.outputs["blessing"],
            infra_blessing=serving_check.outputs["blessing"],
            pushed_model=pusher.outputs["pushed_model"],
            name=config.name,
            configuration=settings_text,
            edges=json.dumps(_edges(before_report)),
            code=fingerprint(ROOT, "trainer_module.run", chosen=config.settings.modules),
            code_fingerprint=fingerprint(
                ROOT,
                "components.run_report.component",
                "components/run_report/templates/page.html.jinja",
                "components/run_report/templates/report.html.jinja",
                "components/run_report/templates/style.css",
            ),
        )
    ] * report

    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(workspace.artifacts),
        components=[*before_report, *reports],
        enable_cache=cache,
        # TFX's own function would also make the directory, on the machine that compiles for a cluster.
        metadata_connection_config=metadata_store_pb2.ConnectionConfig(
            sqlite=metadata_store_pb2.SqliteMetadataSourceConfig(
                filename_uri=str(workspace.metadata),
                connection_mode=metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE,
            )
        ),
        beam_pipeline_args=config.beam.arguments(),
    )


def _edges(components: Sequence[BaseComponent]) -> list[tuple[str, str]]:
    """(step, step) wherever an output of the first goes into the second."""
    return [
        (source.producer_component_id, component.id)
        for component in components
        for source in component.inputs.values()
    ]


def _pods_config(worker_pods: Mapping[str, Any] | None) -> dict[str, Any]:
    if not worker_pods:
        return {}
    return {
        "worker_pods": dict(worker_pods),
        "pods_code_fingerprint": fingerprint(ROOT, "components.trainer_pods.distributed_trainer"),
    }


def _schema(config: Config, statistics: StatisticsGen) -> BaseComponent:
    if config.schema_file is not None:
        return ReviewedSchema(schema_text=config.schema_file.read_text())
    # No fixed shapes: a column that happened to be complete in training may be missing in a request.
    return SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=False)
