"""Quality of TFX's taxi template on the splits that this pipeline trains and judges on.

    python benchmarks/template_quality.py

Trains the template's own code for its own 1000 steps of 40 under LocalDagRunner (about two minutes on
two cores) and prints its AUC and accuracy on the eval split, as TFMA computes them.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Builds, runs, prints."""
    sys.path.insert(0, str(ROOT))
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow_model_analysis as tfma
    from tfx.components.evaluator.component import Evaluator
    from tfx.components.example_gen.csv_example_gen.component import CsvExampleGen
    from tfx.components.schema_gen.component import SchemaGen
    from tfx.components.statistics_gen.component import StatisticsGen
    from tfx.components.trainer.component import Trainer
    from tfx.components.transform.component import Transform
    from tfx.orchestration import metadata
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import Pipeline
    from tfx.proto import example_gen_pb2, trainer_pb2

    from pipeline import config, preflight

    taxi = config.load("taxi", "laptop")
    splits = example_gen_pb2.SplitConfig(
        splits=[
            example_gen_pb2.SplitConfig.Split(name="train", hash_buckets=taxi.splits.train),
            example_gen_pb2.SplitConfig.Split(name="eval", hash_buckets=taxi.splits.eval),
        ]
    )
    examples = CsvExampleGen(
        str(preflight.find_source(taxi)), output_config=example_gen_pb2.Output(split_config=splits)
    )
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    schema = SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    transform = Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="benchmarks.taxi_template.preprocessing_fn",
    )
    trainer = Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        run_fn="benchmarks.taxi_template.run_fn",
        train_args=trainer_pb2.TrainArgs(num_steps=1000),
        eval_args=trainer_pb2.EvalArgs(num_steps=150),
    )
    metrics = [
        tfma.MetricConfig(class_name=name, config=json.dumps({"name": name}))
        for name in ("AUC", "BinaryAccuracy", "ExampleCount")
    ]
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        eval_config=tfma.EvalConfig(
            model_specs=[
                tfma.ModelSpec(
                    signature_name="serving_default",
                    label_key="tips_xf",
                    preprocessing_function_names=["transform_features"],
                )
            ],
            slicing_specs=[tfma.SlicingSpec()],
            metrics_specs=[tfma.MetricsSpec(metrics=metrics)],
        ),
    )
    with tempfile.TemporaryDirectory() as directory:
        LocalDagRunner().run(
            Pipeline(
                pipeline_name="template",
                pipeline_root=f"{directory}/artifacts",
                components=[examples, statistics, schema, transform, trainer, evaluator],
                metadata_connection_config=metadata.sqlite_metadata_connection_config(
                    f"{directory}/metadata.sqlite"
                ),
                beam_pipeline_args=taxi.beam.arguments(),
            )
        )
        (evaluation,) = Path(directory, "artifacts", "Evaluator", "evaluation").iterdir()
        (overall,) = tfma.load_metrics(str(evaluation))
    for entry in overall.metric_keys_and_values:
        print(f"{entry.key.name:<16}{entry.value.double_value.value:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
