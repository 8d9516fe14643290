"""Which split a row belongs to: the ``[splits]`` table, and the files of a table that comes split.

Standard library only; `components.example_gen.row_splits` looks at the rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from components.example_gen.spans import (
    Span,
    SpanError,
    Window,
    check_pattern,
    choose_window,
    find_spans,
    has_spans,
)
from foundation.sections import require
from trainer_module.log import ITEMS

TRAIN, EVAL, TEST = "train", "eval", "test"
"""The model learns from the first, is judged and gated on the second, and shown what the third says of it."""
_SPLITS = (TRAIN, EVAL, TEST)


@dataclass(frozen=True)
class Splits:
    """How rows are divided; without more than shares, a hash of the row decides.

    Attributes:
      train: Its share of the rows, or the pattern of its files below [source] path.
      eval: The same; a model is judged and gated on it.
      test: The same, for a split that nothing is chosen by; 0 for none.
      by: A column whose rows of one value, such as those of a user, all belong to one split.
      time: A column by whose values the splits follow each other: whole numbers, decimals, or ISO 8601 texts.
      eval_from: The first value of `time` that is in the eval split, instead of shares.
      test_from: The first that is in the test split.
    """

    train: int | str = 2
    eval: int | str = 1
    test: int | str = 0
    by: str = ""
    time: str = ""
    eval_from: str | int | float | None = None
    test_from: str | int | float | None = None

    def __post_init__(self) -> None:
        if self.is_by_file:
            self._check_files()
            return
        for name in (TRAIN, EVAL):
            require(
                getattr(self, name) >= 1,
                f"{name} is {getattr(self, name)}; each split needs a share of at least 1, or it would be empty.",
            )
        require(self.test >= 0, f"test is {self.test}; it must be a share of at least 1, or 0 for none.")  # type: ignore[operator]
        require(
            not (self.by and self.time),
            "has both by and time: rows are divided by one of them, so remove the other.",
        )
        require(
            bool(self.time) or (self.eval_from is None and self.test_from is None),
            "has eval_from or test_from, which are values of the column that time names: add time.",
        )
        require(
            self.test_from is None or self.eval_from is not None,
            "has test_from without eval_from: give both, or shares.",
        )
        if self.eval_from is not None and self.test_from is not None:
            require(
                isinstance(self.eval_from, str) == isinstance(self.test_from, str)
                and self.eval_from < self.test_from,  # type: ignore[operator]
                f"eval_from is {self.eval_from!r} and test_from {self.test_from!r}: the test split must begin later.",
            )

    def _check_files(self) -> None:
        for name in self.names:
            value = getattr(self, name)
            require(
                isinstance(value, str),
                f"{name} is {value}, and another split names its files: give each split files, or each a share.",
            )
            try:
                check_pattern(value)
            except ValueError as error:
                raise ValueError(str(error).replace("pattern", name, 1)) from error
            require(bool(value), f'{name} is empty; it must be a pattern of files, such as "{name}/*.csv".')
            require(
                not has_spans(value),
                f"{name} is {value!r}: a table that comes split has no spans, so no placeholders.",
            )
        for name in ("by", "time", "eval_from", "test_from"):
            require(
                getattr(self, name) in ("", None),
                f"has {name}, and the splits name their files: remove one of the two.",
            )

    @property
    def is_by_file(self) -> bool:
        """Whether the table comes split."""
        return any(isinstance(getattr(self, name), str) for name in _SPLITS)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits there are."""
        return _SPLITS if self.test or self.test_from is not None else (TRAIN, EVAL)

    @property
    def columns(self) -> dict[str, str]:
        """The columns that it reads, and which key names each."""
        return {getattr(self, key): f"[splits] {key} names" for key in ("by", "time") if getattr(self, key)}

    def given(self) -> dict[str, Any]:
        """The keys that differ from their defaults, and the two splits that there always are."""
        defaults = Splits()
        return {
            name: value
            for name, value in vars(self).items()
            if name in (TRAIN, EVAL) or value != getattr(defaults, name)
        }


def find_window(
    directory: Path, pattern: str, splits: Splits, count: int, end: str | int, items: str = ""
) -> Window | None:
    """The spans of a window; of a table that comes split, its splits, each as a span; None without any file.

    Of a log with an item table the first is `ITEMS`, the table's files.

    Args:
      directory: The table's folder.
      pattern: Of its files; not asked where the splits name theirs.
      splits: How it is divided.
      count: How many spans.
      end: See `choose_window`.
      items: Pattern of the item table's files, or "".

    Raises:
      SpanError: If there is no such window, or a split has no files, or one file is in two.
    """
    if not splits.is_by_file:
        spans = find_spans(directory, pattern)
        window = choose_window(spans, count, end) if spans else None
        return _with_items(window, directory, items) if window and items else window
    found: list[Span] = []
    owner: dict[Path, str] = {}
    for name in splits.names:
        files = [file for span in find_spans(directory, getattr(splits, name)) for file in span.files]
        if not files:
            raise SpanError(
                f"{directory} has no file that matches '{getattr(splits, name)}': add one, or correct [splits] {name}."
            )
        for file in files:
            if owner.setdefault(file, name) != name:
                raise SpanError(f"{file} is in the {owner[file]} and in the {name} split: correct [splits].")
        found.append(Span(0, name, tuple(files)))
    return Window(tuple(found))


def _with_items(window: Window, directory: Path, pattern: str) -> Window:
    files = tuple(file for span in find_spans(directory, pattern) for file in span.files)
    if not files:
        raise SpanError(f"{directory} has no file that matches '{pattern}': add one, or correct [log] items.")
    return replace(window, spans=(Span(0, ITEMS, files), *drop_items(window.spans, files)))


def drop_items(spans: Sequence[Span], files: Sequence[Path]) -> list[Span]:
    """Spans of a log without the files of the item table, whose pattern may match theirs."""
    return [replace(span, files=tuple(file for file in span.files if file not in files)) for span in spans]


def check_judged(window: Window) -> None:
    """Refuses a log's window without a span to learn from.

    Raises:
      SpanError: If the newest, which is judged, is the only one.
    """
    if all(span.name in (ITEMS, window.newest.name) for span in window.spans):
        raise SpanError(
            f"Span {window.newest.name} is the only one of the window, and of a log's spans the newest is judged and those before "
            "are learned from: bring a span before it, or set [window] spans higher."
        )


def files_by_split(window: Window, splits: Splits) -> Mapping[str, str]:
    """File → its split, of a table that comes split; empty of any other."""
    return {str(file): span.name for span in window.spans for file in span.files} if splits.is_by_file else {}
