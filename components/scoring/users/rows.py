"""A log's rows as events; those that say who, what or when wrongly or not at all are left out, and said.

A run refuses a log with a time that cannot be read. Here the one row with it is left out. What is read is read as
ExampleGen does.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.example_gen.behaviour_log.columns import filled, read_events, read_identifiers, read_times
from components.example_gen.behaviour_log.events import Events
from components.example_gen.column_types import ColumnType
from components.example_gen.reading.dialect import Dialect
from components.example_gen.source_format import ConversionError
from components.scoring.fitting import fit_columns
from components.scoring.texts import readable
from trainer_module.log import Log

_SHOWN = 40
_SAMPLE = 64
"""Rows of which one at least has a time that can be read, where it is rows that are wrong and not the unit."""


@dataclass(frozen=True)
class LogRows:
    """Some rows of a log.

    Attributes:
      events: Those that are events.
      left_out: How many are none because [log] says so, by reason.
      rejected: Those that are wrong: the columns with user, item and time, and "reason".
      reasons: What is wrong → of how many of them.
    """

    events: Events
    left_out: Counter[str]
    rejected: pa.RecordBatch
    reasons: Counter[str]


def read_rows(
    file: str, columns: Mapping[str, pa.Array], first_place: int, log: Log, now: int, dialect: Dialect
) -> LogRows:
    """The events among some rows, and what became of the others.

    Args:
      file: That the rows are from, for errors.
      columns: By name, of the types that examples hold.
      first_place: Of the first row in the log.
      log: Which columns say what.
      now: Milliseconds since 1970: what is dated later has not happened.
      dialect: How numbers are written in texts.

    Raises:
      ConversionError: If a column holds what it cannot, or all times are of another unit.
    """
    size = len(columns[log.user])
    times, is_wrong = _fit_times(file, columns[log.time], log, dialect)
    reasons = np.full(size, "", object)
    counts: Counter[str] = Counter()

    def reject(places: NDArray[np.bool_], what: str, said: Any) -> None:
        new = places & (reasons == "")
        reasons[new] = said[new] if isinstance(said, np.ndarray) else said
        counts[what] += int(new.sum())

    for name in (log.user, log.item):
        missing = f"without {name}"
        reject(~filled(read_identifiers(file, name, columns[name])), missing, missing)
    reject(is_wrong, f"whose {log.time} is no time", _describe(columns[log.time], is_wrong, log))
    _, is_time = read_times(file, log.time, times, log.time_unit)
    reject(~is_time, f"without {log.time}", f"without {log.time}")
    good = pa.array(reasons == "")
    kept = {name: column.filter(good) for name, column in {**columns, log.time: times}.items()}
    events, left_out = read_events(file, kept, first_place, log, now)
    bad = pc.invert(good)
    named = (log.user, log.item, log.time)
    listed = {name: readable(columns[name].filter(bad)) for name in named}
    reason = pa.array(reasons[reasons != ""].tolist(), pa.string())
    rejected = pa.RecordBatch.from_pydict({**listed, "reason": reason})
    return LogRows(events, left_out, rejected, +counts)


def _fit_times(file: str, column: pa.Array, log: Log, dialect: Dialect) -> tuple[pa.Array, NDArray[np.bool_]]:
    """The column with nothing in place of what is no time, and where that was."""
    wrong = np.zeros(len(column), bool)
    if pa.types.is_binary(column.type) and log.time_unit != "iso":
        # Numbers, but for one text that has made texts of all.
        of_kinds = [
            fit_columns({log.time: column}, {log.time: kind}, dialect)
            for kind in (ColumnType.INT, ColumnType.FLOAT)
        ]
        whole, decimal = (each.fits.to_numpy(zero_copy_only=False) for each in of_kinds)
        fitted = of_kinds[0] if whole.sum() == decimal.sum() else of_kinds[1]
        if decimal.any():
            wrong, column = ~decimal, fitted.columns[log.time]
    wrong = wrong | _find_unreadable(file, column, log)
    if not wrong.any():
        return column, wrong
    return pc.if_else(pa.array(wrong), pa.scalar(None, column.type), column), wrong


def _find_unreadable(file: str, column: pa.Array, log: Log) -> NDArray[np.bool_]:
    """Where a time cannot be read, found by halves as only whole columns are read.

    Raises:
      ConversionError: If none can, of many: as ExampleGen says it, with what to correct.
    """

    def read(part: pa.Array) -> bool:
        try:
            read_times(file, log.time, part, log.time_unit)
        except ConversionError:
            return False
        return True

    wrong = np.zeros(len(column), bool)
    if read(column):
        return wrong
    sample = np.linspace(0, len(column) - 1, _SAMPLE).astype(np.int64)
    if len(column) >= _SAMPLE and not any(read(column.slice(place, 1)) for place in sample):
        read_times(file, log.time, column, log.time_unit)
    pending = [(0, len(column))]
    while pending:
        start, end = pending.pop()
        if read(column.slice(start, end - start)):
            continue
        if end - start == 1:
            wrong[start] = True
            continue
        middle = (start + end) // 2
        pending += [(start, middle), (middle, end)]
    return wrong


def _describe(column: pa.Array, wrong: NDArray[np.bool_], log: Log) -> NDArray[Any]:
    """By row a reason; "" where there is none."""
    said = np.full(len(column), "", object)
    values = readable(column.filter(pa.array(wrong))).to_pylist()
    unit = "" if log.time_unit == "iso" else f" in the unit '{log.time_unit}'"
    said[wrong] = [f"{log.time} is '{str(value)[:_SHOWN]}', which is no time{unit}" for value in values]
    return said
