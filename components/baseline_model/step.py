"""The step's declaration."""

from components.step import MODELS, Step

STEP = Step(
    "BaselineModel",
    after="Trainer",
    code=("components.baseline_model.component",),
    never_cached=True,
    directories=lambda _: (MODELS,),
)
