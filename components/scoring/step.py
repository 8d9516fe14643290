"""The step's declaration."""

from typing import Any

from components.example_gen.source_format import format_module
from components.step import MODELS, SCORED, SERVING_LOGS, TO_SCORE, Step


def _directories(config: Any) -> tuple[str, ...]:
    logs = (SERVING_LOGS,) if config.scoring.logged_share else ()
    return (TO_SCORE, SCORED, MODELS, *logs)


STEP = Step(
    "Scorer",
    after="",
    code=("components.scoring.component",),
    # No import statement leads to a format's file.
    chosen=lambda config: (format_module(config.source.format),),
    scores=True,
    never_cached=True,
    shown_outputs={"summary": "system.Markdown", "rejected": "system.Dataset"},
    directories=_directories,
)
