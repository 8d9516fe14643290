"""Statistics of the spans that were accepted, one file a span, so that a new span can be compared.

A file appears or changes by one rename. It holds what comparators read and no more: about 10 kB for the
18 columns of the taxi table, for each span.
"""

import re
from pathlib import Path

from google.protobuf.message import DecodeError

from components.data_gate.merged_statistics import Statistics
from foundation.replacing import replace_file
from foundation.sections import UserError

_NAME = re.compile(r"span-(\d+)\.pb")


class HistoryError(UserError, RuntimeError):
    """A file of the history cannot be used; the message is one sentence."""


def store(directory: Path, span: int, statistics: Statistics) -> None:
    """Keeps the statistics of `span`, in the place of those of an earlier version of it."""
    replace_file(directory / f"span-{span}.pb", statistics.SerializeToString(deterministic=True))


def spans_before(directory: Path, span: int, count: int) -> list[tuple[int, Statistics]]:
    """The last `count` spans before `span` that were accepted, the newest last.

    Raises:
      HistoryError: If a file is damaged.
    """
    files = {int(match[1]): path for path in directory.glob("*") if (match := _NAME.fullmatch(path.name))}
    earlier = sorted(number for number in files if number < span)
    return [(number, _read(files[number])) for number in earlier[-count:]]


def _read(path: Path) -> Statistics:
    try:
        statistics = Statistics.FromString(path.read_bytes())
    except DecodeError:
        statistics = Statistics()
    if not statistics.num_examples:
        raise HistoryError(
            f"{path}, the statistics of a past span, is damaged: remove the file, and later spans are compared "
            "with the others."
        )
    return statistics
