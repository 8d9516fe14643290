"""The report of a real run over hostile data, opened in a real browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.run_report import rendering
from components.run_report.decision import Decision
from components.run_report.document import Header, Report, StepTime
from pipeline.runs import __main__ as runs
from tests.browser import WIDTHS, Page, visit
from tests.debian import program

from .conftest import HOSTILE, Project

SECTIONS = ("decision", "data", "training", "evaluation", "timing", "lineage", "reproduce")


@pytest.fixture(scope="module")
def reported(project: Project) -> runs.StoredRun:
    """The newest whole run of the dataset `small`; other tests of the session have made it, or one is made."""

    def whole() -> list[runs.StoredRun]:
        found = runs.find_runs(project.root / "runs", "small")
        return [stored for stored in found if stored.run.pushed_model and stored.run.status == "succeeded"]

    if not whole():
        made = project.run("small", "--set", "training.epochs=4")
        assert made.status == 0, made.error
    return whole()[-1]


@pytest.fixture(scope="module")
def content(reported: runs.StoredRun) -> dict[str, Any]:
    return json.loads(reported.report.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def page(reported: runs.StoredRun) -> Iterator[Page]:
    with visit(program("chromium", "chromium"), Path(reported.report).as_uri()) as opened:
        yield opened


def test_every_section_was_read_from_the_runs_artifacts(
    reported: runs.StoredRun, content: dict[str, Any]
) -> None:
    assert set(content["missing"]) <= {"drift"}, content["missing"]
    assert reported.run.report == str(reported.report)
    assert reported.run.report in [str(path) for path in reported.report.parent.iterdir()]
    assert content["decision"]["headline"].endswith(Path(str(reported.run.pushed_model)).name)
    assert [split["name"] for split in content["statistics"]["splits"]] == ["train", "eval"]
    assert sum(split["rows"] for split in content["statistics"]["splits"]) == 4000
    assert {curve["name"] for curve in content["training"]["curves"]} >= {"loss", "auc"}
    assert {gate["metric"] for gate in content["evaluation"]["gates"]} == {"auc", "binary_accuracy"}
    assert any("local_runner.py" in command for command in content["reproduction"]["commands"])


def test_curves_and_intervals_agree_with_tfmas_own_metrics(content: dict[str, Any]) -> None:
    whole = content["evaluation"]["slices"][0]
    assert whole["slice"] == []
    for name in ("auc", "binary_accuracy", "precision", "recall"):
        low, high = whole["intervals"][name]
        assert low < whole["metrics"][name] < high and high - low < 0.5, name
    curves = content["evaluation"]["curves"]["candidate"]
    counts = curves["confusion"]
    assert sum(counts.values()) == whole["metrics"]["example_count"]
    accuracy = (counts["true_positives"] + counts["true_negatives"]) / whole["metrics"]["example_count"]
    assert accuracy == pytest.approx(whole["metrics"]["binary_accuracy"], abs=0.002)
    area = sum(
        (right[0] - left[0]) * (left[1] + right[1]) / 2
        for left, right in zip(curves["roc"], curves["roc"][1:])
    )
    assert area == pytest.approx(whole["metrics"]["auc"], abs=0.005)


def test_the_lineage_leads_from_data_and_schema_to_the_pushed_model(content: dict[str, Any]) -> None:
    boxes = {box["id"]: box for box in content["lineage"]["boxes"]}
    assert set(boxes) >= {"ExampleGen", "SchemaGen", "Transform", "Trainer", "Evaluator", "Pusher"}
    edges = {tuple(edge) for edge in content["lineage"]["edges"]}
    assert {("Transform", "Trainer"), ("Trainer", "Evaluator"), ("ServingCheck", "Pusher")} <= edges
    assert any(line.startswith("code ") for line in boxes["Trainer"]["lines"])
    assert "reviewed" in boxes["SchemaGen"]["lines"]


def test_the_page_is_quiet_quick_small_and_alone(page: Page, reported: runs.StoredRun) -> None:
    load = page.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
    size = reported.report.stat().st_size
    print(f"{size / 1e6:.2f} MB, loaded in {load} ms")
    assert page.problems == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
    assert load < 2000 and size < 5e6


def test_hostile_values_are_shown_and_not_obeyed(page: Page) -> None:
    assert page.evaluate("document.title").startswith("small: run")
    assert page.evaluate("document.querySelectorAll('script, img, iframe, object').length") == 0
    text = page.evaluate("document.body.textContent")
    assert HOSTILE[0] in text and HOSTILE[5] in text and "\\u202egnp.exe" in text
    assert "x" * 1000 not in text


def test_charts_say_what_they_show_to_those_who_do_not_see(page: Page) -> None:
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    names = [
        node.get("name", {}).get("value", "")
        for node in nodes
        if node.get("role", {}).get("value") in ("image", "img") and not node.get("ignored")
    ]
    drawn = page.evaluate("document.querySelectorAll('svg').length")
    assert len(names) == drawn > 15 and all(names)
    assert {"ROC curve", "Calibration", "loss by epoch", "Lineage of the model"} <= set(names)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_section_fits_and_reads_in_both_themes(
    page: Page, theme: str, width: str, tmp_path: Path
) -> None:
    page.look(theme, WIDTHS[width])
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]
    ink, paper = page.evaluate(
        "['color', 'backgroundColor'].map(n => getComputedStyle(document.querySelector('body'))[n])"
        ".map(c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))"
    )
    assert (ink < 150 and paper > 600) if theme == "light" else (ink > 600 and paper < 150)
    for section in SECTIONS:
        shot = tmp_path / f"{section}.png"
        page.screenshot(shot, f"#{section}")
        assert shot.stat().st_size > 2000
    assert page.problems == []


def test_steps_that_take_hours_fit_on_a_phone(tmp_path: Path) -> None:
    timing = tuple(
        StepTime(name, "executed", seconds)
        for name, seconds in (("ExampleValidator", 7e5), ("Trainer", 130.0))
    )
    file = tmp_path / "long.html"
    report = Report(Header("", "", "", 7e5), Decision("good", ""), timing=timing)
    file.write_text(rendering.render(report))
    with visit(program("chromium", "chromium"), file.as_uri()) as opened:
        opened.look("light", WIDTHS["phone"])
        assert opened.evaluate("document.documentElement.scrollWidth") <= WIDTHS["phone"]


def test_a_failed_run_has_a_report_with_the_step_and_the_end_of_its_log(project: Project) -> None:
    data = project.root / "data" / "failing"
    shutil.copytree(project.root / "data" / "small", data)
    table = data / "data.csv"
    # The reviewed schema has a list of payment types, which at most 1 % of the rows may leave.
    table.write_text(table.read_text().replace("Cash", "<b>Barter</b>"))
    text = (project.root / "datasets" / "small.toml").read_text()
    text = text.replace('name = "small"', 'name = "failing"').replace("../data/small", "../data/failing")
    (project.root / "datasets" / "failing.toml").write_text(text)
    failed = project.run("failing")
    assert failed.status == 1
    content = json.loads(Path(failed.summary["report"]).with_suffix(".json").read_text())
    assert content["decision"]["tone"] == "bad"
    assert any("DataGate" in sentence for sentence in content["decision"]["sentences"])
    assert any("DataGateError" in line for line in content["run"]["log_tail"])
    assert any(anomaly["feature"] == "payment_type" for anomaly in content["anomalies"])
    assert content["missing"]["training"] == "Trainer did not run in this run."
    page = Path(failed.summary["report"]).read_text()
    assert "&lt;b&gt;Barter&lt;/b&gt;" in page and "<b>Barter" not in page


def test_two_runs_have_a_page_side_by_side(reported: runs.StoredRun, project: Project) -> None:
    """The other may be of another pipeline, and may have failed, as the test above leaves one."""
    found = runs.find_runs(project.root / "runs")
    other = [run for run in found if run.id != reported.id and run.report.is_file()][-1]
    assert runs.main(["--workdir", str(project.root / "runs"), "compare", other.id, reported.id]) == 0
    page = other.root / "reports" / f"compare-{other.id}-{reported.id}.html"
    with visit(program("chromium", "chromium"), page.as_uri()) as opened:
        assert opened.problems == []
        assert opened.evaluate("document.title") == f"{other.id} and {reported.id}"
