"""The step's declaration."""

from components.step import MODELS, Step

STEP = Step(
    "Pusher",
    after="ServingCheck",
    code=("components.pusher.component",),
    never_cached=True,
    directories=lambda _: (MODELS,),
)
