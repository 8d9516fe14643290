"""What is asked of a recommender about raw sequences of the eval split, as requests have it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components.app_exporter.history import encode_history
from components.serving_check.row_kinds import Row
from foundation.request_names import request_name
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, Log
from trainer_module.retrieval.signatures import AGES, ITEM_NUMBERS, KINDS


def targets_of(row: Row) -> list[bytes]:
    """The items that are to be found."""
    items: list[bytes] = row[ITEM][row[FIRST_TARGET][0] :]
    return items


def known_of(row: Row) -> Row:
    """What is known of a sequence before its targets."""
    first = row[FIRST_TARGET][0]
    return {name: row[name][:first] for name in (ITEM, TIME, EVENT_KIND) if name in row}


def example_of(row: Row, log: Log) -> Row:
    """The same as an example that is asked with: of a column of requests what the first target has."""
    first = row[FIRST_TARGET][0]
    return {**known_of(row), **{column: row.get(column, [])[first : first + 1] for column in log.context}}


def lengthen(row: Row, length: int, log: Log) -> Row:
    """The row with a context of `length` events: its own, again and again."""
    first = row[FIRST_TARGET][0]
    if not first:
        return row
    times = [row[TIME][0] - length + place for place in range(length)]
    kinds = row.get(EVENT_KIND, [])
    of_kind = {EVENT_KIND: [kinds[place % first] for place in range(length)] + kinds[first:]} if kinds else {}
    # Of what is known no column of requests is read.
    of_context = {column: [b""] * length + row[column][first:] for column in log.context if column in row}
    return {
        **of_kind,
        **of_context,
        ITEM: [row[ITEM][place % first] for place in range(length)] + row[ITEM][first:],
        TIME: times + row[TIME][first:],
        BASKET: [*range(length), *(length + 1 for _ in row[ITEM][first:])],
        FIRST_TARGET: [length],
    }


def app_history(row: Row, log: Log, catalogue: Sequence[str]) -> dict[str, Any]:
    """What an app asks after the row's context."""
    context = known_of(row)
    items = [name.decode(errors="surrogateescape") for name in context[ITEM]]
    encoded = encode_history({"history": log.history}, catalogue, list(zip(items, context[TIME])))
    kinds = {ITEM_NUMBERS: np.int32, AGES: np.float32}
    return {name: np.array(values, kinds[name]) for name, values in encoded.items()}


def history_of(rows: Sequence[Row], log: Log) -> dict[str, Any]:
    """What a request says of some users: their histories, and with what it asks."""
    contexts = [known_of(row) for row in rows]
    width = max(1, *(len(context[ITEM]) for context in contexts))
    times = np.zeros((len(rows), width), np.int64)
    for row, context in enumerate(contexts):
        times[row, : len(context[TIME])] = context[TIME]
    kinds = {}
    if by_number := [name.encode() for name in log.told_kinds]:
        told = [[by_number[number] for number in context.get(EVENT_KIND, [])] for context in contexts]
        # As many as the items, as those of one history are.
        kinds[KINDS] = texts([*told, [b""] * width])[:-1]
    first = [example_of(row, log) for row in rows]
    with_what = {
        request_name(column): names([next(iter(row[column]), b"") for row in first]) for column in log.context
    }
    return {"items": texts([context[ITEM] for context in contexts]), "times": times, **kinds, **with_what}


def texts(lists: Sequence[Sequence[Any]]) -> Any:
    """[rows, places], the empty text behind what there is."""
    width = max(1, *map(len, lists))
    return np.array([[*values, *[b""] * (width - len(values))] for values in lists], object)


def names(values: Sequence[Any]) -> Any:
    """[values]."""
    return np.array(list(values), object)
