"""Rows as batches for `fit` and `evaluate`, from memory, from disk or from the files again."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainer_module.inputs.rows import PARSE_BATCH, Row, size_of
from trainer_module.label import TRANSFORMED_LABEL, TRANSFORMED_WEIGHT
from trainer_module.training.plan import batches_of

_LOG = logging.getLogger(__name__)
# Small batches are gathered several at once and then divided: a call of `gather` costs 0.2 ms.
_GATHER_ROWS = 2048

_Batch = tuple[Row, tf.Tensor, tf.Tensor]


def make_batches(
    rows: tf.data.Dataset,
    count: int,
    batch_size: int,
    batches_a_pass: int,
    *,
    weight: Any = 1.0,
    cache: str = "none",
    cache_directory: Path | None = None,
    cache_mib: int = 2048,
    shuffle_rows: int = 0,
    seed: int = 0,
    mask: str = "",
) -> tf.data.Dataset:
    """Batches for `fit` and `evaluate`, pass after pass, indefinitely.

    Every batch has `batch_size` rows and every pass `batches_a_pass` batches; places beyond the rows
    have weight 0. Replicas step together and gather sparse gradients of one shape: a smaller or a
    missing batch on one of them aborts the training ("Shape mismatch in the collective instance").

    Args:
      rows: From `read_rows`.
      count: How many they are.
      batch_size: Rows a batch, on one replica.
      batches_a_pass: At least as many as hold all `rows`.
      weight: Of each row, times its own; see `row_weight`. Of several heads [heads].
      cache: What later passes read from: "memory" (shuffled exactly), "disk" (in `cache_directory`)
        or "none" (the files again).
      cache_directory: Where the rows go if they go to disk.
      cache_mib: Rows that take more memory than this go to disk instead.
      shuffle_rows: Rows that are shuffled together where they are not in memory, 0 for file order; each
        pass is shuffled anew.
      seed: Of the shuffle.
      mask: Name of a feature, float32 [batch_size], that is 1 for rows and 0 for places beyond them, for a model in
        which one row's loss depends on the others; "" for none.

    Yields:
      (features, label, weight): a dict without the label, the label (zeros for a task without one), float32
      [batch_size]; of several heads label and weight are [batch_size, heads].
    """
    if cache == "memory" and _table_bytes(rows, count) > cache_mib << 20:
        # Training then takes no more memory for more rows: the spilled rows are read in order, in windows
        # of `shuffle_rows`.
        _LOG.info("%d rows are more than %d MiB: cached on disk instead of in memory", count, cache_mib)
        cache = "disk"
    if cache == "memory":
        return _from_memory(rows, count, batch_size, batches_a_pass, weight, bool(shuffle_rows), seed, mask)
    if cache == "disk":
        rows = rows.cache(str(cache_directory))
    if shuffle_rows:
        rows = _shuffle_windows(rows, shuffle_rows, seed)
    batches = rows.rebatch(batch_size).map(
        lambda row: _fill_up(row, batch_size, weight, mask), num_parallel_calls=tf.data.AUTOTUNE
    )
    empty = tf.nest.map_structure(lambda spec: tf.zeros(spec.shape, spec.dtype), batches.element_spec)
    # Not `take`: it would stop before the end of the rows is seen, and the cache would never be whole.
    padding = tf.data.Dataset.from_tensors(empty).repeat(batches_a_pass - batches_of(count, batch_size))
    return batches.concatenate(padding).repeat().prefetch(tf.data.AUTOTUNE)


def _shuffle_windows(rows: tf.data.Dataset, window: int, seed: int) -> tf.data.Dataset:
    """Rows shuffled within windows, the windows anew in each pass: parsed batches first, then their rows.

    As one gather a window instead of an element a row, which tf.data's own shuffle needs: see
    `benchmarks/input_pipeline.py`.
    """
    parsed = rows.shuffle(max(1, window // PARSE_BATCH), seed=seed, reshuffle_each_iteration=True)
    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)

    def permute(row: Row, number: tf.Tensor) -> Row:
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.range(size_of(row)), seeds)
        return {name: tf.gather(column, order) for name, column in row.items()}

    return tf.data.Dataset.zip((parsed.rebatch(window), numbers)).map(permute)


def _table_bytes(rows: tf.data.Dataset, count: int) -> int:
    """Memory that all rows take as whole columns."""
    return count * sum(spec.dtype.size * int(np.prod(spec.shape[1:])) for spec in rows.element_spec.values())


def _from_memory(
    rows: tf.data.Dataset,
    count: int,
    batch_size: int,
    batches_a_pass: int,
    weight: Any,
    shuffle: bool,
    seed: int,
    mask: str,
) -> tf.data.Dataset:
    """The same from whole columns in memory: one gather a batch (`benchmarks/input_pipeline.py` measures it)."""
    columns = _fill_columns(rows, count)
    places = batch_size * batches_a_pass
    # As a dataset of one element, and not captured by `gather`: a captured tensor lies on the GPU where
    # there is one, and the whole table would be copied to the host for every batch.
    table = tf.data.Dataset.from_tensors(columns).repeat()

    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.range(count)
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, tf.stack([seed, number]))
        order = tf.pad(order, [[0, places - count]], constant_values=-1)
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [batches_a_pass, batch_size]))

    def gather(places: tf.Tensor, table: Row) -> _Batch:
        row = {name: tf.gather(column, tf.maximum(places, 0)) for name, column in table.items()}
        return _split_label(row, _weights_of(places >= 0, weight), mask)

    orders = tf.data.Dataset.counter().flat_map(one_pass)
    together = _GATHER_ROWS // batch_size
    if together > 1:
        orders = orders.batch(together)
    batches = tf.data.Dataset.zip((orders, table)).map(gather, num_parallel_calls=tf.data.AUTOTUNE)
    return (batches.unbatch() if together > 1 else batches).prefetch(tf.data.AUTOTUNE)


def _fill_columns(rows: tf.data.Dataset, count: int) -> dict[str, np.ndarray[Any, Any]]:
    """All rows as whole columns, each filled in place: they are in memory once, not twice."""
    columns = {
        name: np.empty((count, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
        for name, spec in rows.element_spec.items()
    }
    filled = 0
    for part in rows.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
        end = filled + len(next(iter(part.values())))
        for name, column in columns.items():
            column[filled:end] = part[name]
        filled = end
    return columns


def row_weight(total: Any, steps: int, global_batch_size: int) -> Any:
    """The weight with which the mean over all places of a pass is the mean over its rows.

    Keras divides the loss of a batch by its size, empty places included.

    Args:
      total: The sum of the rows' own weights, their number where they have none; of each output where these have
        weights of their own, [outputs].
      steps: Of a pass.
      global_batch_size: Places in a step.
    """
    return steps * global_batch_size / total


def _weights_of(there: tf.Tensor, weight: Any) -> tf.Tensor:
    """float32 of the shape of `there`, [..., heads] for a weight of each head: 0 where there is no row."""
    weight = tf.constant(weight, tf.float32)
    return tf.where(there[..., tf.newaxis] if weight.shape.rank else there, weight, 0.0)


def _fill_up(row: Row, batch_size: int, weight: Any, mask: str) -> _Batch:
    size = size_of(row)

    def fill(column: tf.Tensor) -> tf.Tensor:
        filled = tf.concat([column, tf.zeros([batch_size - size, *column.shape[1:]], column.dtype)], axis=0)
        return tf.ensure_shape(filled, [batch_size, *column.shape[1:]])

    weights = _weights_of(tf.range(batch_size) < size, weight)
    return _split_label({name: fill(column) for name, column in row.items()}, weights, mask)


def _split_label(row: Row, weights: tf.Tensor, mask: str) -> _Batch:
    features = {
        name: value for name, value in row.items() if name not in (TRANSFORMED_LABEL, TRANSFORMED_WEIGHT)
    }
    if mask:
        features[mask] = tf.cast(weights > 0, tf.float32)
    if TRANSFORMED_WEIGHT in row:
        weights *= row[TRANSFORMED_WEIGHT]
    # Keras wants a target, also where the task has no label.
    return features, row[TRANSFORMED_LABEL] if TRANSFORMED_LABEL in row else tf.zeros_like(weights), weights
