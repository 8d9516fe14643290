"""The peer's pipeline under LocalDagRunner.

    python -m benchmarks.peer.graph --data DIRECTORY --workdir DIRECTORY [--to Transform] [--cache]

Prints one line of JSON: seconds by node, and the metrics of the eval split. The splits are this
pipeline's (2 to 1 by hash, the template's default too), and AUC is evaluated beside the accuracy that
the template gates on. `--cache` is the template's commented-out `enable_cache`.
"""

import argparse
import json
import os
import time
from pathlib import Path


def main() -> None:
    """Builds, runs, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument("--to", default="Pusher")
    parser.add_argument("--cache", action="store_true")
    options = parser.parse_args()
    # tf.keras must be Keras 2 in TensorFlow 2.16 and later: TFT and TFMA require it.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    started = time.monotonic()

    import tensorflow_model_analysis as tfma
    from tfx import v1 as tfx

    imported = time.monotonic() - started
    components, seconds = tfx.components, {}
    examples = components.CsvExampleGen(input_base=options.data)
    statistics = components.StatisticsGen(examples=examples.outputs["examples"])
    schema = components.SchemaGen(statistics=statistics.outputs["statistics"])
    validator = components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transform = components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="benchmarks.peer.user_code.preprocessing_fn",
    )
    trainer = components.Trainer(
        run_fn="benchmarks.peer.user_code.run_fn",
        examples=transform.outputs["transformed_examples"],
        schema=schema.outputs["schema"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=tfx.proto.TrainArgs(num_steps=1000),
        eval_args=tfx.proto.EvalArgs(num_steps=150),
    )
    baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("latest_blessed_model_resolver")
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": 0.6}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -1e-10}
        ),
    )
    evaluator = components.Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        eval_config=tfma.EvalConfig(
            model_specs=[
                tfma.ModelSpec(
                    signature_name="serving_default",
                    label_key="tips_xf",
                    preprocessing_function_names=["transform_features"],
                )
            ],
            slicing_specs=[tfma.SlicingSpec()],
            metrics_specs=[
                tfma.MetricsSpec(
                    metrics=[
                        tfma.MetricConfig(class_name="BinaryAccuracy", threshold=threshold),
                        tfma.MetricConfig(class_name="AUC"),
                    ]
                )
            ],
        ),
    )
    pusher = components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(options.workdir / "serving"))
        ),
    )
    nodes = [examples, statistics, schema, validator, transform, trainer, baseline, evaluator, pusher]
    options.workdir.mkdir(parents=True, exist_ok=True)
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="template",
        pipeline_root=str(options.workdir / "artifacts"),
        components=nodes,
        enable_cache=options.cache,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(options.workdir / "metadata.sqlite")
        ),
    )
    selection = tfx.dsl.experimental.RunOptions(to_nodes=[options.to]) if options.to != "Pusher" else None
    begun = time.monotonic()
    tfx.orchestration.LocalDagRunner().run(pipeline, run_options=selection)
    seconds = {"import": imported, "graph": time.monotonic() - begun}
    metrics = {}
    evaluations = options.workdir / "artifacts" / "Evaluator" / "evaluation"
    if evaluations.is_dir():
        newest = max(evaluations.iterdir(), key=lambda path: int(path.name))
        (overall,) = tfma.load_metrics(str(newest))
        for entry in overall.metric_keys_and_values:
            if not entry.key.is_diff and entry.value.HasField("double_value"):
                metrics[entry.key.name] = entry.value.double_value.value
    print(json.dumps({"seconds": seconds, "metrics": metrics}))


if __name__ == "__main__":
    main()
