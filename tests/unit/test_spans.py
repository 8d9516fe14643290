"""Which files are which span, and which spans make up a window."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.example_gen.spans import SpanError, Window, check_pattern, choose_window, find_spans

DATED = "{YYYY}-{MM}-{DD}/*.csv"
Place = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    def place_files(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x")
        return tmp_path

    return place_files


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        (DATED, ["1970-01-02/b.csv", "1970-01-02/a.csv", "1970-01-01/a.csv"], {0: 1, 1: 2}),
        ("{YYYY}{MM}{DD}.csv", ["20260131.csv"], {20484: 1}),
        ("span-{SPAN}/*.csv", ["span-10/a.csv", "span-9/a.csv"], {9: 1, 10: 1}),
        ("{SPAN:3}.csv", ["007.csv", "10.csv", "1000.csv"], {7: 1}),
        ("*.csv", ["b.csv", "a.csv", "c.txt", "d/e.csv"], {0: 2}),
        (DATED, ["today/a.csv", "2026-1-3/a.csv", "1970-01-01/.a.csv", ".1970-01-01/a.csv"], {}),
    ],
)  # fmt: skip
def test_files_are_told_apart_by_their_span(
    place: Place, pattern: str, names: list[str], expected: dict[int, int]
) -> None:
    spans = find_spans(place(*names), pattern)
    assert {span.number: len(span.files) for span in spans} == expected
    assert [span.number for span in spans] == sorted(expected)


def test_the_newest_version_of_a_span_wins(place: Place) -> None:
    directory = place("s1/v9/a.csv", "s1/v10/a.csv", "s1/v10/b.csv", "s2/v1/a.csv")
    first, second = find_spans(directory, "s{SPAN}/v{VERSION}/*.csv")
    assert (first.name, first.version, len(first.files)) == ("1", 10, 2)
    assert (second.name, second.version) == ("2", 1)


@pytest.mark.parametrize(
    ("pattern", "names", "expected"),
    [
        ("{SPAN}.csv", ["7.csv", "007.csv"], "Span 7 is in .* twice, as 007.csv and as 7.csv"),
        ("{SPAN}/v{VERSION}.csv", ["7/v1.csv", "7/v01.csv"], "Span 7 is in .* twice"),
        (DATED, ["2026-02-30/a.csv"], "2026-02-30/a.csv bears a date that does not exist"),
    ],
)
def test_a_span_that_goes_by_two_names_or_none_is_refused(
    place: Place, pattern: str, names: list[str], expected: str
) -> None:
    with pytest.raises(SpanError, match=expected):
        find_spans(place(*names), pattern)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{DAY}.csv", "has {DAY}; it may have {SPAN}"),
        ("{SPAN:x}.csv", "has {SPAN:x}"),
        ("{YYYY:4}.csv", "has {YYYY:4}"),
        ("{SPAN.csv", "braces do not match"),
        ("{SPAN}/{SPAN}.csv", "each placeholder only once"),
        ("{YYYY}-{MM}.csv", "{YYYY}, {MM} and {DD} together"),
        ("{SPAN}/{YYYY}-{MM}-{DD}.csv", "{YYYY}, {MM} and {DD} together"),
        ("v{VERSION}.csv", "needs a span to be a version of"),
        ("/data/*.csv", "must be below [source] path"),
        ("../*.csv", "must be below [source] path"),
        ("**/*.csv", "of wildcards it may have * and ?"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, expected: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_pattern(pattern)
    assert expected in str(caught.value)


def names_of(window: Window) -> list[str]:
    return [span.name for span in window.spans]


def test_a_window_ends_at_the_newest_span_or_where_it_is_told_to(place: Place) -> None:
    spans = find_spans(place(*(f"2026-01-{day:02}/a.csv" for day in (1, 2, 3, 4))), DATED)
    newest = choose_window(spans, 3)
    assert names_of(newest) == ["2026-01-02", "2026-01-03", "2026-01-04"] and not newest.is_backfill
    backfill = choose_window(spans, 2, "2026-01-02")
    assert names_of(backfill) == ["2026-01-01", "2026-01-02"] and backfill.is_backfill
    assert backfill.newest.name == "2026-01-02"


def test_spans_are_missing_between_others_but_not_before_the_first(place: Place) -> None:
    spans = find_spans(place("2026-02-27/a.csv", "2026-03-02/a.csv"), DATED)
    window = choose_window(spans, 7)
    assert names_of(window) == ["2026-02-27", "2026-03-02"]
    assert window.missing == ("2026-02-28", "2026-03-01")
    assert choose_window(spans, 1).missing == ()


@pytest.mark.parametrize("end", ["2026-01-09", "20260102", "yesterday"])
def test_an_end_that_names_no_span_is_refused_with_those_that_there_are(place: Place, end: str) -> None:
    spans = find_spans(place("2026-01-01/a.csv", "2026-01-02/a.csv"), DATED)
    with pytest.raises(SpanError, match=f"'{end}', and there is no such span.*are 2026-01-01, 2026-01-02"):
        choose_window(spans, 7, end)


def test_numbered_spans_end_at_a_number_however_it_is_written(place: Place) -> None:
    spans = find_spans(place("007.csv", "008.csv"), "{SPAN:3}.csv")
    assert choose_window(spans, 7, 7) == choose_window(spans, 7, "007")
    assert names_of(choose_window(spans, 7, 7)) == ["7"]
