"""Candidate against live model by TFX's own Evaluator: overall, and on every value of a slice column."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx.types import standard_artifacts
from tfx.utils import path_utils, proto_utils

from components.evaluator.component import Executor
from components.evaluator.settings import Metric
from components.evaluator.verdict import read_verdict
from components.pusher.component import Executor as PusherExecutor
from components.pusher.component import push
from components.pusher.versions import newest_version
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.quality import evaluation_config
from trainer_module.label import TRANSFORMED_LABEL

DATASET = """
name = "zones"
[source]
format = "csv"
path = "."
[label]
task = "binary"
column = "won"
[features]
score = { kind = "numeric" }
zone = { kind = "vocabulary" }
[training]
global_batch_size = 10
[evaluation]
slices = ["zone"]
[gates.auc]
min = 0.6
max_drop = 0.2
slice_max_drop = { zone = 0.05 }
"""
ZONES = ("north", "south", "west")


def write_examples(directory: Path) -> None:
    """600 rows whose score tells the label."""
    directory.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(directory / "data.gz"), "GZIP") as writer:
        for i in range(600):
            won = i % 2
            feature = {
                "score": tf.train.Feature(float_list=tf.train.FloatList(value=[won * 0.5 + i % 7 * 0.07])),
                "zone": tf.train.Feature(bytes_list=tf.train.BytesList(value=[ZONES[i // 2 % 3].encode()])),
                "won": tf.train.Feature(int64_list=tf.train.Int64List(value=[won])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def save_model(directory: Path, worse_in: str) -> None:
    """A model that predicts the score, and in one zone its place in the week instead."""
    spec = {
        "score": tf.io.FixedLenFeature([], tf.float32),
        "zone": tf.io.FixedLenFeature([], tf.string),
        "won": tf.io.FixedLenFeature([], tf.int64),
    }

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def predict(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            row = tf.io.parse_example(examples, spec)
            poor = tf.math.floormod(row["score"] * 37.0, 1.0)
            found = tf.where(row["zone"] == worse_in, poor, row["score"])
            return {"predictions": tf.reshape(found, [-1, 1])}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def transform(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return {TRANSFORMED_LABEL: tf.io.parse_example(examples, spec)["won"]}

    model = Model()
    signatures = {"serving_default": model.predict, "transform_features": model.transform}
    tf.saved_model.save(model, str(directory), signatures=signatures)


def artifact(kind: type, uri: Path) -> Any:
    made = kind()
    made.uri = str(uri)
    uri.mkdir(parents=True, exist_ok=True)
    return made


class Judge:
    """Runs Evaluator and Pusher on a candidate against a live model."""

    def __init__(self, directory: Path, tables: str = "", slices: str = '["zone"]') -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        (directory / "zones.toml").write_text(DATASET.replace('["zone"]', slices) + tables)
        self.config = config.load(str(directory / "zones.toml"), "laptop")
        write_examples(directory / "examples" / "Split-eval")

    def __call__(self, candidate: str, live: str | None) -> tuple[bool, tuple[str, ...], Path | None]:
        """Whether it is blessed, why not, and what is live afterwards; a model is named by its weak zone."""
        serving = self.directory / "serving"
        baseline = artifact(standard_artifacts.Model, self.directory / "baseline")
        if live is not None:
            save_model(Path(path_utils.serving_model_dir(baseline.uri)), live)
            push(Path(path_utils.serving_model_dir(baseline.uri)), serving)
        model = artifact(standard_artifacts.Model, self.directory / "candidate")
        save_model(Path(path_utils.serving_model_dir(model.uri)), candidate)
        examples = artifact(standard_artifacts.Examples, self.directory / "examples")
        splits = [path.name.removeprefix("Split-") for path in Path(examples.uri).iterdir()]
        examples.split_names = json.dumps(sorted(splits))
        outputs = {
            "evaluation": [artifact(standard_artifacts.ModelEvaluation, self.directory / "evaluation")],
            "blessing": [artifact(standard_artifacts.ModelBlessing, self.directory / "blessing")],
        }
        (self.directory / "tmp").mkdir()
        context = Executor.Context(
            beam_pipeline_args=self.config.beam.arguments(),
            tmp_dir=str(self.directory / "tmp"),
            unique_id="1",
        )
        inputs = {"examples": [examples], "model": [model], "baseline_model": [baseline]}
        properties = {
            "eval_config": proto_utils.proto_to_json(evaluation_config(self.config)),
            "example_splits": "null",
            "fairness_indicator_thresholds": "null",
            "main_metric": self.config.settings.label.rules.main_metric,
            "more_is_better": 1,
            "min_slice_rows": self.config.evaluation.min_slice_rows,
        }
        Executor(context).Do(inputs, outputs, properties)
        (blessing,) = outputs["blessing"]
        pushed = artifact(standard_artifacts.PushedModel, self.directory / "pushed")
        PusherExecutor().Do(
            {"model": [model], "model_blessing": [blessing]},
            {"pushed_model": [pushed]},
            {
                "push_destination": json.dumps({"filesystem": {"base_directory": str(serving)}}),
                "custom_config": "null",
            },
        )
        self.verdict = read_verdict(self.directory / "evaluation")
        blessed = blessing.get_int_custom_property("blessed") == 1
        assert blessed == self.verdict.passed
        return blessed, self.verdict.refusals, newest_version(serving)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    return Judge(tmp_path)


def test_a_candidate_that_is_worse_on_one_slice_only_is_not_pushed(judge: Judge) -> None:
    blessed, refusals, live = judge(candidate="south", live="nowhere")
    assert not blessed and live is not None
    (refusal,) = refusals
    (failing,) = [gate for gate in judge.verdict.gates if not gate.passed]
    assert failing.worst == (("zone", "south"),) and [each.slice for each in failing.failures] == [
        failing.worst
    ]
    assert refusal.startswith("auc on zone = south: changed by -0.")
    assert refusal.endswith("against the live model, the gate allows -0.05")
    assert [path.name for path in (judge.directory / "serving").iterdir()] == [live.name]


def test_a_candidate_that_is_as_good_everywhere_is_pushed(judge: Judge) -> None:
    blessed, refusals, live = judge(candidate="nowhere", live="elsewhere")
    assert blessed and refusals == () and live is not None
    whole, *zones = judge.verdict.slices
    assert (judge.verdict.main_metric, judge.verdict.more_is_better) == ("auc", True)
    assert (whole.slice, whole.metrics["example_count"]) == ((), 600)
    assert [each.slice for each in zones] == [(("zone", zone),) for zone in ZONES]
    assert whole.baseline == pytest.approx(whole.metrics)
    for each in judge.verdict.slices:
        low, high = each.intervals["auc"]
        # Scores lie in buckets, and the interval is of those.
        assert low - 0.01 < each.metrics["auc"] < high + 0.01 and high - low < 0.25, each.slice
    at_least, drop, by_zone = judge.verdict.gates
    assert (at_least.asked, at_least.value, at_least.slices) == ("at least 0.6", whole.metrics["auc"], 1)
    assert drop.asked == "a drop of at most 0.2 against the live model" and drop.value == pytest.approx(0)
    assert (by_zone.where, by_zone.slices) == ("every zone", 3)
    assert all(gate.passed for gate in judge.verdict.gates)
    counts = judge.verdict.curves["candidate"].confusion
    assert counts.true_positives + counts.false_negatives == 300


def test_without_a_live_model_only_absolute_bounds_hold(judge: Judge) -> None:
    blessed, refusals, live = judge(candidate="south", live=None)
    assert blessed and refusals == () and live is not None
    assert all(each.baseline == {} for each in judge.verdict.slices)
    assert [gate.passed for gate in judge.verdict.gates] == [True, None, None]
    assert set(judge.verdict.curves) == {"candidate"}


def test_gates_for_slices_are_changes_on_every_value(judge: Judge) -> None:
    (metrics,) = evaluation_config(judge.config).metrics_specs
    auc = next(metric for metric in metrics.metrics if metric.class_name == "AUC")
    overall, sliced = auc.per_slice_thresholds
    assert overall.threshold.change_threshold.absolute.value == pytest.approx(-0.2)
    assert sliced.threshold.change_threshold.absolute.value == pytest.approx(-0.05)
    assert not sliced.threshold.HasField("value_threshold")


def test_a_slice_of_few_rows_is_shown_and_not_gated(tmp_path: Path) -> None:
    gates = "slice_min = { zone = 0.9 }"
    small = Judge(tmp_path / "small", gates)
    small.config = replace(small.config, evaluation=replace(small.config.evaluation, min_slice_rows=201))
    blessed, refusals, live = small(candidate="west", live=None)
    assert blessed and refusals == () and live is not None
    assert "auc" in small.verdict.metrics_by_slice["zone=west"]
    large = Judge(tmp_path / "large", gates)
    assert large(candidate="west", live=None)[1] and not large.verdict.passed


def test_a_gate_may_ask_about_two_columns_together(tmp_path: Path) -> None:
    gate = '[gates.binary_accuracy]\nslice_min = { "zone and won" = 0.9 }'
    judge = Judge(tmp_path, gate, '["zone", ["zone", "won"]]')
    blessed, refusals, _ = judge(candidate="nowhere", live=None)
    assert not blessed and {"won=1,zone=west", "won=0,zone=north"} <= set(judge.verdict.metrics_by_slice)
    assert all(" and " in each and "asks for at least 0.9" in each for each in refusals)


def test_accuracy_precision_and_recall_follow_the_threshold_and_so_does_the_confusion(tmp_path: Path) -> None:
    judge = Judge(tmp_path)
    evaluation = replace(judge.config.evaluation, threshold=0.3)
    judge.config = replace(judge.config, evaluation=evaluation)
    judge(candidate="nowhere", live=None)
    # Of 300 each: a score is won / 2 + 0, 0.07, … 0.42, and positive from 0.3 on.
    scores = [(i % 2, i % 2 * 0.5 + i % 7 * 0.07) for i in range(600)]
    said = [won for won, score in scores if score >= 0.3]
    metrics = judge.verdict.whole.metrics
    assert metrics["recall"] == 1
    assert metrics["precision"] == pytest.approx(sum(said) / len(said), abs=1e-6)
    confusion = judge.verdict.curves["candidate"].confusion
    assert (confusion.true_positives, confusion.false_positives) == (sum(said), len(said) - sum(said))


def test_metrics_of_tfma_keras_and_ours_take_options(tmp_path: Path) -> None:
    judge = Judge(
        tmp_path,
        """
[metrics]
f1 = "F1Score"
precision_at_all = { kind = "PrecisionAtRecall", recall = 0.9 }
off = { kind = "calibration_error", bins = 5 }
""",
    )
    judge(candidate="nowhere", live=None)
    assert {"f1", "precision_at_all", "off"} <= set(judge.verdict.whole.metrics)
    assert judge.verdict.whole.metrics["off"] > 0.1
    judge.config = replace(judge.config, metrics={"off": Metric("F1Score", {"bin": 5})})
    with pytest.raises(ConfigurationError, match=r"\[metrics\] off cannot be made: .*bin"):
        evaluation_config(judge.config)


def test_a_test_split_is_measured_once_and_gates_do_not_look_at_it(judge: Judge, tmp_path: Path) -> None:
    test = tmp_path / "examples" / "Split-test"
    write_examples(test)
    records = list(tf.data.TFRecordDataset(str(test / "data.gz"), "GZIP").as_numpy_iterator())
    with tf.io.TFRecordWriter(str(test / "data.gz"), "GZIP") as writer:
        for record in records:
            example = tf.train.Example.FromString(record)
            # Upside down: what is right on the eval split is wrong here.
            example.features.feature["won"].int64_list.value[0] ^= 1
            writer.write(example.SerializeToString())
    blessed, refusals, live = judge(candidate="nowhere", live="elsewhere")
    assert blessed and refusals == () and live is not None
    auc = judge.verdict.whole.metrics["auc"]
    assert auc > 0.9 and judge.verdict.test_metrics["auc"] == pytest.approx(1 - auc, abs=0.01)
    assert judge.verdict.test_metrics["example_count"] == 600


def test_a_weighted_run_shows_both_and_gates_the_weighted() -> None:
    loaded = config.load("taxi", "laptop", ["label.weight=trip_miles", "gates.auc.min=0.6"])
    specs = evaluation_config(loaded)
    assert [spec.example_weights.unweighted for spec in specs.metrics_specs] == [False, True]
    gated = [any(metric.per_slice_thresholds for metric in spec.metrics) for spec in specs.metrics_specs]
    assert gated == [True, False]
    assert specs.model_specs[0].example_weight_key == "weight"
