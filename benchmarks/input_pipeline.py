"""How many examples a second does the input pipeline deliver, in the first epoch and in later ones?

A million transformed examples in four gzip TFRecord files: the training split of the taxi table as each
side's own Transform leaves it, repeated. Rows are shuffled in every epoch, exactly on our side, within
a buffer of 10,000 on TFX's. Counting the rows is part of our first epoch, imports are part of neither.
The side "peer, our files" is TFX's input pipeline on the files of this pipeline's Transform.
"""

import json
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.end_to_end import finished_run
from benchmarks.measurement import OURS, PEER, Question, Row

ROWS, FILES = 1_000_000, 4
SAME_FILES = "peer, our files"
_TARGETS = {"64": (None, 4.0), "512": (2.5, 15.0), "4096": (3.0, 25.0)}
QUESTION = Question(
    "input_pipeline",
    tuple(_TARGETS),
    tuple(
        Row(
            f"input pipeline, batch {case}, {epoch} epoch",
            case,
            metric,
            "examples/s",
            bound,
            more_is_better=True,
        )
        for case, bounds in _TARGETS.items()
        for epoch, metric, bound in zip(("first", "later"), ("first", "later"), bounds)
    )
    + tuple(
        Row(
            f"the same, TFX's on this pipeline's files, batch {case}, {metric} epoch",
            case,
            metric,
            "examples/s",
            more_is_better=True,
            peer=SAME_FILES,
        )
        for case in _TARGETS
        for metric in ("first", "later")
    ),
    sides=(PEER, OURS, SAME_FILES),
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Examples per second of the first epoch and of the second."""
    del number
    import trainer_module  # noqa: F401 - chooses Keras 2 before TensorFlow is imported

    batch_size = int(case)
    files, graph = million_rows(PEER if side == PEER else OURS, work)
    steps = ROWS // batch_size
    make = make_ours if side == OURS else make_peer
    for module in (
        "tensorflow_transform",
        "trainer_module.inputs.batches",
        "tfx.components.util.tfxio_utils",
    ):
        import_module(module)
    started = time.monotonic()
    batches = make(files, graph, batch_size)
    values = {}
    for epoch in ("first", "later"):
        for _ in range(steps):
            next(batches)
        now = time.monotonic()
        values[epoch] = steps * batch_size / (now - started)
        started = now
    return values


def make_ours(files: list[str], graph: str, batch_size: int) -> Iterator[Any]:
    """What `trainer_module.training.loop` reads."""
    import tensorflow_transform as tft

    from trainer_module.inputs.batches import make_batches
    from trainer_module.inputs.rows import read_rows
    from trainer_module.inputs.survey import survey
    from trainer_module.training.plan import batches_of

    spec = tft.TFTransformOutput(graph).transformed_feature_spec()
    count, rows = survey(files, spec).rows, read_rows(files, spec)
    return iter(
        make_batches(
            rows, count, batch_size, batches_of(count, batch_size), cache="memory", shuffle_rows=100_000
        )
    )


def make_peer(files: list[str], graph: str, batch_size: int) -> Iterator[Any]:
    """What the template's `run_fn` reads: the factory that TFX's Trainer hands it."""
    import tensorflow_transform as tft
    from tfx.components.util import tfxio_utils
    from tfx.types import standard_artifacts
    from tfx_bsl.public import tfxio

    spec = tft.TFTransformOutput(graph).transformed_feature_spec()
    (label,) = {"label", "tips_xf"} & set(spec)
    factory = tfxio_utils.get_tf_dataset_factory_from_artifact([standard_artifacts.Examples()], ["benchmark"])
    options = tfxio.TensorFlowDatasetOptions(batch_size=batch_size, label_key=label)
    return iter(factory(files, options, tft.TFTransformOutput(graph).transformed_metadata.schema).repeat())


def million_rows(side: str, work: Path) -> tuple[list[str], str]:
    """The files, and the directory of the transform graph; the files are made once."""
    import tensorflow as tf

    run = finished_run(side, work)
    (examples,) = run.rglob("Transform/transformed_examples/*/Split-train")
    (graph,) = run.rglob("Transform/transform_graph/*")
    directory = work / "million" / side
    files = [str(directory / f"rows-{number}.gz") for number in range(FILES)]
    if not (directory / "complete.json").exists():
        directory.mkdir(parents=True, exist_ok=True)
        records = list(
            tf.data.TFRecordDataset([str(file) for file in examples.iterdir()], "GZIP").as_numpy_iterator()
        )
        for number, file in enumerate(files):
            with tf.io.TFRecordWriter(file, "GZIP") as writer:
                for place in range(number, ROWS, FILES):
                    writer.write(records[place % len(records)])
        (directory / "complete.json").write_text(json.dumps(files))
    return files, str(graph)
