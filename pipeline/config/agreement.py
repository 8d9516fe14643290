"""What the tables of a configuration must agree about."""

from typing import TYPE_CHECKING

from components.evaluator.settings import check_doubled, check_names
from foundation.sections import ConfigurationError, refuse_unknown_keys
from pipeline.config.columns import check_columns
from pipeline.config.dataset import Evaluation
from pipeline.config.window import Window
from trainer_module.tasks import named
from trainer_module.tuning.space import check_space

if TYPE_CHECKING:
    from pipeline.config.loading import Config


def check_agreement(config: "Config", where: str) -> None:
    """Checks that involve several sections.

    Raises:
      ConfigurationError: In one sentence that begins with `where`.
    """
    task, rules = config.settings.label.task, config.settings.label.rules
    if not config.source.has_spans and config.window != Window():
        raise ConfigurationError(
            f"{where} [window] needs spans: give [source] a pattern with {{SPAN}} or {{YYYY}}, {{MM}} and {{DD}}, "
            "or remove it."
        )
    if config.source.has_spans and 0 < config.retention.spans < config.window.spans:
        raise ConfigurationError(
            f"{where} [retention] spans is {config.retention.spans}, and the window has {config.window.spans}: "
            "keep at least those."
        )
    if config.tuning.pods and config.kubeflow is None:
        raise ConfigurationError(
            f"{where} [tuning] pods is {config.tuning.pods}, and profile {config.profile} has no [kubeflow]: trials have pods "
            "of their own on Kubeflow alone; say it in that profile, or remove it."
        )
    check_columns(config, where)
    check_space(config.tuning, config.settings, where)
    check_names(config.metrics, (*rules.metrics, *rules.overall_metrics, *rules.plots), where)
    of_model = config.settings.model.metric_names(config.settings.log)
    names = (*rules.metric_names(config.metrics), *of_model)
    check_doubled(names, where)
    try:
        config.scoring.check(is_log=config.settings.log is not None)
    except ValueError as error:
        raise ConfigurationError(f"{where} [scoring] {error}") from error
    if config.scoring.logged_share and config.request_log is None:
        raise ConfigurationError(
            f"{where} [scoring] logged_share is {config.scoring.logged_share}, and [drift] has no serving_logs: name the "
            "directory that the data gate reads, or remove it."
        )
    if not config.gates and not rules.gates:
        raise ConfigurationError(
            f"{where} [gates] is empty: without a gate any model would be pushed; add one, for "
            "example [gates.auc] min = 0.7."
        )
    refuse_unknown_keys(config.gates, names, f"{where} [gates] for a {task} label")
    if config.evaluation.threshold != Evaluation().threshold and not rules.at_threshold:
        raise ConfigurationError(
            f"{where} [evaluation] threshold means nothing to a {task} label: remove it."
        )
    shares = {*rules.shares, *(named(head, name) for head in rules.heads for name in rules.shares), *of_model}
    for metric, gate in config.gates.items():
        if metric in shares and not gate.allows_shares:
            raise ConfigurationError(
                f"{where} [gates.{metric}] asks for what no model has: the metric is from 0 to 1."
            )
        if metric in shares and gate.allows_any_change:
            raise ConfigurationError(
                f"{where} [gates.{metric}] allows a change above 1, and the metric is from 0 to 1: no model can fail."
            )
        for column in gate.slice_columns:
            if column not in config.evaluation.by_name:
                raise ConfigurationError(
                    f"{where} [gates.{metric}] names the slice '{column}', which [evaluation] slices "
                    "lacks: add it there."
                )
