"""Rows to splits, as `components.example_gen.splits.Splits` says."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from components.example_gen.source_format import ConversionError
from components.example_gen.splits import EVAL, TEST, TRAIN, Splits

Time = int | float | bytes
Sample = list[tuple[Time, float]]
"""Times in order, each with the number of rows that it stands for."""

_SAMPLES = 2000
"""Times that stand for those of a block: a boundary is that near to its share."""
# The order of such texts is that of the times: no offset, which would have some 12:00 before another's 11:00.
_ISO = re.compile(rb"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?)?")


@dataclass(frozen=True)
class RowSplits:
    """Gives each row its split.

    Attributes:
      splits: The rule.
      files: File → split, of a table that comes split.
      starts: Split after the first → the first time in it, of a table divided by time.
    """

    splits: Splits
    files: Mapping[str, str] = field(default_factory=dict)
    starts: Mapping[str, Time] = field(default_factory=dict)

    def places(self, file: str, rows: Sequence[bytes]) -> list[str]:
        """The split of each row.

        Args:
          file: That the rows are from.
          rows: Serialized tf.Examples.

        Raises:
          ConversionError: If a row has no time, or one that cannot be compared.
        """
        if file in self.files:
            return [self.files[file]] * len(rows)
        if self.splits.time:
            return [self._split_at(time) for time in times_of(file, rows, self.splits.time)]
        buckets = [split for split in self.splits.names for _ in range(int(getattr(self.splits, split)))]
        # As TFX's base_example_gen_executor splits rows.
        digests = [int.from_bytes(hashlib.sha256(key).digest(), "big") for key in self._keys(rows)]
        return [buckets[digest % len(buckets)] for digest in digests]

    def _keys(self, rows: Sequence[bytes]) -> Iterable[bytes]:
        """What is hashed: the row, or the value that it shares with others of its group."""
        if not self.splits.by:
            return rows
        # A row without a value is a group of its own.
        return (_text_of(row, self.splits.by) or row for row in rows)

    def _split_at(self, time: Time) -> str:
        for split in (TEST, EVAL):
            if split in self.starts and _is_before(self.starts[split], time):
                return split
        return TRAIN


def given_starts(splits: Splits) -> dict[str, Time]:
    """The first times of splits that the configuration names."""
    named = {EVAL: splits.eval_from, TEST: splits.test_from}
    return {
        split: _normal(start.encode()) if isinstance(start, str) else start
        for split, start in named.items()
        if start is not None
    }


def sample_times(file: str, rows: Iterable[Sequence[bytes]], column: str) -> Sample:
    """Some of a block's times that stand for all of them."""
    times = [time for part in rows for time in times_of(file, part, column)]
    times.sort()
    step = max(1, -(-len(times) // _SAMPLES))
    return [(times[start], min(step, len(times) - start)) for start in range(0, len(times), step)]


def merge_samples(samples: Iterable[Sample]) -> Sample:
    """The samples of several blocks as one."""
    merged = [each for sample in samples for each in sample]
    kinds = {isinstance(time, bytes) for time, _ in merged}
    if len(kinds) > 1:
        raise ConversionError(
            "The column that [splits] time names holds texts in some files and numbers in others."
        )
    return sorted(merged)


def starts_of(sample: Sample, splits: Splits) -> dict[str, Time]:
    """The first time of each split after the first, so that each has about its share of the rows.

    Rows of one time are in one split.
    """
    # Time → the number of rows before it; none can begin where no row is before.
    before: dict[Time, float] = {}
    total = 0.0
    for time, weight in sample:
        before.setdefault(time, total)
        total += weight
    shares = [int(getattr(splits, split)) for split in splits.names]
    starts: dict[str, Time] = {}
    reached = 0.0
    for number, split in enumerate(splits.names[1:], start=1):
        wanted = total * sum(shares[:number]) / sum(shares)
        possible = [time for time, rows in before.items() if rows > reached]
        if possible:
            starts[split] = min(possible, key=lambda time: (abs(before[time] - wanted), -before[time]))
            reached = before[starts[split]]
    return starts


def times_of(file: str, rows: Sequence[bytes], column: str) -> list[Time]:
    """The time of each row: a number, or an ISO 8601 text.

    Raises:
      ConversionError: If a row has none, or one that cannot be compared.
    """
    times: list[Time] = []
    for row in rows:
        value = _value_of(row, column)
        if value is None or value != value or value == b"":
            raise ConversionError(
                f"{file} has a row without a value in '{column}', which [splits] time names: remove such rows, or "
                "divide by something else."
            )
        if isinstance(value, bytes) and not _ISO.fullmatch(value := _normal(value)):
            raise ConversionError(
                f"{file} has '{value.decode(errors='replace')[:40]}' in '{column}', which [splits] time names: write "
                "times as numbers, or as 2026-01-31 or 2026-01-31T12:00:00, all in one time zone."
            )
        times.append(value)
    return times


def _is_before(start: Time, time: Time) -> bool:
    if isinstance(start, bytes) != isinstance(time, bytes):
        kinds = ("a text", "numbers") if isinstance(start, bytes) else ("a number", "texts")
        raise ConversionError(
            f"[splits] eval_from is {kinds[0]}, and the column that time names holds {kinds[1]}: write it as the "
            "column does."
        )
    return start <= time  # type: ignore[operator]


def _normal(time: bytes) -> bytes:
    return time.strip().replace(b" ", b"T").removesuffix(b"Z")


def _value_of(row: bytes, column: str) -> Any:
    """The first value of a row's column; None without any."""
    feature = tf.train.Example.FromString(row).features.feature
    if column not in feature or not (kind := feature[column].WhichOneof("kind")):
        return None
    values = getattr(feature[column], kind).value
    return values[0] if values else None


def _text_of(row: bytes, column: str) -> bytes:
    value = _value_of(row, column)
    return b"" if value is None else value if isinstance(value, bytes) else str(value).encode()
