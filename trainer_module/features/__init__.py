"""Kinds of features: one file a kind, whose name is the ``kind`` of an entry of the ``[features]`` table.

A kind is a frozen dataclass, whose fields are the other keys of the entry, and which says how columns become
numbers or ids. A module of your own may be named by its import path. Settings are read without TensorFlow:
import it in `transform`.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from foundation import project, registry
from foundation.request_names import request_name
from foundation.sections import ConfigurationError, read_section, refuse_unknown_keys, require

__path__ = project.extended(__path__, __name__)

NUMERIC = "numeric"
"""Transformed feature: float32 [batch, columns of features without ids], about zero mean and unit variance."""
CATEGORICAL = "categorical"
"""Transformed feature: int64 [batch, columns of features with ids], ids from 0 within each feature. A list is padded
with the id that means missing."""

MOST_VALUES = 65_536
"""Of a list: every row is padded to the length."""

Keys = list[Hashable]
"""What each place of an axis stands for; None for a place that nothing can be looked up in."""


@dataclass(frozen=True)
class Feature(ABC):
    """A column, and what the model reads of it; missing means absent, not finite, or the empty text."""

    name: str

    place: ClassVar[int] = 100
    """Where the kind stands among the others in `NUMERIC` and `CATEGORICAL`. Live models have the order that
    there is: a new kind comes behind them, by its name."""
    types: ClassVar[tuple[str, ...]] = ("text", "integer")
    """What its column may hold: "text", "integer", "decimal"; the data gate refuses all else."""
    is_quantity: ClassVar[bool] = False
    """Whether requests give it as float64, or float32 where the column holds decimals, NaN for missing; otherwise
    as the column's type is, and the least int64 or the empty text is missing."""

    list_fix: ClassVar[str] = "write one value in each row"
    """What to do where the column holds lists and the feature reads one value a row."""

    @property
    def kind(self) -> str:
        """What a dataset file calls it."""
        return registry.name_of(type(self), __name__)

    @property
    def length(self) -> int | None:
        """How many values of a row it reads at most, if it reads lists: requests give a matrix with as many columns.

        None for one value a row: the data gate refuses rows with more.
        """
        return None

    @property
    def text_pattern(self) -> str | None:
        """What texts it can read, as RE2's regular expression of the whole text: the data gate refuses others."""
        return None

    @property
    def is_whole(self) -> bool:
        """Whether its lists have exactly `length` values: the data gate refuses a column with others."""
        return False

    @property
    def file(self) -> str | None:
        """Path of a file or directory that it reads besides the rows, whose content decides too; None for most kinds."""
        return None

    def within(self, directory: Path) -> "Feature":
        """The same, where a path in its entry is relative to `directory`."""
        return self

    def check_file(self) -> None:  # noqa: B027 - there is nothing to check of most kinds
        """Reads of its `file` what can be read without TensorFlow.

        Raises:
          ConfigurationError: If it is not there, or is not what the feature needs.
        """

    @property
    def app_obstacle(self) -> str | None:
        """Why no app can have it, and the way on, as in "no app knows ...: set ..."; None where one can."""
        return None

    @property
    def ids(self) -> int:
        """Number of ids, the last of which means missing; 0 where the feature becomes numbers instead."""
        return 0

    @property
    def width(self) -> int:
        """How many columns it has: of `NUMERIC`, or of `CATEGORICAL` where it has ids."""
        return 1

    @property
    def pooling(self) -> str | None:
        """How a model makes one embedding of the ids in all its columns: "mean", "sum" or "max"; None for one column."""
        return None

    @property
    def vocabulary(self) -> str | None:
        """Name of TFT's asset with the terms, in the order of their ids, of a feature that has one."""
        return None

    @classmethod
    @abstractmethod
    def transform(cls, features: Sequence[Any], columns: Sequence[Any]) -> Any:
        """What the model reads of all features of the kind at once, traced by TFT.

        At once, as an operation takes little longer for ten columns than for one.

        Args:
          features: At least one.
          columns: `trainer_module.inputs.raw_columns.Column` of each.

        Returns:
          int64 [batch, width of all of them], each in [0, ids of its feature), or as many floating numbers, none of
          them NaN.
        """

    def id_keys(self, terms: Sequence[bytes]) -> Keys:
        """What each id stands for, so that a warm start finds it in another model: here the id itself.

        Ids mean something else where there is another number of them.

        Args:
          terms: Of its vocabulary, in the order of their ids.
        """
        return [*((self.name, self.kind, self.ids, i) for i in range(self.ids - 1)), self.missing_key]

    @property
    def share(self) -> str | None:
        """The feature whose ids and embeddings it has, too; None for its own."""
        return None

    @property
    def missing_key(self) -> Hashable:
        """What the last id stands for."""
        return (self.name, self.kind, "missing")


@dataclass(frozen=True)
class Category(Feature):
    """A feature with ids that reads one value a row, or, with `multi`, a list.

    Of a list it reads the first `max_length` values, and the model pools their embeddings; an empty list is missing,
    and so are NaN and empty texts within a list, which take no place in it.

    With `share`, the name of a feature of the same kind, both have that one's ids, vocabulary and embeddings.
    """

    _: KW_ONLY
    multi: bool = False
    max_length: int = 20
    pooling: Literal["mean", "sum", "max"] = "mean"  # type: ignore[assignment]
    share: str | None = None  # type: ignore[assignment]

    list_fix = "add multi = true"

    def __post_init__(self) -> None:
        require(
            1 <= self.max_length <= MOST_VALUES,
            f"max_length is {self.max_length}; it must be from 1 to {MOST_VALUES:,}.",
        )
        require(
            self.multi or (self.max_length, self.pooling) == (20, "mean"),
            "max_length and pooling are of lists: add multi = true.",
        )

    @property
    def length(self) -> int | None:
        """That of the longest list."""
        return self.max_length if self.multi else None

    @property
    def width(self) -> int:
        """A column for each value."""
        return self.max_length if self.multi else 1


def by_kind(features: Sequence[Feature]) -> dict[type[Feature], tuple[Any, ...]]:
    """The features of a kind together, by name, as they are neighbours in `NUMERIC` and `CATEGORICAL`.

    Whatever the order in which they are given: TFX sorts the keys of what it hands on, and a dataset file has its own.
    """
    kinds = sorted({type(feature) for feature in features}, key=lambda kind: (kind.place, kind.__module__))
    ordered = sorted(features, key=lambda feature: feature.name)
    return {kind: tuple(feature for feature in ordered if type(feature) is kind) for kind in kinds}


def read_features(table: Mapping[str, Any], where: str) -> tuple[Feature, ...]:
    """Reads ``name = { kind = "...", ... }`` entries.

    Raises:
      ConfigurationError: If a kind is unknown or a key is wrong.
    """
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where} is {table!r}; it must be a table of features and their kinds.")
    features: list[Feature] = []
    columns: dict[str, str] = {}
    for name, entry in table.items():
        here = f"{where} {name}"
        if not name:
            raise ConfigurationError(f"{where} has a column without a name: name it in the data.")
        if not isinstance(entry, Mapping) or "kind" not in entry:
            raise ConfigurationError(f'{here} needs a kind, for example {{ kind = "numeric" }}.')
        kind = registry.load(__name__, str(entry["kind"]), Feature, f"{here} has kind")  # type: ignore[type-abstract]
        known = ["kind", *(field.name for field in dataclasses.fields(kind) if field.name != "name")]
        refuse_unknown_keys(entry, known, here)
        other = columns.setdefault(request_name(name), name)
        if other != name:
            raise ConfigurationError(
                f"{here} and '{other}' are both called '{request_name(name)}' in requests: rename a column."
            )
        # None comes from `Settings.to_json`.
        settings = {key: value for key, value in entry.items() if key != "kind" and value is not None}
        if "share" in settings:
            settings = {**_shared(kind, entry, table, here), **settings}
        features.append(read_section(kind, {**settings, "name": name}, here))
    return tuple(features)


def _shared(
    kind: type[Feature], entry: Mapping[str, Any], table: Mapping[str, Any], here: str
) -> dict[str, Any]:
    """The settings of the feature that an entry shares, but for those of lists, which are its own."""
    other = table.get(entry["share"]) if isinstance(entry["share"], str) else None
    if not isinstance(other, Mapping) or other.get("kind") != entry["kind"] or other.get("share"):
        raise ConfigurationError(
            f"{here} share is {entry['share']!r}; it must name a feature of kind {entry['kind']} that shares no other."
        )
    own = {field.name for field in dataclasses.fields(Category)}
    common = {field.name for field in dataclasses.fields(kind)} - own
    for key in common & {*entry}:
        if entry[key] != other.get(key, getattr(kind, key, None)):
            raise ConfigurationError(
                f"{here} {key} is that of '{entry['share']}', which it shares: remove it."
            )
    return {key: value for key, value in other.items() if key in common}
