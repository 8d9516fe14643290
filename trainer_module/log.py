"""Who did what with which item and when: the ``[log]`` table of a behaviour log; standard library only.

A log's examples are no rows of a table. One is a user's events in the order of time, and what is to be predicted
is each event from those before it (`components.example_gen.behaviour_log`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from foundation.request_names import request_name
from foundation.sections import read_section, require, require_distinct
from trainer_module import expression
from trainer_module.features import Feature, read_features

USER, ITEM, TIME, BASKET, FIRST_TARGET = "user", "item", "time", "basket", "first_target"
"""Features of an example: bytes; lists of bytes, int64 (milliseconds since 1970) and int64; int64.

Events of one basket have one number, and none of them is known when another is predicted. Those before
`FIRST_TARGET` are only context."""
EVENT_KIND = "event_kind"
"""Feature of a log that has kinds: int64, of each event the place of its kind in `EventKinds.names`."""
AVAILABLE = "item_available"
"""Feature of an item of a log that says so: int64, 1 for one that may be recommended."""
EVENTS = (USER, ITEM, TIME, BASKET, FIRST_TARGET, EVENT_KIND, AVAILABLE)
_INPUTS = ("items", "times", "kinds", "exclude", "among", "k", "candidates")
"""Inputs of requests (`trainer_module.retrieval.signatures`), which no column may be called."""


def context_name(column: str) -> str:
    """What a request's column is called once it is transformed."""
    return f"context_{request_name(column)}"


VOCABULARY = "log_items"
"""TFT's asset with the items in the order of their numbers, escaped; beside those of features, named for columns."""

ITEMS = "items"
"""The split with an example for each item of the item table: `ITEM` of one value, and the item's features."""


@dataclass(frozen=True)
class EventKinds:
    """What kinds of events there are: all are known to later ones, and what each counts as a target differs.

    Attributes:
      column: Column of the log with an event's kind, a text or a whole number.
      weights: Kind → what an event of it counts in the loss; 0 for one that is only known. Rows of other kinds are no
        events.
      target: The kinds that are judged; without any, all.
      in_requests: Whether requests say the kind of each event of a history, so that the model is told it, too.
    """

    column: str
    weights: dict[str, float]
    target: tuple[str, ...] = ()
    in_requests: bool = False

    def __post_init__(self) -> None:
        require(
            max(self.weights.values(), default=0) > 0 and min(self.weights.values()) >= 0,
            f"weights is {self.weights}; give each kind of event a number of at least 0, and one of them more.",
        )
        require_distinct(self.target, "target")
        for kind in self.target:
            require(
                self.weights.get(kind, 0) > 0,
                f"target names {kind!r}, which weights lacks or gives 0: give it a weight, or judge another kind.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds in the order of their numbers: the alphabet's, as JSON on the way to a step keeps no other."""
        return tuple(sorted(self.weights))

    @property
    def counts(self) -> tuple[float, ...]:
        """The weights in that order."""
        return tuple(self.weights[kind] for kind in self.names)

    @property
    def is_judged(self) -> tuple[bool, ...]:
        """Of each kind, in that order, whether it is judged."""
        return tuple(not self.target or kind in self.target for kind in self.names)


@dataclass(frozen=True)
class Log:
    """Which columns say what.

    Attributes:
      user: Column with who acted.
      item: Column with what was acted on, in the log and in the item table.
      time: Column with when.
      time_unit: Of `time` since 1970; "iso" for texts such as 2026-11-27T04:35:00 and for Parquet's timestamps.
      items: Pattern of the item table's files below [source] path, in the log's format. Without one the items are
        those of the log, and have no features.
      where: Which rows count, as an expression over the log's columns; without one all do.
      exclude: Column of the item table → values of it whose items are neither learned from nor recommended.
      available: Which items may be recommended: a column of the item table that is not 0 for them, or a comparison over
        its columns; without it all. The others are known and learned from.
      history: How many events before the one predicted are known, the latest ones.
      repeats: Whether what a user had already may be recommended again.
      same_time: What events of one user and one time are: a "basket", none of which is known when another is
        predicted, or "in_order", each after the one that the log has before it.
      split: How the splits are divided: at one "time" for all users, as [splits] says, so that nothing of the
        future is learned; or "leave_last_out", each user's last basket, as papers do, which leaks what was popular.
      events: What kinds of events there are; without it all are alike.
      context: Columns of the log that say something of a request, such as the store or the hour, and what the model reads
        of each: an entry as of a feature. An event's own row has the value with which it is asked for.
    """

    user: str
    item: str
    time: str
    time_unit: Literal["iso", "s", "ms", "us", "ns"] = "iso"
    items: str = ""
    where: str = ""
    exclude: dict[str, tuple[str, ...]] = field(default_factory=dict)
    available: str = ""
    history: int = 256
    repeats: bool = True
    same_time: Literal["basket", "in_order"] = "basket"
    split: Literal["time", "leave_last_out"] = "time"
    events: EventKinds | None = None
    context: dict[str, dict[str, bool | int | float | str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_context()
        require(
            self.events is None or self.split == "time",
            'events has kinds, and split is "leave_last_out", which knows none: set split = "time".',
        )
        require(
            len({self.user, self.item, self.time}) == 3,
            "user, item and time must be three columns.",
        )
        require(
            self.events is None or self.events.column not in (self.user, self.item, self.time),
            "events.column must be another column than user, item and time.",
        )
        for column, values in self.exclude.items():
            require_distinct(values, f"exclude.{column}")
        require(1 <= self.history <= 10_000, f"history is {self.history}; it must be from 1 to 10,000.")
        require(
            not self.items.startswith("/"),
            f"items is {self.items!r}; it must be a pattern below [source] path, such as 'products.csv'.",
        )
        require(
            bool(self.items) or not self.exclude,
            "exclude is of the item table: name its files with items.",
        )
        require(
            bool(self.items) or not self.available,
            "available is of the item table: name its files with items.",
        )
        self._check_condition("where", self.where, "true or false of a row, such as 'quantity > 0'")
        self._check_condition(
            "available", self.availability, "a column, or true or false of an item, such as 'stock > 0'"
        )

    def _check_condition(self, key: str, condition: str, wanted: str) -> None:
        try:
            is_comparison = not condition or expression.is_comparison(condition)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
        require(is_comparison, f"{key} is {getattr(self, key)!r}; it must be {wanted}.")
        require(
            not condition or bool(expression.columns_of(condition)),
            f"{key} is {getattr(self, key)!r}, which reads no column and is the same everywhere: remove it.",
        )

    def _check_context(self) -> None:
        taken = {self.user, self.item, self.time, *EVENTS, *([self.events.column] if self.events else [])}
        for feature in self.context_features:
            here = f"context '{feature.name}'"
            require(
                feature.ids > 0 and feature.width == 1 and not feature.length and "text" in feature.types,
                f"{here} is {feature.kind}; a request has one text or whole number of it: make it vocabulary or hashed.",
            )
            require(not feature.share, f"{here} has share, which is of features of one row: remove it.")
            require(
                feature.name not in taken and request_name(feature.name) not in (*_INPUTS, *EVENTS),
                f"{here} is what an event or a request of a log has already: remove it, or rename the column.",
            )

    @property
    def context_features(self) -> tuple[Feature, ...]:
        """What the model reads of a request's columns, in the order of their names."""
        return tuple(sorted(read_features(self.context, "[log.context]"), key=lambda feature: feature.name))

    def to_table(self) -> dict[str, Any]:
        """The table that `read_log` reads."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def told_kinds(self) -> tuple[str, ...]:
        """The kinds of events that the model is told of a history, in the order of their numbers; none where requests say none."""
        return self.events.names if self.events and self.events.in_requests else ()

    @property
    def length(self) -> int:
        """The most events of an example: those that are predicted, and as many before them."""
        return 2 * self.history

    @property
    def columns(self) -> dict[str, str]:
        """The log's columns that are read, and which key names each."""
        named = {getattr(self, key): f"[log] {key} names" for key in ("user", "item", "time")}
        if self.events:
            named[self.events.column] = "[log.events] column names"
        named |= dict.fromkeys(self.context, "[log.context] names")
        return {**dict.fromkeys(self.operands, "[log] where reads"), **named}

    @property
    def item_columns(self) -> dict[str, str]:
        """The item table's columns that are read besides features, and which key names each."""
        return {
            **dict.fromkeys(self.item_operands, "[log] available reads"),
            **dict.fromkeys(self.exclude, "[log] exclude names"),
            self.item: "[log] item names",
        }

    @property
    def availability(self) -> str:
        """`available` as a comparison."""
        return f"{self.available} != 0" if expression.is_column(self.available) else self.available

    @property
    def item_operands(self) -> tuple[str, ...]:
        """The columns that `available` reads."""
        return expression.columns_of(self.available) if self.available else ()

    @property
    def operands(self) -> tuple[str, ...]:
        """The columns that `where` reads."""
        return expression.columns_of(self.where) if self.where else ()


def read_log(table: Mapping[str, Any], where: str) -> Log | None:
    """The table of a dataset that is a log; None of one without.

    Raises:
      ConfigurationError: If it holds anything wrong.
    """
    return read_section(Log, table, where) if table else None
