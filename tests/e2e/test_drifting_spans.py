"""A span that arrives as it should, one in another unit, and the same once it is right."""

import csv
import io
from pathlib import Path

import pytest

from pipeline.config import ROOT

from .conftest import Project

pytest.importorskip("components.example_gen.span_store", reason="the source's pattern has no spans yet")


def write_span(project: Project, day: int, rows: list[str], factor: float = 1.0) -> None:
    """Every third row, from the `day`th on, with the fare multiplied."""
    header, *lines = csv.reader(rows)
    fare, text = header.index("fare"), io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    for line in lines[day - 1 :: 3]:
        table.writerow([str(float(value) * factor) if i == fare else value for i, value in enumerate(line)])
    path = project.root / "data" / "days" / f"2026-01-0{day}" / "trips.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue())


def test_a_span_in_another_unit_stops_the_run_until_it_is_delivered_right(
    project: Project, taxi_rows: list[str]
) -> None:
    text = (ROOT / "datasets" / "taxi.toml").read_text()
    text = text.replace('name = "taxi"', 'name = "days"').replace('package = "tfx"', "")
    text = text.replace(
        'path = "examples/chicago_taxi_pipeline/data/simple"',
        'path = "../data/days"\npattern = "{YYYY}-{MM}-{DD}/*.csv"',
    )
    (project.root / "datasets" / "days.toml").write_text(text)
    history = project.root / "runs" / "days" / "statistics"
    write_span(project, 1, taxi_rows)
    first = project.run("days", "--to", "DataGate")
    assert first.status == 0, first.error
    assert first.summary["drift"] == []
    (kept,) = history.iterdir()

    write_span(project, 2, taxi_rows, factor=100)
    broken = project.run("days", "--to", "DataGate")
    assert broken.status == 1 and broken.states["DataGate"] == "failed"
    assert "The data has drifted" in broken.error and " times" in broken.error
    found = {(each["feature"], each["metric"]): each for each in broken.summary["drift"]}
    assert found["fare", "js"]["distance"] > found["fare", "js"]["threshold"]
    assert list(history.iterdir()) == [kept]

    write_span(project, 2, taxi_rows)
    mended = project.run("days", "--to", "DataGate")
    assert mended.status == 0, mended.error
    assert mended.summary["drift"]
    assert not any(each["distance"] > each["threshold"] for each in mended.summary["drift"])
    assert [Path(path).name for path in sorted(history.iterdir())] == [
        kept.name, f"span-{int(kept.stem.removeprefix('span-')) + 1}.pb",
    ]  # fmt: skip
