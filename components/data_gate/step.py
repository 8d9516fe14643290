"""The step's declaration."""

from typing import Any

from components.step import MODELS, SERVING_LOGS, Step


def _directories(config: Any) -> tuple[str, ...]:
    # The statistics of past spans are kept beside the models.
    history = (MODELS,) if config.source.has_spans else ()
    return (*history, SERVING_LOGS) if config.serving_logs else history


STEP = Step(
    "DataGate",
    after="ExampleValidator",
    code=("components.data_gate.component",),
    chosen=lambda config: (type(config.settings.label.rules).__module__,),
    never_cached=True,
    directories=_directories,
)
