"""Transformed rows for a model that is written in a cell."""

from typing import Any

from foundation.sections import ConfigurationError
from pipeline.session.results import Result
from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.log import ITEMS


def read_split(result: Result, split: str, batch_size: int) -> Any:
    """See `pipeline.session.results.Result.rows`."""
    directory = result.artifact("Transform", "transformed_examples")
    files = sorted(str(file) for file in (directory / f"Split-{split}").glob("*.gz"))
    if not files:
        there = ", ".join(sorted(path.name.removeprefix("Split-") for path in directory.glob("Split-*")))
        raise ConfigurationError(f"There is no split '{split}' of transformed rows: there are {there}.")
    if batch_size < 1:
        raise ConfigurationError(f"batch_size is {batch_size}; it must be 1 or more.")
    import tensorflow_transform as tft

    import trainer_module  # noqa: F401 - before TensorFlow, as it chooses Keras 2
    from trainer_module.inputs.rows import read_rows
    from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT
    from trainer_module.retrieval.catalogue import sequence_spec

    graph = tft.TFTransformOutput(str(result.artifact("Transform", "transform_graph")))
    spec, log = graph.transformed_feature_spec(), result.config.settings.log
    if log is not None:
        spec = (
            sequence_spec(log)
            if split != ITEMS
            else {name: spec[name] for name in spec if name in (NUMERIC, CATEGORICAL)}
        )

    def part(row: dict[str, Any]) -> Any:
        label, weight = row.pop(TRANSFORMED_LABEL, None), row.pop(TRANSFORMED_WEIGHT, None)
        if label is None:
            return row
        return (row, label) if weight is None else (row, label, weight)

    return read_rows(files, spec).rebatch(batch_size).map(part)
