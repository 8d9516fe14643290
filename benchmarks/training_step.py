"""How many examples a second does a training step take, at batch 4096 on the processor?

Steady state: the median of several calls of `fit` of a compiled model on batches in memory, so that neither
the input pipeline nor tracing counts. Each side trains as its Trainer does: the template's one-hot model under
MirroredStrategy with a step an execution, this pipeline's model with sixteen.
"""

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.input_pipeline import make_ours, make_peer, million_rows
from benchmarks.measurement import OURS, Question, Row

BATCH_SIZE = 4096
SAME_SIZE = "4096, 16-8"
QUESTION = Question(
    "training_step",
    ("4096", SAME_SIZE),
    tuple(
        Row(
            f"training, batch 4096, {which}",
            case,
            "examples_per_second",
            "examples/s",
            10.0,
            more_is_better=True,
        )
        for case, which in (
            ("4096", "this pipeline's model (hidden units 32-16)"),
            (SAME_SIZE, "the template's hidden units (16-8) on both sides"),
        )
    ),
)


def measure(case: str, side: str, number: int, work: Path) -> dict[str, float]:
    """Examples per second of the median `fit`."""
    del number
    import trainer_module  # noqa: F401 - chooses Keras 2 before TensorFlow is imported
    import tensorflow as tf  # isort: skip

    files, graph = million_rows(side, work)
    make = make_ours if side == OURS else make_peer
    batches = make(files, graph, BATCH_SIZE)
    kept = [next(batches) for _ in range(16)]
    data = tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *parts: tf.stack(parts), *kept)
    ).repeat()
    model = our_model((16, 8) if case == SAME_SIZE else None) if side == OURS else peer_model()
    steps = 160 if side == OURS else 32
    model.fit(data, steps_per_epoch=steps, verbose=0)
    seconds = []
    for _ in range(7):
        started = time.monotonic()
        model.fit(data, steps_per_epoch=steps, verbose=0)
        seconds.append(time.monotonic() - started)
    return {"examples_per_second": steps * BATCH_SIZE / statistics.median(seconds)}


def our_model(hidden_units: tuple[int, ...] | None = None) -> Any:
    """This pipeline's model on the taxi features, compiled as the training does."""
    from dataclasses import replace

    from pipeline import config
    from trainer_module.model import build_model, compile_model
    from trainer_module.models.perceptron import Perceptron
    from trainer_module.training import autograph
    from trainer_module.training.optimizer import make_optimizer

    autograph.leave_keras_alone()
    settings = config.load("taxi", "laptop").settings
    if hidden_units:
        assert isinstance(settings.model, Perceptron)
        settings = replace(settings, model=replace(settings.model, hidden_units=hidden_units))
    model = build_model(settings)
    optimizer = make_optimizer(settings.training, settings.training.learning_rate, 1)
    compile_model(model, settings, optimizer, settings.training.steps_per_execution)
    return model


def peer_model() -> Any:
    """The template's model, under the template's strategy."""
    import tensorflow as tf

    from benchmarks.peer.user_code import build_model

    with tf.distribute.MirroredStrategy().scope():
        return build_model()
