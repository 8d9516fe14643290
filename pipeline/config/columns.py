"""Which columns of a table a configuration names, and how their cells are to be read."""

from typing import TYPE_CHECKING

from components.example_gen.behaviour_log.reading import LogReading
from components.example_gen.reading.dialect import Reading
from components.example_gen.splits import Splits
from foundation.sections import ConfigurationError
from pipeline.config.dataset import Evaluation
from trainer_module.expression import is_column
from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT

if TYPE_CHECKING:
    from pipeline.config.loading import Config


def named_columns(config: "Config") -> dict[str, str]:
    """The columns that are read, and what names each, in words that follow "which"; "" for those that may be missing.

    Those of a log; of its item table see `log_reading_of`.
    """
    if config.settings.log:
        return config.settings.log.columns
    return {
        **dict.fromkeys(config.compared_columns, ""),
        **config.splits.columns,
        **dict.fromkeys(config.evaluation.columns, "[evaluation] slices names"),
        **{each.column: f"[metrics] {name} reads" for name, each in config.metrics.items() if each.column},
        **dict.fromkeys(config.settings.label.columns, "[label] reads"),
        **{feature.name: "[features] names" for feature in config.settings.features},
    }


def reading_of(config: "Config") -> Reading:
    """What the source's format needs to know besides the files."""
    label, features = config.settings.label, config.settings.features
    if log := config.settings.log:
        return Reading(
            dialect=config.source.dialect,
            columns=config.columns,
            exact=(
                log.item,
                log.user,
                *log.operands,
                *log.context,
                *(() if log.time_unit == "iso" else (log.time,)),
            ),
            codes=(log.item, log.user, *log.context),
            # Whatever the unit: of a wrong one the error says which is right.
            times=(log.time,),
        )
    # A regression's label is a quantity, which is whole on one day and not on the next.
    label_columns = label.columns if label.rules.has_classes or label.column is None else ()
    ids = [feature.name for feature in features if "decimal" not in feature.types]
    times = [feature.name for feature in features if "time" in feature.types]
    return Reading(
        dialect=config.source.dialect,
        columns=config.columns,
        exact=tuple(sorted({*ids, *label_columns, *config.splits.columns} - {label.weight})),
        codes=tuple(sorted(feature.name for feature in features if "text" in feature.types)),
        times=tuple(filter(None, (config.splits.time, *times))),
        numbers={feature.name: feature.kind for feature in features if "text" not in feature.types},
    )


def log_reading_of(config: "Config") -> LogReading | None:
    """A behaviour log, and what its item table's format needs to know besides the files."""
    log, features = config.settings.log, config.settings.features
    if log is None:
        return None
    named = {feature.name: "[features] names" for feature in features}
    texts = [feature.name for feature in features if "text" in feature.types]
    numbers = {feature.name: feature.kind for feature in features if "text" not in feature.types}
    exact = [feature.name for feature in features if "decimal" not in feature.types]
    items = Reading(
        dialect=config.source.dialect,
        columns={
            **dict.fromkeys(config.evaluation.columns, "[evaluation] slices names"),
            **dict.fromkeys(filter(None, [config.evaluation.item_name]), "[evaluation] item_name names"),
            **log.item_columns,
            **named,
        },
        exact=(log.item, *log.item_operands, *exact),
        codes=(log.item, *texts),
        times=tuple(feature.name for feature in features if "time" in feature.types),
        numbers=numbers,
    )
    return LogReading(log, items)


def _check_log(config: "Config", where: str) -> None:
    """What a behaviour log's splits and files cannot be.

    Raises:
      ConfigurationError: In one sentence that begins with `where`.
    """
    log, splits, source, evaluation = config.settings.log, config.splits, config.source, config.evaluation
    if log is None:
        for key in ("item_name", "ceiling"):
            if getattr(evaluation, key):
                raise ConfigurationError(
                    f"{where} [evaluation] {key} is of a log's items: remove it, or add the table [log]."
                )
        return
    if evaluation.item_name and not log.items:
        raise ConfigurationError(
            f"{where} [evaluation] item_name is of the item table: name its files with [log] items."
        )
    of_items = {*evaluation.columns, evaluation.item_name, *log.item_columns}
    for column in sorted(of_items & {*log.context}):
        raise ConfigurationError(
            f"{where} [log.context] '{column}' is also a column of the item table that is read: rename one of the two."
        )
    if splits.by or splits.is_by_file:
        what = f"by '{splits.by}'" if splits.by else "by files"
        raise ConfigurationError(
            f"{where} [splits] divides a log {what}, which would put events into training that are later than those a "
            f"model is judged on: leave it out, and the splits follow each other by '{log.time}'."
        )
    if splits.time not in ("", log.time):
        raise ConfigurationError(
            f"{where} [splits] time is '{splits.time}', and [log] time '{log.time}': name the same column."
        )
    if log.split == "leave_last_out" and (splits.time or len(splits.names) > 2):
        raise ConfigurationError(
            f'{where} [log] split is "leave_last_out", which has no time and no test split: remove [splits].'
        )
    if "int8" in config.app.formats:
        raise ConfigurationError(
            f"{where} [app] formats has int8, and a recommender's arithmetic cannot be in 8 bits, only its weights: "
            "put tflite in its place."
        )
    if config.metrics or config.evaluation.threshold != Evaluation().threshold:
        raise ConfigurationError(
            f"{where} [metrics] and [evaluation] threshold are of rows: a log's rankings have their own."
        )
    if source.has_spans and (splits != Splits() or log.split != "time"):
        raise ConfigurationError(
            f"{where} [source] pattern has spans, of which the newest is judged and those before in the window are learned "
            "from: remove [splits] and [log] split, or the placeholders."
        )
    if source.has_spans and config.window.spans < 2:
        raise ConfigurationError(
            f"{where} [window] spans is 1, and of a log's spans the newest is judged and those before are learned from: "
            "set it to 2 or more."
        )


def _check_roles(config: "Config", where: str) -> set[str]:
    """Refuses a column that is two things of a row which exclude each other; returns the label's own columns."""
    label, splits = config.settings.label, config.splits
    # Heads may well be several values of one column.
    labels = {
        part.column or "".join(part.columns[:1]): f"[label.heads.{name}]" if name else "[label]"
        for name, part in label.parts.items()
        if part.column or (part.expression and is_column(part.expression))
    }
    taken = dict(labels)
    others = {"[label] weight": label.weight, "[splits] by": splits.by, "[splits] time": splits.time}
    for key, column in others.items():
        if column and column in taken:
            raise ConfigurationError(
                f"{where} {key} is '{column}', which is that of {taken[column]} already: name another column, or "
                "remove it."
            )
        taken[column or ""] = key
    for name, metric in config.metrics.items():
        if metric.column in labels:
            raise ConfigurationError(
                f"{where} [metrics] {name} has groups of '{metric.column}', which is the label itself, so that each is of "
                "one label: name another column."
            )
    return {*labels}


def check_columns(config: "Config", where: str) -> None:
    """Checks what the tables say of the rows and columns against each other.

    Raises:
      ConfigurationError: In one sentence that begins with `where`.
    """
    _check_log(config, where)
    if not config.settings.features and config.settings.log is None:
        raise ConfigurationError(f"{where} [features] is empty: name at least one feature and its kind.")
    labels = _check_roles(config, where)
    for feature in config.settings.features:
        if feature.name in labels:
            raise ConfigurationError(
                f"{where} [features] '{feature.name}' is the label column itself: remove the feature."
            )
    for column in config.evaluation.columns:
        if column in (NUMERIC, CATEGORICAL, TRANSFORMED_LABEL, TRANSFORMED_WEIGHT):
            raise ConfigurationError(
                f"{where} [evaluation] slices names '{column}', which is also what the model is given: rename the "
                "column, or leave the slice out."
            )
    source, splits = config.source, config.splits
    if source.has_spans and (splits.is_by_file or splits.time):
        key = "time" if splits.time else "files of each split"
        raise ConfigurationError(
            f"{where} [splits] has {key}, and spans follow each other already, the newest being judged: remove it, or "
            "the placeholders from [source] pattern."
        )
    if source.pattern and splits.is_by_file:
        raise ConfigurationError(
            f"{where} [source] has a pattern, and [splits] names the files of each split: remove one of the two."
        )
    for column in source.lists:
        if column not in config.columns:
            raise ConfigurationError(
                f"{where} [source] lists names '{column}', which neither a feature nor anything else reads: remove it."
            )
    for column in config.columns if source.columns else ():
        if column not in source.columns:
            raise ConfigurationError(
                f"{where} [source] columns lacks '{column}', which {config.columns[column]}: add it in its place."
            )
