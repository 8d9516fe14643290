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


def store(directory: Path, span: int, statistics: Statistics) -> Path:
    """Keeps the statistics of `span`, in the place of those of an earlier version of it."""
    path = directory / f"span-{span}.pb"
    replace_file(path, statistics.SerializeToString(deterministic=True))
    return path


def spans_before(directory: Path, span: int, count: int) -> list[tuple[int, Statistics]]:
    """The last `count` spans before `span` that were accepted, the newest last.

    Raises:
      HistoryError: If a file is damaged.
    """
    found = [
        (int(match[1]), path)
        for path in (directory.iterdir() if directory.is_dir() else ())
        if (match := _NAME.fullmatch(path.name))
    ]
    earlier = sorted(each for each in found if each[0] < span)
    return [(number, _read(path)) for number, path in earlier[-count:]]


def _read(path: Path) -> Statistics:
    try:
        statistics = Statistics.FromString(path.read_bytes())
    except DecodeError as error:
        raise HistoryError(_damaged(path)) from error
    if not statistics.num_examples:
        raise HistoryError(_damaged(path))
    return statistics


def _damaged(path: Path) -> str:
    return (
        f"{path}, the statistics of a past span, is damaged: remove the file, and later spans are compared "
        "with the others."
    )
