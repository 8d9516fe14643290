"""Small files side by side: which of a table's files share a file of examples.

A file of examples for each of two thousand small files makes every later step open four thousand: ExampleGen,
StatisticsGen and Transform of 16,000 rows took a quarter of a minute each, and more.
"""

import os
from collections.abc import Iterable, Sequence

_BYTES = 8 << 20
"""As much as a block of a large file has; a file that is larger shares with nobody."""

_FILES = 250
"""So that thousands of tiny files still are work for several processes."""


def group_files(files: Sequence[str]) -> list[int]:
    """The group of each file, by place: neighbours, until they have as many bytes as a block of a large file.

    Raises:
      OSError: If a file is gone.
    """
    return _group_sizes(os.path.getsize(file) for file in files)


def _group_sizes(sizes: Iterable[int]) -> list[int]:
    groups: list[int] = []
    group, held, count = 0, 0, 0
    for size in sizes:
        if count and (held + size > _BYTES or count == _FILES):
            group, held, count = group + 1, 0, 0
        groups.append(group)
        held, count = held + size, count + 1
    return groups
