"""The step's declaration."""

from components.step import Step

STEP = Step(
    "StatisticsGen", after="ExampleGen", code=("components.statistics_gen.component",), uses_beam=True
)
