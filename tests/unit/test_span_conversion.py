"""What becomes of spans that come late, twice, empty, changed or not at all."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from components.example_gen import span_store
from components.example_gen.source_format import source_format
from components.example_gen.span_conversion import Outcome, Policy, convert_window
from components.example_gen.spans import SpanError, choose_window, find_spans
from pipeline.runs.run import SpansRead, read_known, read_runs
from pipeline.workspace import workspace_of

from .records import make_record

WARN = Policy("warn", "warn")


class Site:
    """Files `<span>.csv`, each line of which is a row, and a store."""

    def __init__(self, directory: Path) -> None:
        self.store, self.data = directory / "store", directory / "data"
        self.data.mkdir()
        self.column = "INT"

    def put(self, *spans: int, text: str = "") -> None:
        for span in spans:
            (self.data / f"{span}.csv").write_text(text or f"row {span}\n" * span)

    def run(
        self,
        count: int = 3,
        end: int | str = "",
        policy: Policy = Policy(),
        code: str = "1",
        has_schema: bool = False,
    ) -> Outcome:
        window = choose_window(find_spans(self.data, "{SPAN}.csv"), count, end)
        contents = span_store.content_digests(self.store, {span.name: span.files for span in window.spans})
        return convert_window(
            window,
            self.store,
            contents,
            [code],
            policy,
            source_format("tfrecord"),
            self.convert,
            has_schema=has_schema,
        )

    def convert(self, files: Sequence[Path], directory: Path) -> tuple[dict[str, int], dict[str, str]]:
        (directory / "Split-train").mkdir()
        rows = "".join(file.read_text() for file in files)
        (directory / "Split-train" / "data").write_text(rows)
        return {"train": len(rows.splitlines())}, {"fare": self.column}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_each_span_is_converted_once(site: Site) -> None:
    site.put(1, 2, 3)
    assert site.run().converted == ("1", "2", "3")
    assert site.run().converted == ()
    site.put(4)
    outcome = site.run()
    assert outcome.converted == ("4",) and outcome.notes == ()
    assert [entry.name for entry in outcome.entries] == ["2", "3", "4"]
    assert [entry.rows for entry in outcome.entries] == [{"train": 2}, {"train": 3}, {"train": 4}]
    assert site.run(code="2").converted == ("2", "3", "4"), "the code that converts has changed"
    assert site.run(code="2").notes == ()


def test_every_span_is_checked_once_however_it_comes(site: Site) -> None:
    def unchecked(outcome: Outcome) -> list[str]:
        return [entry.name for entry in outcome.unchecked]

    site.put(1, 2, 4)
    first = site.run(4, policy=WARN)
    assert unchecked(first) == ["1", "2"], "the newest is looked at anyway"
    assert unchecked(site.run(4, policy=WARN)) == ["1", "2"], "the run may have ended before the gate"
    span_store.mark_checked(site.store, [entry.identifier for entry in first.entries])
    site.put(3, 5)
    assert unchecked(site.run(4)) == ["3"], "it came late"
    site.put(2, text="corrected\n")
    assert unchecked(site.run(4)) == ["2", "3"]


def test_a_late_span_joins_the_window_and_is_named(site: Site) -> None:
    site.put(1, 3)
    assert site.run(policy=WARN).missing == ("2",)
    site.put(2)
    outcome = site.run()
    assert outcome.converted == ("2",) and [entry.name for entry in outcome.entries] == ["1", "2", "3"]
    assert outcome.notes == ("span 2 arrived late, after 3: it is trained on from now on",)


def test_spans_of_a_window_that_became_longer_are_not_late(site: Site) -> None:
    site.put(1, 2, 3)
    site.run(1)
    assert site.run(3).converted == ("1", "2") and site.run(3).notes == ()


def test_a_missing_span_fails_the_run_or_is_named_or_passed_over(site: Site) -> None:
    site.put(1, 4)
    with pytest.raises(SpanError, match=r"Spans 2, 3 are missing from the window.*missing = \"warn\""):
        site.run(4)
    outcome = site.run(4, policy=WARN)
    assert outcome.missing == ("2", "3")
    assert outcome.notes == ("spans 2, 3 are missing from the window, or without rows",)
    assert site.run(4, policy=Policy("ignore")).notes == ()


def test_an_empty_span_is_a_missing_one(site: Site) -> None:
    site.put(1, 3)
    (site.data / "2.csv").touch()
    with pytest.raises(SpanError, match="Span 2 is missing from the window, or without rows"):
        site.run()
    outcome = site.run(policy=WARN)
    assert outcome.missing == ("2",) and [entry.name for entry in outcome.entries] == ["1", "3"]
    site.put(2)
    assert site.run().converted == ("2",), "the rows came after all"


def test_an_empty_newest_span_fails_the_run_whatever_is_set(site: Site) -> None:
    site.put(1)
    (site.data / "2.csv").touch()
    with pytest.raises(SpanError, match=r"Span 2, the newest, has no rows.*window\.end"):
        site.run(policy=Policy("ignore", "warn"))
    assert [entry.name for entry in site.run(end=1).entries] == ["1"]


def test_the_same_content_in_two_spans_fails_the_run_or_is_named(site: Site) -> None:
    site.put(1, 2, 3, text="the same\n")
    with pytest.raises(
        SpanError, match=r"Two spans have the same content \(1 and 2\): replace the wrong one"
    ):
        site.run()
    assert not (site.store / ".lock").exists(), "nothing was converted"
    assert site.run(policy=WARN).notes == (
        "two spans have the same content (1 and 2); their rows count twice",
        "two spans have the same content (1 and 3); their rows count twice",
    )


def test_a_changed_span_is_converted_again_and_named(site: Site) -> None:
    site.put(1, 2)
    site.run()
    site.put(1, text="corrected\n")
    outcome = site.run()
    assert outcome.converted == ("1",) and outcome.entries[0].rows == {"train": 1}
    assert len(outcome.notes) == 1 and "span 1 changed since it was converted at 2" in outcome.notes[0]


def test_a_backfill_is_named_and_does_not_call_its_spans_late(site: Site) -> None:
    site.put(1, 2, 3, 4)
    site.run(1)
    outcome = site.run(2, end=2)
    assert outcome.converted == ("1", "2")
    (note,) = outcome.notes
    assert note.startswith("backfill: the window ends at 2 although newer spans are there")


def test_a_span_that_changes_while_it_is_read_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(1)
    convert = site.convert

    def write_on(files: Sequence[Path], directory: Path) -> tuple[dict[str, int], dict[str, str]]:
        converted = convert(files, directory)
        site.put(1, text="more\n")
        return converted

    monkeypatch.setattr(site, "convert", write_on)
    with pytest.raises(SpanError, match="The files of span 1 changed while they were read"):
        site.run()
    assert span_store.list_entries(site.store) == []


def test_a_failure_keeps_the_spans_before_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put(1, 2)
    convert = site.convert

    def stumble(files: Sequence[Path], directory: Path) -> tuple[dict[str, int], dict[str, str]]:
        if files[0].name == "2.csv":
            raise RuntimeError
        return convert(files, directory)

    monkeypatch.setattr(site, "convert", stumble)
    with pytest.raises(RuntimeError):
        site.run()
    monkeypatch.undo()
    assert site.run().converted == ("2",)


def test_a_column_of_two_types_is_refused_with_both_spans_where_no_schema_is(site: Site) -> None:
    site.put(1)
    site.run()
    site.put(2)
    site.column = "BYTES"
    with pytest.raises(SpanError, match="Column 'fare' is INT in span 1 and BYTES in span 2: correct"):
        site.run()
    assert len(site.run(has_schema=True).entries) == 2, "the data gate judges it by the schema"


def test_what_is_written_of_a_window_is_what_the_record_of_a_run_holds(site: Site, tmp_path: Path) -> None:
    site.put(1, 2)
    written = json.loads(json.dumps(site.run(2).to_json()))
    workspace = workspace_of(str(tmp_path), "taxi")
    make_record(1.0, spans=read_known(SpansRead, written)).write(workspace)
    (run,) = read_runs(workspace)
    assert run.spans == SpansRead(("1", "2"), "2", ("1", "2"), rows={"1": {"train": 1}, "2": {"train": 2}})
