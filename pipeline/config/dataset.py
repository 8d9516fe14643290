"""What a dataset file says besides the learner's settings: the rows, their splits, and when a model is good enough."""

import math
from dataclasses import dataclass, fields

from components.example_gen.reading.dialect import Dialect, Reading
from components.example_gen.source_format import format_names, source_format
from components.example_gen.spans import check_pattern, has_spans
from foundation.sections import require, require_distinct


@dataclass(frozen=True)
class Source(Dialect):
    """Where the rows are. `path` is relative to the dataset file, or to an installed `package`.

    `pattern` says which files below it are the table's, and, with placeholders, of which span each
    is (`components.example_gen.spans.check_pattern`); "" for all files of the format, as one table.
    `format` is a name in `components/example_gen/sources/`; which keys of `Dialect` it takes, it says itself.
    With `follow_links` files may be links to what lies outside of `path`.
    """

    format: str
    path: str
    package: str | None = None
    schema: str | None = None
    pattern: str = ""
    follow_links: bool = False

    def __post_init__(self) -> None:
        known = format_names()
        require(
            self.format in known,
            f"format is {self.format!r}; it must be one of {', '.join(map(repr, known))}.",
        )
        check_pattern(self.pattern)
        super().__post_init__()
        taken = source_format(self.format).keys
        for key in self.given():
            require(
                key in taken, f"{key} means nothing for format '{self.format}': remove it, or correct format."
            )

    @property
    def dialect(self) -> Dialect:
        """How cells are written."""
        return Dialect(**{field.name: getattr(self, field.name) for field in fields(Dialect)})

    @property
    def files(self) -> str:
        """The pattern of the table's files, relative to the directory."""
        return self.pattern or source_format(self.format, Reading(self.dialect)).files

    @property
    def has_spans(self) -> bool:
        """Whether rows arrive span by span."""
        return has_spans(self.pattern)


@dataclass(frozen=True)
class Evaluation:
    """Columns for each value of which the model is also evaluated separately, and what gates ask of them.

    A slice of several columns is one for each combination of their values; gates call it by their names, joined by
    " and ".
    """

    slices: tuple[str | tuple[str, ...], ...] = ()
    min_slice_rows: int = 1
    """Rows that a slice must have for gates to ask about it."""
    threshold: float = 0.5
    """The probability from which on accuracy, precision and recall count a row as positive."""
    explained_rows: int = 1000
    """Of the eval split, in the sample by which the report says why the model says what it says; 0 for none."""
    largest_errors: int = 10
    """Rows of that sample that the report shows with their values."""
    item_name: str = ""
    """Of a log: column of the item table with what people call an item, for the report."""
    ceiling: str = ""
    """Of a log: JSON file, relative to the dataset file, with what no model can exceed, for the report."""

    def __post_init__(self) -> None:
        require(self.min_slice_rows >= 1, f"min_slice_rows is {self.min_slice_rows}; it must be at least 1.")
        for name, most in (("explained_rows", 100_000), ("largest_errors", 1000)):
            value = getattr(self, name)
            require(0 <= value <= most, f"{name} is {value}; it must be from 0 to {most:,}.")
        require(0 < self.threshold < 1, f"threshold is {self.threshold:g}; it must be above 0 and below 1.")
        require(all(self.by_name.values()), "slices has a slice of no columns: remove it.")
        for columns in self._every:
            require_distinct(columns, f"slices has {list(columns)}, which")
        # In whatever order: the slices of two columns are the same ones.
        require_distinct([" and ".join(sorted(columns)) for columns in self._every], "slices")

    @property
    def by_name(self) -> dict[str, tuple[str, ...]]:
        """The columns of each slice, by what gates call it."""
        return {" and ".join(columns): columns for columns in self._every}

    @property
    def _every(self) -> list[tuple[str, ...]]:
        return [(each,) if isinstance(each, str) else each for each in self.slices]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that slices read."""
        return tuple(dict.fromkeys(column for columns in self.by_name.values() for column in columns))


@dataclass(frozen=True)
class Gate:
    """What one metric must satisfy for a model to be blessed.

    `min` and `max` bound the whole eval split, `slice_min` and `slice_max` every value of a slice
    column, `max_drop` and `max_rise` the change against the model that is live, and `slice_max_drop`
    and `slice_max_rise` that change on every value of a slice column.
    """

    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    max_rise: float | None = None
    slice_min: dict[str, float] | None = None
    slice_max: dict[str, float] | None = None
    slice_max_drop: dict[str, float] | None = None
    slice_max_rise: dict[str, float] | None = None

    def __post_init__(self) -> None:
        require(
            any(value is not None for value in vars(self).values()),
            "is empty: give min, max, max_drop, max_rise, slice_min, slice_max, slice_max_drop or slice_max_rise.",
        )
        require(
            None in (self.max_drop, self.max_rise),
            "has both max_drop and max_rise: only one of them makes a change bad.",
        )
        drops = self.max_drop is not None or bool(self.slice_max_drop)
        rises = self.max_rise is not None or bool(self.slice_max_rise)
        require(
            not (drops and rises),
            "allows a drop in one place and a rise in another: only one of them makes a change bad.",
        )
        numbers = [value for value in (self.min, self.max, self.max_drop, self.max_rise) if value is not None]
        numbers += [value for bounds in self.slice_bounds for value in (bounds or {}).values()]
        require(
            all(math.isfinite(value) for value in numbers),
            "has a bound that is no finite number: no model could fail it, or none pass.",
        )
        require(
            self.min is None or self.max is None or self.min <= self.max,
            f"has min {self.min} above max {self.max}: no model can pass.",
        )
        for column in {*(self.slice_min or {})} & {*(self.slice_max or {})}:
            require(
                (self.slice_min or {})[column] <= (self.slice_max or {})[column],
                f"has slice_min of {column} above slice_max: no model can pass.",
            )
        for name in ("max_drop", "max_rise"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} is {value}; it must be 0 or more.")
        for name in ("slice_max_drop", "slice_max_rise"):
            for column, value in (getattr(self, name) or {}).items():
                require(value >= 0, f"{name} of {column} is {value}; it must be 0 or more.")

    @property
    def allows_shares(self) -> bool:
        """Whether a metric that is from 0 to 1 can be within the bounds."""
        least = (self.min, *(self.slice_min or {}).values())
        greatest = (self.max, *(self.slice_max or {}).values())
        return all(bound is None or bound <= 1 for bound in least) and all(
            bound is None or bound >= 0 for bound in greatest
        )

    @property
    def allows_any_change(self) -> bool:
        """Whether a metric that is from 0 to 1 cannot change by more than what a bound allows."""
        changes = [self.max_drop, self.max_rise]
        changes += [value for bounds in self.slice_bounds[2:] for value in (bounds or {}).values()]
        return any(value is not None and value > 1 for value in changes)

    @property
    def slice_bounds(self) -> tuple[dict[str, float] | None, ...]:
        """The bounds of slices: least, greatest, drop and rise, each by column."""
        return self.slice_min, self.slice_max, self.slice_max_drop, self.slice_max_rise

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """Columns that this gate has bounds for."""
        return tuple(sorted({column for bounds in self.slice_bounds for column in bounds or ()}))
