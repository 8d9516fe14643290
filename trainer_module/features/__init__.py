"""Kinds of features: one file a kind, whose name is the ``kind`` of an entry of the ``[features]`` table.

A kind is a frozen dataclass, whose fields are the other keys of the entry, and which says how columns become
numbers or ids. A module of your own may be named by its import path. Settings are read without TensorFlow:
import it in `transform`.
"""

import dataclasses
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from foundation import registry
from foundation.sections import ConfigurationError, read_section, refuse_unknown_keys

NUMERIC = "numeric"
"""Transformed feature: float32 [batch, columns of features without ids], about zero mean and unit variance."""
CATEGORICAL = "categorical"
"""Transformed feature: int64 [batch, features with ids], ids from 0 within each feature."""

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
    def reads_lists(self) -> bool:
        """Whether it reads all values of a row; otherwise the data gate refuses rows with more than one."""
        return False

    @property
    def ids(self) -> int:
        """Number of ids, the last of which means missing; 0 where the feature becomes numbers instead."""
        return 0

    @property
    def width(self) -> int:
        """How many columns of `NUMERIC` it has, where it becomes numbers."""
        return 1

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
          int64 [batch, features], each in [0, ids); or floating [batch, width of all of them], none of it NaN.
        """

    def id_keys(self, terms: Sequence[bytes]) -> Keys:
        """What each id stands for, so that a warm start finds it in another model: here the id itself.

        Ids mean something else where there is another number of them.

        Args:
          terms: Of its vocabulary, in the order of their ids.
        """
        return [*((self.name, self.kind, self.ids, i) for i in range(self.ids - 1)), self.missing_key]

    @property
    def missing_key(self) -> Hashable:
        """What the last id stands for."""
        return (self.name, self.kind, "missing")


_ESCAPED = "escaped_"
_LONGEST = 100
"""Characters of a request name: it becomes a file name, of 255 bytes at most, in directories with names of their own."""


def request_name(column: str) -> str:
    """What a column is called in requests and file names, where TensorFlow takes letters, digits and underscores only.

    A name of these that begins with a letter or a digit stays as it is. In any other a character that is no letter or
    digit becomes its number in Unicode, in hexadecimal between underscores, and an underscore becomes two, behind
    `escaped_`: "unit price" is `escaped_unit_20_price`, and "_id" is `escaped___id`. No two names become one; what
    would be too long ends with a hash of the name.
    """
    is_plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]*", column) and len(column) <= _LONGEST
    # `label_classes` is the file with the classes of a label.
    if is_plain and not column.startswith(_ESCAPED) and column != "label_classes":
        return column
    name = _ESCAPED + re.sub(r"[^A-Za-z0-9]", _escape, column)
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 18]}__{hashlib.sha256(column.encode()).hexdigest()[:16]}"


def _escape(found: re.Match[str]) -> str:
    return "__" if found[0] == "_" else f"_{ord(found[0]):x}_"


def by_kind(features: Sequence[Feature]) -> dict[type[Feature], tuple[Any, ...]]:
    """The features of a kind together, as they are neighbours in `NUMERIC` and `CATEGORICAL`."""
    kinds = sorted({type(feature) for feature in features}, key=lambda kind: (kind.place, kind.__module__))
    return {kind: tuple(feature for feature in features if type(feature) is kind) for kind in kinds}


def read_features(table: Mapping[str, Any], where: str) -> tuple[Feature, ...]:
    """Reads ``name = { kind = "...", ... }`` entries.

    Raises:
      ConfigurationError: If a kind is unknown, a key is wrong, or there is no feature.
    """
    if not isinstance(table, Mapping) or not table:
        raise ConfigurationError(f"{where} is empty: name at least one feature and its kind.")
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
        settings = {key: value for key, value in entry.items() if key != "kind"}
        features.append(read_section(kind, {**settings, "name": name}, here))
    return tuple(features)
