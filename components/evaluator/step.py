"""The step's declaration."""

from components.step import Step

STEP = Step(
    "Evaluator",
    after="BaselineModel",
    code=("components.evaluator.component",),
    # Before the first push there is no baseline.
    optional_inputs=("baseline_model",),
)
