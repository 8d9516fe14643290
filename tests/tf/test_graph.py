"""The wiring: what every runner needs to be true of the graph."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import tensorflow_model_analysis as tfma
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline

from pipeline import config
from pipeline.graph import Surroundings, build
from pipeline.nodes import CLUSTER_NODES, NODES
from pipeline.quality import evaluation_config
from pipeline.running import preflight
from pipeline.workspace import workspace_of
from trainer_module.settings import Label


@pytest.fixture(scope="module")
def taxi() -> config.Config:
    return config.load("taxi", "laptop")


def test_the_nodes_are_those_that_the_command_line_knows(taxi: config.Config, tmp_path: Path) -> None:
    apps = config.load("taxi", "laptop", ['app.formats=["float32"]', TUNES])
    pipeline = build(
        apps, workspace_of(str(tmp_path), "taxi"), Surroundings(str(preflight.find_source(taxi)))
    )
    ids = [component.id for component in pipeline.components]
    assert sorted(ids) == sorted(NODES)
    without = build(taxi, workspace_of(str(tmp_path), "taxi"), Surroundings(str(preflight.find_source(taxi))))
    assert sorted(component.id for component in without.components) == sorted(
        {*NODES} - {"AppExporter", "Tuner"}
    )
    cluster = build(
        taxi, workspace_of(str(tmp_path), "taxi"), Surroundings(str(preflight.find_source(taxi))), report=True
    )
    assert [component.id for component in cluster.components[len(without.components) :]] == [*CLUSTER_NODES]
    assert all(re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9]*", node) for node in ids)


def test_no_resolver_and_no_module_file(taxi: config.Config, tmp_path: Path) -> None:
    pipeline = build(
        taxi, workspace_of(str(tmp_path), "taxi"), Surroundings(str(preflight.find_source(taxi)))
    )
    for component in pipeline.components:
        assert not isinstance(component, Resolver)
        assert not component.exec_properties.get("module_file")
        # A module of the image, and no package that TFX would install.
        assert "@" not in (component.exec_properties.get("module_path") or "")


def test_gates_hold_where_they_say(taxi: config.Config) -> None:
    evaluation = evaluation_config(taxi)
    (metrics,) = evaluation.metrics_specs
    auc = next(metric for metric in metrics.metrics if metric.class_name == "AUC")
    # A threshold on the metric itself would hold on every slice.
    assert not auc.HasField("threshold")
    overall, sliced = auc.per_slice_thresholds
    assert list(overall.slicing_specs) == [tfma.SlicingSpec()]
    assert overall.threshold.value_threshold.lower_bound.value == pytest.approx(0.90)
    assert overall.threshold.change_threshold.absolute.value == pytest.approx(-0.01)
    assert list(sliced.slicing_specs[0].feature_keys) == ["trip_start_day"]
    assert sliced.threshold.value_threshold.lower_bound.value == pytest.approx(0.85)


def component(pipeline: Pipeline, node: str) -> BaseComponent:
    return next(each for each in pipeline.components if each.id == node)


def test_the_data_gate_gets_what_it_compares_and_keeps_a_history_of_spans_only(
    taxi: config.Config, tmp_path: Path
) -> None:
    workspace, source = workspace_of(str(tmp_path), "taxi"), str(preflight.find_source(taxi))
    gate = component(build(taxi, workspace, Surroundings(source)), "DataGate")
    assert set(gate.inputs) == {"statistics", "anomalies", "schema", "examples"} and "report" in gate.outputs
    assert gate.exec_properties["history_directory"] == gate.exec_properties["serving_logs"] == ""
    assert json.loads(gate.exec_properties["drift"])["action"] == "fail"
    logs = config.load("taxi", "laptop", [f"drift.serving_logs={tmp_path}", "drift.window=3"])
    gate = component(build(logs, workspace, Surroundings(source, serving_logs_state="today")), "DataGate")
    assert gate.exec_properties["serving_logs"] == str(tmp_path)
    assert gate.exec_properties["serving_logs_state"] == "today"
    assert json.loads(gate.exec_properties["drift"])["window"] == 3


def test_the_trainer_knows_the_live_model_only_where_it_starts_from_it(
    taxi: config.Config, tmp_path: Path
) -> None:
    """Or a pushed model would invalidate the cached training that it came from."""
    workspace, source = workspace_of(str(tmp_path), "taxi"), str(preflight.find_source(taxi))
    for asked in (False, True):
        settings = config.load("taxi", "laptop", [f"training.warm_start={str(asked).lower()}"])
        pipeline = build(settings, workspace, Surroundings(source, live_model="abc"))
        trainer, baseline = (component(pipeline, node) for node in ("Trainer", "BaselineModel"))
        assert ("base_model" in trainer.inputs) == (baseline in trainer.upstream_nodes) == asked


def test_the_format_that_is_read_decides_whether_spans_are_converted_again(
    taxi: config.Config, tmp_path: Path
) -> None:
    """No import leads to a format's file, so that the graph must add it."""
    workspace, source = workspace_of(str(tmp_path), "taxi"), str(preflight.find_source(taxi))
    parquet = config.load("taxi", "laptop", ["source.format=parquet"])
    of_csv, of_parquet = (
        component(build(loaded, workspace, Surroundings(source)), "ExampleGen").exec_properties[
            "conversion_fingerprint"
        ]
        for loaded in (taxi, parquet)
    )
    assert of_csv != of_parquet


TUNES = "tuning.space.training.learning_rate={min=0.001,max=0.1}"
CHANGES = {
    "source": ["source.pattern='day-{SPAN}/*.csv'", "source.schema={schema}"],
    "splits": ["splits.train=5"],
    "window": ["window.spans=3"],
    "retention": ["retention.spans=9"],
    "features": ["features.pickup_latitude.buckets=7", "features.tolls={kind='numeric'}"],
    "label": [],
    "model": ["model.dropout=0.5"],
    "training": ["training.epochs=3"],
    "tuning": ["tuning.trials=3"],
    "evaluation": ["evaluation.slices=['trip_start_day']"],
    "loss": ["loss.kind=focal"],
    "metrics": ["metrics.hinge=tf_keras.metrics.Hinge"],
    "gates": ["gates.auc.min=0.1"],
    "card": ["card.owner='the search team'"],
    "drift": ["drift.window=3"],
    "serving": ["serving.large_batch=7", "serving.keep_versions=9"],
    "app": ["app.max_quality_drop=0.5"],
}
"""Table → overrides that change it in all the ways that a step may see."""


def test_each_table_says_which_steps_see_it(tmp_path: Path) -> None:
    """Those of the graph with all its steps."""
    schema = tmp_path / "other.pbtxt"
    schema.write_text((config.ROOT / "datasets" / "taxi.schema.pbtxt").read_text() + "# reviewed again\n")
    base = ["source.pattern='{SPAN}/*.csv'", "app.formats=['tfjs']", TUNES]

    def parameters(loaded: config.Config) -> dict[str, dict[str, object]]:
        pipeline = build(loaded, workspace_of(str(tmp_path), "taxi"), Surroundings("/data"), report=True)
        return {step.id: step.exec_properties for step in pipeline.components}

    before, found = parameters(config.load("taxi", "laptop", base)), {}
    for table, overrides in CHANGES.items():
        given = [text.replace("{schema}", str(schema)) for text in overrides]
        changed = config.load("taxi", "laptop", [*base, *given])
        if table == "label":
            # No override changes the task alone: the dataset's gates are those of its task.
            settings = dataclasses.replace(changed.settings, label=Label("regression", column="tips"))
            changed = dataclasses.replace(changed, settings=settings)
        after = parameters(changed)
        found[table] = {step for step in before if after[step] != before[step]}
    log, changed_log = (
        parameters(config.load("shop", "laptop", overrides))
        for overrides in ([TUNES], [TUNES, "log.history=99"])
    )
    found["log"] = {step for step in log if changed_log[step] != log[step]}
    declared = {
        name: set(table.steps)
        for each in dataclasses.fields(config.Config)
        for name, table in each.metadata.items()
        if table.steps
    }
    assert found == declared
