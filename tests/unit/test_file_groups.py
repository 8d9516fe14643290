"""Which small files share a file of examples, and are read together."""

from pathlib import Path
from typing import Any

import pytest

from components.example_gen.column_types import merge, widen
from components.example_gen.reading.dialect import Dialect, Reading
from components.example_gen.reading.groups import _FILES, BYTES, _group_sizes
from components.example_gen.source_format import ConversionError, source_format


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


def read(texts: list[str], directory: Path, joins: bool, **dialect: Any) -> Any:
    """Types and examples of files with those rows, or what is wrong with them; and how many blocks these were."""
    source = source_format("csv", Reading(Dialect(**dialect), exact=["a"], codes=["b"]))
    blocks = []
    for number, text in enumerate(texts):
        file = directory / f"{number}.csv"
        file.write_bytes(b"a,b\n" + text.encode("latin-1"))
        blocks += source.find_blocks(str(file), number)
    joined = source.join(blocks) if joins else blocks
    try:
        types = widen(merge(map(source.infer_types, joined)), {})
        rows = [row for block in joined for part in source.read_examples(block, types) for row in part]
    except ConversionError as error:
        return str(error), len(joined)
    return (types, rows), len(joined)


@pytest.mark.parametrize(
    "texts",
    [
        ["1,x\n2,y\n", "3,z\n"],
        ["1,x", "2.0,y\r\n\r\n", "", "\n\n", "7,01\n"],
        ['1,"x, ""y""\nz"\n', '2,"\n\n"\n', '3,"a"'],
        # A quote inside of a cell is a character, and an even number of them is nothing open.
        ['1,x"y"\n', '2,5"\n3,6"\n', "4,z\n"],
        # Arrow takes the second quote for one that opens a cell, which nothing closes.
        ['1,x"y\n2,"abc\n', "3,z\n", "4,z\n"],
        ['1,x"y\n2,"abc\n', '3,z"\n4,"\n', "5,z\n"],
        ["1,x\n", "2,y,z\n", "3,z\n"],
        ["1,x\n", "2\n"],
        ["1,x\n", "2,\xff\n"],
    ],
)
def test_small_files_read_together_are_the_rows_of_each_or_its_error(
    texts: list[str], tmp_path: Path
) -> None:
    each, _ = read(texts, tmp_path, joins=False)
    together, blocks = read(texts, tmp_path, joins=True)
    assert together == each and blocks == 1


def test_files_of_which_no_piece_is_known_or_one_could_end_in_an_escape_are_read_apart(
    tmp_path: Path,
) -> None:
    """An escape at a file's end would take the line end from the next."""
    assert read(["1,x\n", "2,y\n"], tmp_path, joins=True, encoding="latin-1")[1] == 2
    assert read(["1,x\\", "2,y\n"], tmp_path, joins=True, escape="\\")[1] == 2
