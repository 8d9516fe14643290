"""How long do saving and loading the model take, and how fast does it answer?

Saving follows a `fit` of a few steps, as in a run; loading is of what was saved. Latencies are medians
of calls of `serving_default` of the model that the side's run pushed, in one process without a server.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.end_to_end import finished_run
from benchmarks.input_pipeline import make_ours, make_peer, million_rows
from benchmarks.measurement import OURS, Question, Row
from benchmarks.training_step import our_model, peer_model

QUESTION = Question(
    "exported_model",
    ("save", "serve"),
    (
        Row("saving and loading the model", "save", "save_and_load", "s", 0.5),
        Row("saving the model", "save", "save", "s"),
        Row("`serving_default`, batch 1, median", "serve", "batch_1", "ms", 1.0),
        Row("`serving_default`, batch 1000, median", "serve", "batch_1000", "ms", 0.65),
    ),
    rounds=5,
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Seconds to save and load, or milliseconds to answer."""
    return _save(side, number, work) if case == "save" else _serve(side, work)


def _save(side: str, number: int, work: Path) -> dict[str, float]:
    import trainer_module  # noqa: F401 - chooses Keras 2 before TensorFlow is imported
    import tensorflow as tf  # isort: skip
    import tensorflow_transform as tft

    files, graph = million_rows(side, work)
    transformed, directory = tft.TFTransformOutput(graph), str(work / "saved" / f"{side}-{number}")
    model = our_model() if side == OURS else peer_model()
    batches = (make_ours if side == OURS else make_peer)(files, graph, 256)
    kept = [next(batches) for _ in range(16)]
    model.fit(
        tf.data.Dataset.from_tensor_slices(tf.nest.map_structure(lambda *parts: tf.stack(parts), *kept)),
        verbose=0,
    )
    save: Callable[[], None]
    if side == OURS:
        from pipeline import config
        from trainer_module.export import export_model

        settings = config.load("taxi", "laptop").settings

        def save() -> None:
            export_model(model, settings, transformed, directory)
    else:
        from benchmarks.peer.user_code import save_model

        def save() -> None:
            save_model(model, transformed, directory)

    if tf.io.gfile.exists(directory):
        tf.io.gfile.rmtree(directory)
    Path(directory).parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    save()
    saved = time.monotonic()
    tf.saved_model.load(directory)
    return {"save": saved - started, "save_and_load": time.monotonic() - started}


def _serve(side: str, work: Path) -> dict[str, float]:
    import trainer_module  # noqa: F401 - chooses Keras 2 before TensorFlow is imported
    import tensorflow as tf  # isort: skip
    import tensorflow_transform as tft  # noqa: F401 - registers the ops that the model has

    run = finished_run(side, work)
    model = tf.saved_model.load(str(max(run.glob("**/serving/**/saved_model.pb")).parent))
    (examples,) = (
        run.rglob("ExampleGen/examples/*/Split-eval")
        if side == OURS
        else run.rglob("CsvExampleGen/examples/*/Split-eval")
    )
    rows = next(
        tf.data.TFRecordDataset(sorted(str(file) for file in examples.iterdir()), "GZIP")
        .batch(1000)
        .as_numpy_iterator()
    )
    signature = model.signatures["serving_default"]
    values = {}
    for size, calls in ((1, 6000), (1000, 1000)):
        request = tf.constant(rows[:size])
        seconds = []
        for _ in range(calls):
            started = time.perf_counter()
            # By name: a signature called by position fails first, and spells out all its arguments in the message.
            for output in signature(examples=request).values():
                output.numpy()
            seconds.append(time.perf_counter() - started)
        values[f"batch_{size}"] = 1000 * statistics.median(seconds[calls // 5 :])
    return values
