"""Which small files share a file of examples."""

import pytest

from components.example_gen.reading.groups import _FILES, BYTES, _group_sizes


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([5], [0]),
        ([5, 5, 5], [0, 0, 0]),
        ([5, BYTES, 5, 5], [0, 1, 2, 2]),
        ([BYTES + 1, BYTES + 1], [0, 1]),
        ([BYTES // 2, BYTES // 2, 1], [0, 0, 1]),
    ],
)
def test_neighbours_share_until_they_are_a_block_of_a_large_file(
    sizes: list[int], expected: list[int]
) -> None:
    assert _group_sizes(sizes) == expected


def test_thousands_of_tiny_files_are_work_for_several_processes() -> None:
    groups = _group_sizes([1] * 2000)
    assert max(map(groups.count, groups)) == _FILES and groups == sorted(groups)
