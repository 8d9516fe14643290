"""The step's declaration."""

from components.step import DATA, MODELS, Step

STEP = Step(
    "ExampleGen",
    after="",
    code=("components.example_gen.component",),
    never_cached=True,
    # Beside the models it keeps the spans that it has converted.
    directories=lambda config: (DATA, MODELS) if config.source.has_spans else (DATA,),
)
