"""The step's declaration."""

from typing import Any

from components.step import Step


def _metric_modules(config: Any) -> tuple[str, ...]:
    task = config.settings.label.rules
    own = (*task.metrics.values(), *task.overall_metrics.values(), task.evaluation)
    paths = [*own, *(each.path for each in config.metrics.values())]
    return tuple(path.rpartition(".")[0] for path in paths if "." in path)


STEP = Step(
    "Evaluator",
    after="BaselineModel",
    code=("components.evaluator.component",),
    chosen=_metric_modules,
    uses_beam=True,
    # Before the first push there is no baseline.
    optional_inputs=("baseline_model",),
)
