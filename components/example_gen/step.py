"""The step's declaration."""

from components.example_gen.source_format import format_module
from components.step import DATA, MODELS, Step

STEP = Step(
    "ExampleGen",
    after="",
    code=("components.example_gen.component",),
    # No import statement leads to a format's file.
    chosen=lambda config: (format_module(config.source.format),),
    never_cached=True,
    uses_beam=True,
    # Beside the models it keeps the spans that it has converted.
    directories=lambda config: (DATA, MODELS) if config.source.has_spans else (DATA,),
)
