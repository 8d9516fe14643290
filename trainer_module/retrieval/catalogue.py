"""The items as a training knows them: their features, and how often each is a target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.inputs.rows import FeatureSpec, PaddedList, read_rows
from trainer_module.log import AVAILABLE, BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, Log, context_name
from trainer_module.retrieval.preprocessing import PADDING

Array = NDArray[Any]


@dataclass(frozen=True)
class Catalogue:
    """Attributes, by item number.

    Attributes:
      ids: int32 [items, columns] of `CATEGORICAL`; no columns without such features.
      numbers: float32 [items, columns] of `NUMERIC`.
      counts: int64 [items]: how often each is a target of the training split.
      available: bool [items]: which may be recommended; None where all may.
    """

    ids: Array
    numbers: Array
    counts: Array
    available: Array | None = None

    @property
    def size(self) -> int:
        """How many items there are."""
        return len(self.counts)


def sequence_spec(log: Log) -> dict[str, Any]:
    """What is read of a transformed sequence: `PADDING` or 0 behind its end."""
    names = (TIME, BASKET, EVENT_KIND) if log.events else (TIME, BASKET)
    lists = {name: PaddedList(log.length, tf.int64) for name in names}
    for feature in log.context_features:
        lists[context_name(feature.name)] = PaddedList(log.length, tf.int64, feature.ids - 1)
    return {
        ITEM: PaddedList(log.length, tf.int64, PADDING),
        **lists,
        FIRST_TARGET: tf.io.FixedLenFeature([], tf.int64),
    }


def read_catalogue(
    item_files: Sequence[str], train_files: Sequence[str], feature_spec: FeatureSpec, log: Log, size: int
) -> Catalogue:
    """The catalogue.

    Args:
      item_files: Transformed examples of the items.
      train_files: Those of the sequences.
      feature_spec: Of what Transform made.
      log: What the sequences are of.
      size: How many items the vocabulary has.
    """
    widths = {name: feature_spec[name].shape[0] for name in (CATEGORICAL, NUMERIC) if name in feature_spec}
    ids = np.zeros((size, widths.get(CATEGORICAL, 0)), np.int32)
    numbers = np.zeros((size, widths.get(NUMERIC, 0)), np.float32)
    available = np.zeros(size, bool) if log.available else None
    of_items = {ITEM: PaddedList(1, tf.int64), **{name: feature_spec[name] for name in widths}}
    if log.available:
        of_items[AVAILABLE] = tf.io.FixedLenFeature([], tf.int64)
    for row in _read(item_files, of_items):
        places = row[ITEM][:, 0]
        if CATEGORICAL in row:
            ids[places] = row[CATEGORICAL]
        if NUMERIC in row:
            numbers[places] = row[NUMERIC]
        if available is not None:
            available[places] = row[AVAILABLE] > 0
    counts = np.zeros(size, np.int64)
    spec = sequence_spec(log)
    for row in _read(train_files, {name: spec[name] for name in (ITEM, FIRST_TARGET)}):
        is_target = np.arange(row[ITEM].shape[1]) >= row[FIRST_TARGET][:, np.newaxis]
        counts += np.bincount(row[ITEM][is_target & (row[ITEM] >= 0)], minlength=size)
    return Catalogue(ids, numbers, counts, available)


def _read(files: Sequence[str], spec: FeatureSpec) -> Any:
    return read_rows(files, spec).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()
