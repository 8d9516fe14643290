"""The one TFX graph, wired from top to bottom; every runner runs this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.component import SchemaGen
from tfx.components.trainer.component import Trainer
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2

from components.app_exporter.component import AppExporter
from components.baseline_model.component import BaselineModel
from components.data_gate.component import DataGate
from components.evaluator.component import Evaluator
from components.example_gen.column_types import ColumnType
from components.example_gen.component import ExampleGen, schema_types
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import format_module
from components.pusher.component import Pusher
from components.run_report.component import RunReport
from components.schema.reviewed_schema import ReviewedSchema
from components.serving_check.component import ServingCheck
from components.statistics_gen.component import StatisticsGen
from components.transform.component import Transform
from components.tuner.component import Tuner
from pipeline.config import ROOT, Config
from pipeline.fingerprint import add_code, fingerprint, step_fingerprint
from pipeline.metadata.connection import connection_config
from pipeline.metadata.identity import pipeline_name
from pipeline.nodes import STEPS
from pipeline.quality import evaluation_config
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Surroundings:
    """The state of the data and of the live model when the graph is built, so that a change of it misses the cache.

    A step finds out what is "" when it runs. A runner's cache cannot see that: it would return examples that
    are no longer complete, or a model that is no longer live.

    Attributes:
      source_directory: The folder of the dataset's files, or the parameter that names it at each run.
      window_end: Name of the newest span to train on, or the parameter that names it; "" for the newest.
      window_fingerprint: Of the files that ExampleGen will read.
      live_model: Identity of the model that is live, see `BaselineModel`.
      serving_logs_state: What tells the logged requests of one day from another's, see `DataGate`.
    """

    source_directory: str | RuntimeParameter
    window_end: str | RuntimeParameter = ""
    window_fingerprint: str = ""
    live_model: str = ""
    serving_logs_state: str = ""


def build(
    config: Config,
    workspace: Workspace,
    now: Surroundings,
    *,
    cache: bool = True,
    worker_pods: Mapping[str, Any] | None = None,
    trial_pods: Mapping[str, Any] | None = None,
    report: bool = False,
    beam_arguments: Sequence[Any] | None = None,
) -> Pipeline:
    """Wires the graph.

    Args:
      config: What the run does.
      workspace: Where its files go.
      now: The state of the data and of the live model.
      cache: Whether a step whose inputs, parameters and code are unchanged may be skipped.
      worker_pods: The values of `components.trainer_pods.worker_pods.WorkerPods`; None where the Trainer's step
        runs the workers of a training itself.
      trial_pods: {"code": the module that makes them, "count", "each": the same values}; None where the Tuner's step trains the trials itself.
      report: Whether the report is a step; a local run makes its own, also where a step failed.
      beam_arguments: Texts or placeholders; None for the configuration's.
    """
    settings = config.settings
    learner_code = step_fingerprint(STEPS["Trainer"], config)
    examples = _examples(config, workspace, now)
    raw = examples.outputs["examples"]
    # Of the newest span and of those not checked yet: each span is checked once.
    newest = examples.outputs["newest" if config.source.has_spans else "examples"]
    statistics = StatisticsGen(examples=newest)
    schema = _schema(config, statistics).with_id("SchemaGen")
    given = {"examples": raw, "schema": schema.outputs["schema"]}
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=given["schema"])
    gate = DataGate(
        settings, config.drift, examples=newest, schema=given["schema"],
        statistics=statistics.outputs["statistics"], anomalies=validator.outputs["anomalies"],
        history_directory=str(workspace.statistics) if config.source.has_spans else "",
        serving_logs=str(config.serving_logs or ""), serving_logs_state=now.serving_logs_state,
    )  # fmt: skip

    transform = _transform(config, **given)
    transform.add_upstream_node(gate)
    baseline = BaselineModel(push_directory=str(workspace.serving), live_model=now.live_model)
    tuner = _tuner(config, workspace, transform, trial_pods)
    trainer = _trainer(config, workspace, transform, given["schema"], baseline, tuner, worker_pods)
    model, live = trainer.outputs["model"], baseline.outputs["model"]

    evaluator = Evaluator(
        settings, config.evaluation.min_slice_rows, **given, model=model, baseline_model=live,
        explained_rows=config.evaluation.explained_rows, largest_errors=config.evaluation.largest_errors,
        eval_config=evaluation_config(config), item_name=config.evaluation.item_name, ceiling=config.ceiling,
    )  # fmt: skip
    serving_check = ServingCheck(settings, config.serving, **given, model=model, model_name=config.name)
    spans = {"span_store": str(workspace.spans), "keep_spans": config.retention.spans}
    # The model is the one that the serving check leaves: the Trainer's, with warm-up requests.
    pusher = Pusher(
        str(workspace.serving), config.serving.keep_versions, learner_code, spans if config.source.has_spans else {},
        config.card,
        model_blessing=evaluator.outputs["blessing"], infra_blessing=serving_check.outputs["blessing"],
    )  # fmt: skip
    steps = [
        examples, statistics, schema, validator, gate, transform, *([tuner] if tuner else []), trainer, baseline,
        evaluator, serving_check, pusher,
    ]  # fmt: skip
    if config.app.formats:
        pushed = pusher.outputs["pushed_model"]
        steps.append(
            AppExporter(
                settings, config.app, item_name=config.evaluation.item_name, pushed_model=pushed, examples=raw
            )
        )
    if report:
        steps.append(_report(config, steps, learner_code))

    for step in steps:
        add_code(step.exec_properties, STEPS[step.id], config)
    return Pipeline(
        pipeline_name=pipeline_name(workspace),
        pipeline_root=str(workspace.artifacts),
        components=steps,
        enable_cache=cache,
        metadata_connection_config=_metadata(workspace),
        beam_pipeline_args=list(beam_arguments or config.beam.arguments()),
    )


def _examples(config: Config, workspace: Workspace, now: Surroundings) -> ExampleGen:
    schema, window = config.schema_file, config.window
    types = schema_types(schema.read_text(), str(schema)) if schema else {}
    return ExampleGen(
        input_base=now.source_directory,
        pattern=config.source.files,
        file_format=config.source.format,
        splits=config.splits.given(),
        column_types=types,
        reading=_reading(config, types),
        conversion_fingerprint=fingerprint(
            ROOT, "components.example_gen.columnar_examples", format_module(config.source.format)
        ),
        log=config.log_reading,
        window={"spans": window.spans, "missing": window.missing, "duplicate": window.duplicate},
        store=str(workspace.spans),
        window_end=now.window_end,
        window_fingerprint=now.window_fingerprint,
    )


def _reading(config: Config, types: Mapping[str, ColumnType]) -> Reading:
    """What the configuration and the reviewed schema ask for, so that the schema's other columns are validated too."""
    reading = config.reading
    whole = [name for name, kind in types.items() if kind == ColumnType.INT]
    return replace(
        reading,
        columns={**dict.fromkeys(types, ""), **(reading.columns or {})},
        exact=tuple(sorted({*reading.exact, *whole})),
        codes=tuple(sorted({*reading.codes} - {*whole})),
    )


def _schema(config: Config, statistics: StatisticsGen) -> BaseComponent:
    if config.schema_file is not None:
        return ReviewedSchema(schema_text=config.schema_file.read_text())
    # No fixed shapes: a column that happened to be complete in training may be missing in a request.
    return SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=False)


def _transform(config: Config, **inputs: Any) -> Transform:
    tables, learned = config.settings.to_json(), config.learned_splits
    every = [*config.splits.names, *learned[1:]]
    return Transform(
        **inputs,
        preprocessing_fn=config.settings.label.rules.preprocessing,
        # What it reads of the settings, so that a change of anything else does not repeat it.
        custom_config={name: tables[name] for name in ("features", "label", "log") if name in tables},
        # None for TFX's own choice; vocabularies of a log are its items' too.
        splits_config=transform_pb2.SplitsConfig(analyze=learned, transform=every) if learned[1:] else None,
    )


def _tuner(
    config: Config, workspace: Workspace, transform: Transform, pods: Mapping[str, Any] | None
) -> Tuner | None:
    if not config.tuning.is_wanted:
        return None
    return Tuner(
        config.settings, config.tuning, config.learned_splits, pods, recovery_root=str(workspace.recovery),
        examples=transform.outputs["transformed_examples"], transform_graph=transform.outputs["transform_graph"],
    ).with_id("Tuner")  # fmt: skip


def _trainer(
    config: Config,
    workspace: Workspace,
    transform: Transform,
    schema: Any,
    baseline: BaseComponent,
    tuner: BaseComponent | None,
    worker_pods: Mapping[str, Any] | None,
) -> Trainer:
    return Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema,
        # Only then: otherwise every push would have the next run train again.
        base_model=baseline.outputs["model"] if config.settings.training.warm_start else None,
        hyperparameters=tuner.outputs["best"] if tuner else None,
        run_fn="components.trainer_pods.distributed_trainer.run_fn"
        if worker_pods
        else "trainer_module.run.run_fn",
        # Required by TFX and unused: the configuration is in epochs (trap 10).
        train_args=trainer_pb2.TrainArgs(splits=config.learned_splits),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={
            **config.settings.to_json(),
            "recovery_root": str(workspace.recovery),
            **({"worker_pods": dict(worker_pods)} if worker_pods else {}),
        },
    )


def _report(config: Config, steps: Sequence[BaseComponent], learner_code: str) -> RunReport:
    """The report on `steps`; says which step's output each of its inputs is."""
    made = {step.id: step.outputs for step in steps}
    edges = [(source.producer_component_id, step.id) for step in steps for source in step.inputs.values()]
    tuned = {"tuning": made["Tuner"]["trials"]} if "Tuner" in made else {}
    return RunReport(
        config.settings,
        edges,
        **tuned,
        examples=made["ExampleGen"]["examples"],
        schema=made["SchemaGen"]["schema"],
        statistics=made["StatisticsGen"]["statistics"],
        anomalies=made["ExampleValidator"]["anomalies"],
        gate=made["DataGate"]["report"],
        transform_graph=made["Transform"]["transform_graph"],
        model=made["Trainer"]["model"],
        model_run=made["Trainer"]["model_run"],
        baseline_model=made["BaselineModel"]["model"],
        evaluation=made["Evaluator"]["evaluation"],
        blessing=made["Evaluator"]["blessing"],
        infra_blessing=made["ServingCheck"]["blessing"],
        pushed_model=made["Pusher"]["pushed_model"],
        name=config.name,
        code=learner_code,
    )


def _metadata(workspace: Workspace) -> metadata_store_pb2.ConnectionConfig:
    if workspace.database is not None:
        # Without the password, which TFX would log: `pipeline.metadata.connection.keyed` has it.
        return connection_config(workspace.database)
    # TFX's own function would also make the directory, on the machine that compiles for a cluster.
    return metadata_store_pb2.ConnectionConfig(
        sqlite=metadata_store_pb2.SqliteMetadataSourceConfig(
            filename_uri=str(workspace.metadata),
            connection_mode=metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE,
        )
    )
