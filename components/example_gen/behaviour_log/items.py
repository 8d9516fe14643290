"""The item table, as examples and as what the log is read with."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.example_gen.arrow_columns import decode_examples
from components.example_gen.behaviour_log.columns import holds, read_identifiers
from components.example_gen.behaviour_log.counts import DOUBLED, UNAVAILABLE, UNLISTED
from components.example_gen.column_types import ColumnType, merge, widen
from components.example_gen.number_check import check_numbers
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import (
    Block,
    ConversionError,
    SourceFormat,
    check_columns,
    source_format,
)
from trainer_module.log import AVAILABLE, BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, USER, Log


def _none() -> pa.Array:
    return pa.array([], pa.binary())


@dataclass(frozen=True)
class Items:
    """Some items: identifiers, pa.binary(), each once, and their columns; those that are excluded; and counts."""

    identifiers: pa.Array = field(default_factory=_none)
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    excluded: pa.Array = field(default_factory=_none)
    counts: Counter[str] = field(default_factory=Counter)


def load_items(file_format: str, files: Sequence[str], reading: Reading, log: Log) -> Items:
    """The whole item table, read in this process; no items without files.

    Raises:
      ConversionError: If a file cannot be read.
    """
    source, files = source_format(file_format, reading), sorted(files)
    source.check_files([Path(file) for file in files])
    check_columns(source, [Path(file) for file in files])
    blocks = [block for number, file in enumerate(files) for block in source.find_blocks(file, number)]
    types = check_numbers(widen(merge(map(source.infer_types, blocks)), {}), files, file_format, reading)
    return merge_items(
        read_items(block.file, columns, log)
        for block in blocks
        for columns in read_block(source, block, types)
    )


def read_block(
    source: SourceFormat, block: Block, types: Mapping[str, ColumnType]
) -> Iterator[Mapping[str, Any]]:
    """The columns of a block, of any format."""
    columns = source.read_columns(block, types)
    return columns if columns is not None else map(decode_examples, source.read_examples(block, types))


def read_items(file: str, columns: Mapping[str, pa.Array], log: Log) -> Items:
    """Some rows of the item table; of an item that comes several times, the first row is taken.

    Raises:
      ConversionError: If `file`, that they are from, has identifiers that are none.
    """
    identifiers = read_identifiers(file, log.item, columns[log.item])
    there = pc.greater(pc.binary_length(identifiers), 0).fill_null(False)
    wanted = np.ones(len(identifiers), bool)
    for name, values in log.exclude.items():
        texts = columns[name].cast(pa.string()).cast(pa.binary())
        is_excluded = pc.is_in(texts, value_set=pa.array([value.encode() for value in values], pa.binary()))
        wanted &= ~np.asarray(is_excluded)
    excluded = identifiers.filter(pa.array(~wanted))
    mask = pa.array(wanted & np.asarray(there))
    kept = {name: column.filter(mask) for name, column in columns.items() if name != log.item}
    if log.available:
        may_be = holds("available", log.availability, file, columns, len(identifiers))
        kept[AVAILABLE] = pa.array(may_be.astype(np.int64)).filter(mask)
    return merge_items([Items(identifiers.filter(mask), kept, excluded)])


def merge_items(parts: Iterable[Items]) -> Items:
    """All of them as one, of which an item is in once."""
    parts = [part for part in parts if len(part.identifiers) or len(part.excluded)]
    if not parts:
        return Items()
    identifiers = pa.concat_arrays([part.identifiers for part in parts])
    columns = {
        name: pa.concat_arrays([_nulls_like(part, name, parts) for part in parts])
        for name in {name: None for part in parts for name in part.columns}
    }
    codes = identifiers.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first = np.unique(codes, return_index=True)
    counts: Counter[str] = sum((part.counts for part in parts), Counter())
    counts[DOUBLED] += len(identifiers) - len(first)
    places = pa.array(np.sort(first))
    return Items(
        identifiers.take(places),
        {name: column.take(places) for name, column in columns.items()},
        pc.unique(pa.concat_arrays([part.excluded for part in parts])),
        +counts,
    )


def _nulls_like(part: Items, name: str, parts: list[Items]) -> pa.Array:
    if name in part.columns:
        return part.columns[name]
    kind = next(other.columns[name].type for other in parts if name in other.columns)
    return pa.nulls(len(part.identifiers), kind)


def add_logged(items: Items, logged: pa.Array, has_table: bool) -> Items:
    """`items` and those of `logged`, pa.binary(), each once, that are not among them: they have no features."""
    unlisted = logged.filter(pc.invert(pc.is_in(logged, value_set=items.identifiers)))
    if has_table and len(unlisted) == len(logged) > 0:
        _refuse_strangers(items, logged)
    counts = Counter({UNLISTED: len(unlisted)}) if has_table else Counter()
    added = merge_items([items, Items(unlisted, counts=counts)])
    if not len(added.identifiers):
        raise ConversionError(
            "The log has no item to recommend: bring more rows, or change [log] where or exclude."
        )
    if AVAILABLE in added.columns:
        # Nobody says of an item that the table lacks that it can be had.
        may_be = pc.sum(added.columns[AVAILABLE]).as_py() or 0
        if not may_be:
            raise ConversionError(
                "No item is available: [log] available holds of none of the item table; correct it, or the table."
            )
        added.counts[UNAVAILABLE] = len(added.identifiers) - may_be
    return added


def _refuse_strangers(items: Items, logged: pa.Array) -> None:
    known = items.identifiers if len(items.identifiers) else items.excluded
    if not len(known):
        raise ConversionError("The item table has no item: bring one that has, or remove [log] items.")
    ours, theirs = (each[0].as_py().decode(errors="replace")[:40] for each in (logged, known))
    raise ConversionError(
        f"None of the log's items is in the item table, which has such as '{theirs}' where the log has '{ours}': write them "
        "alike, or correct [log] item or items."
    )


def to_examples(items: Items, log: Log) -> dict[str, Any]:
    """The features of an example for each item, as `encode_rows` takes them."""
    size = len(items.identifiers)
    empty = {USER: pa.nulls(size, pa.binary()), FIRST_TARGET: pa.nulls(size, pa.int64())}
    names = (TIME, BASKET, EVENT_KIND) if log.events else (TIME, BASKET)
    lists = {name: pa.nulls(size, pa.list_(pa.int64())) for name in names}
    context = {name: pa.nulls(size, pa.list_(pa.binary())) for name in log.context}
    return {ITEM: items.identifiers, **empty, **lists, **context, **items.columns}


def without_features(items: Items, size: int) -> dict[str, Any]:
    """The items' features in `size` sequences: empty, as every split has to have every feature.

    TFDV calls a feature that a split lacks dropped; one without a value in any example is there.
    """
    return {name: pa.nulls(size, column.type) for name, column in items.columns.items()}
