"""The step's declaration."""

from components.step import Step

STEP = Step("ServingCheck", after="Evaluator", code=("components.serving_check.component",))
