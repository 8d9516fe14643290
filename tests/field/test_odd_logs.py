"""Columns of a log and of its item table that are not what they should be: one sentence each, and no wrong number."""

import pyarrow as pa
import pytest

from components.example_gen.behaviour_log.columns import read_events
from components.example_gen.behaviour_log.counts import UNAVAILABLE, describe_counts
from components.example_gen.behaviour_log.items import Items, add_logged, read_items
from components.example_gen.source_format import ConversionError
from trainer_module.log import AVAILABLE, Log

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        (pa.array([1.5, 2.0]), "things.csv: column 'what' identifies users or items, and holds decimals such as 1.5"),
        (pa.array([[b"a"], [b"b"]]), "things.csv: column 'what' holds lists: write one user and one item in a row"),
    ],
)  # fmt: skip
def test_an_item_table_without_identifiers_is_refused(items: pa.Array, sentence: str) -> None:
    with pytest.raises(ConversionError, match=sentence):
        read_items("things.csv", {"what": items}, Log("who", "what", "when"))


def test_an_empty_item_table_is_refused() -> None:
    with pytest.raises(ConversionError, match="The item table has no item: bring one that has, or remove"):
        add_logged(Items(), pa.array([b"a"]), has_table=True)


def available(condition: str) -> Log:
    return Log("who", "what", "when", items="things.csv", available=condition)


STOCK = {
    "what": pa.array([b"a", b"b", b"c", b"d"]), "stock": pa.array([1, 0, None, 2]),
    "state": pa.array([b"sold", b"sold", b"sold", b"stopped"]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("stock", [1, 0, 0, 1]), ("stock > 1", [0, 0, 0, 1]), ("stock and state == 'sold'", None), ("stock > 0 and state == 'sold'", [1, 0, 0, 0])],
)  # fmt: skip
def test_an_item_is_available_where_its_table_says_so(condition: str, expected: list[int] | None) -> None:
    if expected is None:
        with pytest.raises(ConversionError, match=r"\[log\] available: "):
            read_items("things.csv", STOCK, available(condition))
        return
    items = read_items("things.csv", STOCK, available(condition))
    assert items.columns[AVAILABLE].to_pylist() == expected
    # What the table lacks is not available either, and both are counted.
    added = add_logged(items, pa.array([b"a", b"e"]), has_table=True)
    assert added.columns[AVAILABLE].to_pylist() == [*expected, None]
    assert added.counts[UNAVAILABLE] == 5 - sum(expected)
    assert any(
        sentence.endswith("they are known, and not recommended")
        for sentence in describe_counts({}, added.counts)
    )


def test_a_catalogue_of_which_nothing_is_available_is_refused() -> None:
    items = read_items("things.csv", STOCK, available("stock > 2"))
    with pytest.raises(ConversionError, match=r"No item is available: \[log\] available holds of none"):
        add_logged(items, pa.array([b"a"]), has_table=True)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("moment", [2**62, -(2**62), -1])
def test_a_time_beyond_all_times_is_refused_and_does_not_wrap_around(unit: str, moment: int) -> None:
    columns = {"who": pa.array([b"u"]), "what": pa.array([b"a"]), "when": pa.array([moment])}
    if moment == 2**62 and unit == "ns":
        moment = 4_200_000_000 * 10**9
        columns["when"] = pa.array([moment])
    with pytest.raises(ConversionError, match=f"holds {moment}, which is no time between 1970 and 2100"):
        read_events("log.csv", columns, 0, Log("who", "what", "when", time_unit=unit), NOW)


def test_a_list_that_where_reads_is_refused() -> None:
    columns = {"who": pa.array([b"u"]), "what": pa.array([b"a"]), "when": pa.array([1]), "q": pa.array([[1]])}
    with pytest.raises(
        ConversionError, match=r"column 'q', which \[log\] where reads, holds lists: write one value"
    ):
        read_events("log.csv", columns, 0, Log("who", "what", "when", time_unit="s", where="q > 0"), NOW)


def test_parquet_s_timestamps_are_texts_whatever_unit_was_given() -> None:
    columns = {"who": pa.array([b"u"]), "what": pa.array([b"a"]), "when": pa.array([b"2026-01-01"])}
    with pytest.raises(ConversionError, match=r"column 'when' holds texts: set \[log\] time_unit"):
        read_events("log.parquet", columns, 0, Log("who", "what", "when", time_unit="ms"), NOW)
