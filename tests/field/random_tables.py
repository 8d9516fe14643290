"""Tables of every type that sources take, as Hypothesis draws them: missing values, extremes, all of Unicode, repeats.

What is drawn is the same at each run, so that a failure comes again; Hypothesis shows the least table that fails.
"""

import datetime
import decimal
import struct
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from components.example_gen.column_types import ColumnType

from .tables import Row

Values = st.SearchStrategy[Any]
Table = dict[str, tuple[str, list[Any]]]
"""Column → its kind, and its values."""


def drawn(count: int, **options: Any) -> settings:
    """As many examples, the same ones at each run."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=slow,
        **options,
    )


SIGNS = [
    "a", "ü", "性别", "🙂", " ", ",", ";", '"', "'", "\n", "\r\n", "|", "\\", "\t", "0", "1", "_", "NA", ".", "-", "é",
]  # fmt: skip
NAMES = SIGNS[:4]


def whole(bits: int, signed: bool = True) -> Values:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.sampled_from([low, high]) | st.integers(low, high) | st.integers(0, 100)


def single(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False)
DOUBLES = (
    st.sampled_from([-0.0, 1e-7, 1e300, -1.8e308, 5e-324, float("inf"), float("nan"), 0.1]) | st.floats()
)
# Of whatever is a character; the first letter tells a text from a number and from what is missing.
TEXTS = st.lists(
    st.sampled_from(SIGNS) | st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"),
    max_size=6,
).map(lambda signs: "x" + "".join(signs))
TAGS = st.sampled_from(["a", "ü b", "性", "10", "x,y", '"q"'])


def several(values: Values, least: int = 1, most: int = 4) -> Values:
    return st.lists(values, min_size=least, max_size=most)


WHOLE, DECIMAL, TEXT = ColumnType.INT, ColumnType.FLOAT, ColumnType.BYTES
KINDS: dict[str, tuple[pa.DataType, ColumnType, Values]] = {
    "int8": (pa.int8(), WHOLE, whole(8)),
    "int16": (pa.int16(), WHOLE, whole(16)),
    "int32": (pa.int32(), WHOLE, whole(32)),
    "int64": (pa.int64(), WHOLE, whole(64)),
    "uint8": (pa.uint8(), WHOLE, whole(8, False)),
    "uint16": (pa.uint16(), WHOLE, whole(16, False)),
    "uint32": (pa.uint32(), WHOLE, whole(32, False)),
    "uint64": (pa.uint64(), WHOLE, whole(63, False)),
    "bool": (pa.bool_(), WHOLE, st.booleans()),
    "float32": (pa.float32(), DECIMAL, SINGLES),
    "float64": (pa.float64(), DECIMAL, DOUBLES),
    "string": (pa.string(), TEXT, TEXTS),
    "large_string": (pa.large_string(), TEXT, TEXTS),
    "binary": (pa.binary(), TEXT, TEXTS.map(str.encode)),
    "large_binary": (pa.large_binary(), TEXT, TEXTS.map(str.encode)),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), TEXT, TAGS),
    "null": (pa.null(), ColumnType.UNKNOWN, st.none()),
    "list int": (pa.list_(pa.int64()), WHOLE, several(whole(64))),
    "list bool": (pa.list_(pa.bool_()), WHOLE, several(st.booleans())),
    "list float": (pa.list_(pa.float32()), DECIMAL, several(SINGLES)),
    "list string": (pa.list_(pa.string()), TEXT, several(TAGS)),
    "list binary": (pa.list_(pa.binary()), TEXT, several(TAGS.map(str.encode))),
    "large list": (pa.large_list(pa.string()), TEXT, several(TAGS)),
    "vector": (pa.list_(pa.float32(), 3), DECIMAL, several(SINGLES, 3, 3)),
    "vector int": (pa.list_(pa.int16(), 3), WHOLE, several(whole(16), 3, 3)),
}  # fmt: skip
REFUSED: dict[str, tuple[pa.DataType, Any]] = {
    "timestamp": (pa.timestamp("us"), datetime.datetime(2026, 1, 1)),
    "date": (pa.date32(), datetime.date(2026, 1, 1)),
    "time": (pa.time64("us"), datetime.time(1)),
    "duration": (pa.duration("s"), datetime.timedelta(1)),
    "decimal": (pa.decimal128(9, 2), decimal.Decimal("1.50")),
    "fixed binary": (pa.binary(2), b"ab"),
    "struct": (pa.struct({"a": pa.int64()}), {"a": 1}),
    "map": (pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    "list of lists": (pa.list_(pa.list_(pa.int64())), [[1]]),
}


def is_list(kind: str) -> bool:
    """Whether values of the kind are several."""
    return isinstance(KINDS[kind][0], (pa.ListType, pa.LargeListType, pa.FixedSizeListType))


@st.composite
def columns(draw: Any, kind: str, rows: int) -> list[Any]:
    """A column's values, of which many come again."""
    values = KINDS[kind][2]
    # Arrow 10 writes no vector without values.
    one = values if kind.startswith("vector") else st.none() | values
    pool = draw(st.lists(one, min_size=1, max_size=6))
    return [
        pool[place] for place in draw(st.lists(st.integers(0, len(pool) - 1), min_size=rows, max_size=rows))
    ]


@st.composite
def tables(draw: Any) -> Table:
    """A table of one to seven kinds of columns."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=7, unique=True))
    rows = draw(st.integers(1, 40))
    return {
        f"{draw(st.sampled_from(NAMES))} {number}": (kind, draw(columns(kind, rows)))
        for number, kind in enumerate(kinds)
    }


def to_arrow(table: Table) -> pa.Table:
    return pa.table({name: pa.array(values, KINDS[kind][0]) for name, (kind, values) in table.items()})


def expected_of(table: Table) -> list[Row]:
    """What the table's examples hold."""
    rows: list[Row] = [{} for _ in next(iter(table.values()))[1]]
    for name, (kind, values) in table.items():
        for row, value in zip(rows, values):
            if value is not None:
                several = value if isinstance(value, list) else [value]
                row[name] = [as_held(each, KINDS[kind][1]) for each in several]
    return rows


def as_held(value: Any, kind: ColumnType) -> Any:
    if kind == DECIMAL:
        try:
            return single(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else int(value)
