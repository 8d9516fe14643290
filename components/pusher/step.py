"""The step's declaration."""

from components.step import MODELS, Step

STEP = Step(
    "Pusher",
    after="ServingCheck",
    code=("components.pusher.component",),
    files=(
        "components/pusher/templates/model_card.html.jinja",
        "components/pusher/templates/model_card.md.jinja",
    ),
    never_cached=True,
    directories=lambda _: (MODELS,),
)
