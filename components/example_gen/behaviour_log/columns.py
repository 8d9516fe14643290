"""A log's columns as events: who, what and when, without the rows that say one of these wrongly or not at all."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.example_gen.arrow_columns import is_list
from components.example_gen.behaviour_log.counts import EXCLUDED, FUTURE, NOT_WHERE, OTHER_KIND, UNIDENTIFIED
from components.example_gen.behaviour_log.events import Events, keep
from components.example_gen.source_format import ConversionError
from trainer_module import expression
from trainer_module.log import Log

_MILLISECONDS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_EARLIEST, _LATEST = 0, 4_102_444_800_000
"""1970 and 2100: a time outside is one of another unit."""


def read_events(
    file: str, columns: Mapping[str, pa.Array], first_place: int, log: Log, now: int
) -> tuple[Events, Counter[str]]:
    """The events among some rows, and how many rows are none, by reason.

    Args:
      file: That the rows are from, for errors.
      columns: By name, of the types that examples hold.
      first_place: Of the first row in the log.
      log: Which columns say what.
      now: Milliseconds since 1970: what is dated later has not happened.

    Raises:
      ConversionError: If a column holds what it cannot, naming the value.
    """
    dropped: Counter[str] = Counter()
    size = len(columns[log.user])
    users, items = (read_identifiers(file, name, columns[name]) for name in (log.user, log.item))
    times, is_time = read_times(file, log.time, columns[log.time], log.time_unit)
    kinds = _kinds(file, log, columns)
    context = {feature.name: _context(file, feature.name, columns) for feature in log.context_features}
    events = Events(users, items, times, first_place + np.arange(size), kinds, context)
    there = filled(users) & filled(items) & is_time
    counts = holds("where", log.where, file, columns, size)
    named = np.ones(size, bool) if kinds is None else kinds >= 0
    past = times <= now
    for reason, wanted in (
        (UNIDENTIFIED, there),
        (NOT_WHERE, ~there | counts),
        (OTHER_KIND, ~there | ~counts | named),
        (FUTURE, ~there | ~counts | ~named | past),
    ):
        dropped[reason] += int(np.sum(~wanted))
    return keep(events, there & counts & named & past), +dropped


def drop_items(events: Events, excluded: pa.Array) -> tuple[Events, Counter[str]]:
    """The events of other items than `excluded`, pa.binary(), and how many there are of those."""
    if not len(excluded):
        return events, Counter()
    wanted = ~pc.is_in(events.items, value_set=excluded).to_numpy(zero_copy_only=False)
    return keep(events, wanted), +Counter({EXCLUDED: int(np.sum(~wanted))})


def to_milliseconds(value: str | int | float, log: Log) -> int:
    """A time of [splits], as the log has it.

    Raises:
      ConversionError: If it is none of the log's unit.
    """
    is_text = isinstance(value, str)
    if is_text != (log.time_unit == "iso"):
        written = "a text such as 2026-11-27" if log.time_unit == "iso" else f"a number of {log.time_unit}"
        raise ConversionError(f"[splits] has the time {value!r}: write it as the log does, as {written}.")
    column = pa.array([value.encode() if isinstance(value, str) else value])
    times, _ = read_times("[splits]", "eval_from or test_from", column, log.time_unit)
    return int(times[0])


def read_identifiers(file: str, name: str, column: pa.Array) -> pa.Array:
    """pa.binary() of texts as they are written, and of whole numbers in their decimal spelling.

    Raises:
      ConversionError: If the column `name` of `file` holds decimals, or lists.
    """
    if pa.types.is_floating(column.type):
        value = pc.index(pc.not_equal(pc.floor(column), column), True).as_py()
        shown = column[max(value, 0)].as_py()
        raise ConversionError(
            f"{file}: column '{name}' identifies users or items, and holds decimals such as {shown!r}: write whole "
            "numbers or texts."
        )
    if is_list(column.type):
        raise ConversionError(
            f"{file}: column '{name}' holds lists: write one user and one item in a row, as a text or a whole number."
        )
    return (column.cast(pa.string()) if pa.types.is_integer(column.type) else column).cast(pa.binary())


def _kinds(file: str, log: Log, columns: Mapping[str, pa.Array]) -> NDArray[np.int64] | None:
    """The place of each event's kind in `EventKinds.names`, -1 for none of them; None of a log without kinds."""
    if log.events is None:
        return None
    column = read_identifiers(file, log.events.column, columns[log.events.column])
    names = pa.array([name.encode() for name in log.events.names], pa.binary())
    return np.asarray(pc.index_in(column, value_set=names).fill_null(-1), np.int64)


def _context(file: str, name: str, columns: Mapping[str, pa.Array]) -> pa.Array:
    """pa.binary(): a text as it is written, a whole number in decimal, and the empty text for what is missing."""
    column = columns[name]
    if pa.types.is_floating(column.type) or is_list(column.type):
        what = "lists" if is_list(column.type) else "decimals"
        raise ConversionError(
            f"{file}: column '{name}', which [log.context] names, holds {what}: a request has one text or whole number of it; "
            "write such, or remove it."
        )
    return read_identifiers(file, name, column).fill_null(b"")


def filled(column: pa.Array) -> NDArray[np.bool_]:
    """Which of pa.binary() are texts of at least one byte."""
    return pc.greater(pc.binary_length(column), 0).fill_null(False).to_numpy(zero_copy_only=False)


def read_times(
    file: str, name: str, column: pa.Array, unit: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Milliseconds since 1970, and which rows have a time.

    Raises:
      ConversionError: If the column `name` of `file` holds what is no time of `unit`, naming the value.
    """
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64), np.zeros(len(column), bool)
    is_text = pa.types.is_binary(column.type)
    if is_text != (unit == "iso"):
        held, fix = (
            ("texts", 'time_unit = "iso"') if is_text else ("numbers", 'time_unit to "s", "ms", "us" or "ns"')
        )
        raise ConversionError(f"{file}: column '{name}' holds {held}: set [log] {fix}.")
    if unit == "iso":
        times, there = _parse_texts(file, name, column)
    else:
        there = np.asarray(column.is_valid())
        if pa.types.is_floating(column.type):
            numbers = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
            there &= np.isfinite(numbers)
            moments = np.round(np.where(there, numbers, 0) * _MILLISECONDS[unit])
            # Within what int64 holds, and still outside of all that is a time.
            times = np.clip(moments, _EARLIEST - 1, _LATEST).astype(np.int64)
        else:
            whole, factor = column.fill_null(0).to_numpy(zero_copy_only=False), _MILLISECONDS[unit]
            whole = np.clip(whole, -_LATEST, _LATEST * 1_000_000)
            times = np.minimum(whole, _LATEST) * int(factor) if factor >= 1 else whole // round(1 / factor)
    wrong = there & ((times < _EARLIEST) | (times >= _LATEST))
    if wrong.any():
        value = column[int(np.argmax(wrong))].as_py()
        shown = value.decode(errors="replace") if isinstance(value, bytes) else value
        raise ConversionError(
            f"{file}: column '{name}' holds {shown!r}, which is no time between 1970 and 2100 in the unit "
            f"'{unit}': correct [log] time_unit, or the value."
        )
    return times, there


def _parse_texts(file: str, name: str, column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    there = filled(column)
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    texts = pc.if_else(pa.array(there), texts, pa.scalar(None, pa.string()))
    zone = r"(Z|[+-]\d{2}:?\d{2})$"
    has_zone = pc.match_substring_regex(texts, zone).fill_null(False)
    texts = pc.replace_substring_regex(texts, r"[.,](\d{3})\d*", r".\1")
    try:
        zoned = pc.if_else(has_zone, texts, pa.scalar(None, pa.string()))
        plain = pc.if_else(has_zone, pa.scalar(None, pa.string()), texts)
        moments = pc.coalesce(
            zoned.cast(pa.timestamp("ms", "UTC")).cast(pa.int64()),
            plain.cast(pa.timestamp("ms")).cast(pa.int64()),
        )
    except pa.ArrowInvalid as error:
        raise ConversionError(
            f"{file}: column '{name}' holds a time that cannot be read ({error}): write such as 2026-01-31, "
            "2026-01-31T12:00:00 or 2026-01-31T12:00:00+01:00."
        ) from error
    return moments.fill_null(0).to_numpy(zero_copy_only=False), there


def holds(
    key: str, condition: str, file: str, columns: Mapping[str, pa.Array], size: int
) -> NDArray[np.bool_]:
    """Of which rows a condition is true: not those in which an operand is missing; of all without a condition.

    Args:
      key: Of [log], that has the condition, for errors.
      condition: An expression, true or false of a row.
      file: That the rows are from, for errors.
      columns: By name.
      size: How many rows there are.

    Raises:
      ConversionError: If texts and numbers do not go together, or an operand holds lists.
    """
    if not condition:
        return np.ones(size, bool)
    names = expression.columns_of(condition)
    texts = [name for name in names if pa.types.is_binary(columns[name].type)]
    try:
        expression.check_types(condition, texts)
    except ValueError as error:
        raise ConversionError(f"[log] {key}: {error}") from error
    there = np.ones(size, bool)
    operands: dict[str, Any] = {}
    for name in names:
        column = columns[name]
        if is_list(column.type):
            raise ConversionError(
                f"{file}: column '{name}', which [log] {key} reads, holds lists: write one value in a row."
            )
        if name in texts:
            there &= filled(column)
            operands[name] = np.asarray(column.fill_null(b"").to_pylist(), object)
        else:
            numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
            there &= np.asarray(column.is_valid()) & np.isfinite(numbers)
            operands[name] = numbers
    with np.errstate(all="ignore"):
        value = expression.evaluate(condition, operands, _align)
    return there & np.asarray(value, bool)


def _align(left: Any, right: Any) -> tuple[Any, Any]:
    return tuple(side.encode() if isinstance(side, str) else side for side in (left, right))  # type: ignore[return-value]
