"""A split of sequences as arrays of item numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, USER

_BATCH = 4096

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Histories:
    """Sequences, one behind the other: events from `starts[i]` to `starts[i + 1]` are the i-th's.

    Attributes:
      users: Who.
      items: int64 [events]: the item's number in the catalogue, -1 for one that it lacks.
      times: int64 [events].
      baskets: int64 [events].
      starts: int64 [sequences + 1].
      first_targets: int64 [sequences], counted from the sequence's start.
    """

    users: NDArray[Any]
    items: Numbers
    times: Numbers
    baskets: Numbers
    starts: Numbers
    first_targets: Numbers

    def __len__(self) -> int:
        return len(self.users)

    @property
    def owner(self) -> Numbers:
        """The sequence of each event."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @property
    def is_target(self) -> NDArray[np.bool_]:
        """Which events are targets."""
        place = np.arange(len(self.items)) - np.repeat(self.starts[:-1], np.diff(self.starts))
        return place >= np.repeat(self.first_targets, np.diff(self.starts))

    def rows(self, start: int, end: int) -> "Histories":
        """Some of the sequences."""
        events = slice(self.starts[start], self.starts[end])
        return Histories(
            self.users[start:end], self.items[events], self.times[events], self.baskets[events],
            self.starts[start : end + 1] - self.starts[start], self.first_targets[start:end],
        )  # fmt: skip


def read_histories(files: Sequence[str], catalogue: pa.Array) -> Histories:
    """The sequences in gzip-compressed TFRecord files of raw examples.

    Args:
      files: Of one split.
      catalogue: pa.binary(): the items by number.
    """
    parts: dict[str, list[Any]] = {name: [] for name in (USER, ITEM, TIME, BASKET, FIRST_TARGET)}
    lengths = []
    for columns in _batches(files):
        for name in (USER, FIRST_TARGET):
            parts[name].append(columns[name].flatten())
        for name in (ITEM, TIME, BASKET):
            parts[name].append(columns[name].flatten())
        lengths.append(np.asarray(columns[ITEM].value_lengths().fill_null(0)))
    joined = {name: pa.concat_arrays(arrays) for name, arrays in parts.items()}
    items = pa.compute.index_in(joined[ITEM].cast(pa.binary()), value_set=catalogue).fill_null(-1)
    return Histories(
        users=np.asarray(joined[USER].to_pylist(), object),
        items=np.asarray(items, np.int64),
        times=np.asarray(joined[TIME]),
        baskets=np.asarray(joined[BASKET]),
        starts=np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64),
        first_targets=np.asarray(joined[FIRST_TARGET]),
    )


def _batches(files: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    decoder = ExamplesToRecordBatchDecoder()
    for records in tf.data.TFRecordDataset(sorted(files), "GZIP").batch(_BATCH).as_numpy_iterator():
        batch = decoder.DecodeBatch(records.tolist())
        yield dict(zip(batch.schema.names, batch.columns))


def targets_of(histories: Histories, width: int = 0) -> tuple[Numbers, Numbers]:
    """[sequences, places] of the distinct targets, -1 behind them, -2 for one that the catalogue lacks; and how many.

    What the catalogue lacks cannot be recommended, and counts as a target all the same.
    """
    chosen = np.flatnonzero(histories.is_target)
    owner, items = histories.owner[chosen], histories.items[chosen]
    # Each that the catalogue lacks is one of its own.
    key = np.where(items >= 0, items, -2 - np.arange(len(items)))
    pairs = np.unique(np.stack([owner, key]), axis=1) if len(owner) else np.zeros((2, 0), np.int64)
    owner, key = pairs
    counts = np.bincount(owner, minlength=len(histories))
    first = np.cumsum(counts) - counts
    matrix = np.full((len(histories), max(width, int(counts.max(initial=1)))), -1, np.int64)
    matrix[owner, np.arange(len(owner)) - first[owner]] = np.maximum(key, -2)
    return matrix, counts
