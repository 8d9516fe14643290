"""The step's declaration."""

from components.step import Step

STEP = Step(
    "Evaluator",
    after="BaselineModel",
    code=("components.evaluator.component",),
    chosen=lambda config: tuple(path.rpartition(".")[0] for path in config.metrics.values()),
    # Before the first push there is no baseline.
    optional_inputs=("baseline_model",),
)
