"""A split of sequences as arrays of item numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import tensorflow as tf
from numpy.typing import NDArray
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components.example_gen.arrow_columns import first_values
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, USER, EventKinds

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
      weights: float64 [events]: what each counts, by its kind; None of a log without kinds, where all count 1.
    """

    users: NDArray[Any]
    items: Numbers
    times: Numbers
    baskets: Numbers
    starts: Numbers
    first_targets: Numbers
    weights: NDArray[np.float64] | None = None

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
            None if self.weights is None else self.weights[events],
        )  # fmt: skip


def read_histories(files: Sequence[str], catalogue: pa.Array, kinds: EventKinds | None = None) -> Histories:
    """The sequences in gzip-compressed TFRecord files of raw examples.

    Args:
      files: Of one split.
      catalogue: pa.binary(): the items by number.
      kinds: What kinds of events the log has; None of one without.
    """
    lists = (ITEM, TIME, BASKET, EVENT_KIND) if kinds else (ITEM, TIME, BASKET)
    parts: dict[str, list[Any]] = {name: [] for name in (USER, FIRST_TARGET, *lists)}
    lengths = []
    for columns in _batches(files):
        for name, values in parts.items():
            values.append(columns[name].flatten())
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
        weights=np.array(kinds.counts)[np.asarray(joined[EVENT_KIND])] if kinds else None,
    )


def read_features(files: Sequence[str], columns: Sequence[str]) -> dict[str, pa.Array]:
    """Columns of the items' examples, by item; `ITEM` as pa.binary(), others as pa.string()."""
    parts: dict[str, list[pa.Array]] = {name: [] for name in columns}
    for batch in _batches(files):
        size = len(batch[ITEM])
        for name in columns:
            if name == ITEM:
                parts[name].append(batch[name].flatten().cast(pa.binary()))
            else:
                parts[name].append(_first(batch[name]) if name in batch else pa.nulls(size, pa.string()))
    return {name: pa.concat_arrays(arrays) for name, arrays in parts.items()}


def name_items(catalogue: pa.Array, named: pa.Array | None) -> list[str]:
    """What people call each item, [items]; as the log has it where nothing else is known."""
    ids = [item.decode(errors="replace") for item in catalogue.to_pylist()]
    if named is None:
        return ids
    return [f"{name} ({item})" if name else item for name, item in zip(named.to_pylist(), ids)]


def _first(column: pa.Array) -> pa.Array:
    """The first value of each list, as a text."""
    values = first_values(column)
    if pa.types.is_large_binary(values.type):
        return pa.array(
            [value if value is None else value.decode(errors="replace") for value in values.to_pylist()],
            pa.string(),
        )
    return values.cast(pa.string())


def read_records(files: Sequence[str], size: int) -> Iterator[list[bytes]]:
    """The serialized examples of gzip-compressed TFRecord files, up to `size` at a time, always in one order."""
    for records in tf.data.TFRecordDataset(sorted(files), "GZIP").batch(size).as_numpy_iterator():
        yield records.tolist()


def _batches(files: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    decoder = ExamplesToRecordBatchDecoder()
    for records in read_records(files, _BATCH):
        batch = decoder.DecodeBatch(records)
        yield dict(zip(batch.schema.names, batch.columns))


@dataclass(frozen=True)
class Targets:
    """The distinct targets of some sequences, those of one sequence behind each other.

    Attributes:
      rows: int64 [targets], ascending: the sequence.
      events: int64 [targets]: the first event that it is.
      items: int64 [targets]: number in the catalogue, -1 for one that it lacks: it cannot be recommended, and counts
        all the same.
      is_repeat: bool [targets]: whether the sequence has it before.
    """

    rows: Numbers
    events: Numbers
    items: Numbers
    is_repeat: NDArray[np.bool_]

    def where(self, wanted: NDArray[np.bool_]) -> "Targets":
        """Some of them."""
        return Targets(self.rows[wanted], self.events[wanted], self.items[wanted], self.is_repeat[wanted])


def targets_of(histories: Histories) -> Targets:
    """The distinct targets of each sequence."""
    owner, size = histories.owner, int(histories.items.max(initial=0)) + 1
    chosen = np.flatnonzero(histories.is_target)
    known = histories.items[chosen] >= 0
    pairs = owner[chosen] * size + histories.items[chosen]
    _, first = np.unique(pairs[known], return_index=True)
    # Each that the catalogue lacks is one of its own.
    kept = np.sort(np.concatenate([np.flatnonzero(known)[first], np.flatnonzero(~known)]))
    context = ~histories.is_target & (histories.items >= 0)
    seen = np.unique(owner[context] * size + histories.items[context])
    events = chosen[kept]
    return Targets(owner[events], events, histories.items[events], known[kept] & np.isin(pairs[kept], seen))
