"""The Evaluator's document: the same after a file, readable without any library, and the words of its refusals."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.evaluator import verdict
from components.evaluator.verdict import (
    CalibrationBin,
    Confusion,
    Curves,
    Gate,
    SliceMetrics,
    Verdict,
    VerdictError,
    fill_gate,
    read_verdict,
    write_verdict,
)
from components.run_report import rendering
from components.run_report.decision import Outcome, decide, key_figures, main_result
from components.run_report.document import Header, Report
from pipeline.config import ROOT

MONDAY, TUESDAY = (("day", "1"),), (("day", "2"),)


def make_verdict() -> Verdict:
    drop = fill_gate(Gate("auc", (), minimum=-0.01, is_change=True), {(): -0.02}, [()])
    curves = Curves(
        roc=((0.0, 0.0), (1.0, 1.0)),
        precision_recall=((1.0, 0.5),),
        calibration=(CalibrationBin(0.1, 0.2, 10.0, 0.05, 0.4),),
        confusion=Confusion(1.0, 2.0, 3.0, 4.0),
        positive_share=0.5,
        threshold=0.5,
    )
    return Verdict(
        passed=False,
        main_metric="auc",
        slices=(
            SliceMetrics((), {"auc": 0.9, "example_count": 10.0}, {"auc": 0.92}, {"auc": (0.85, 0.94)}),
            SliceMetrics((("day", "1"), ("zone", "a,b=c")), {"auc": 1}),
        ),
        gates=(drop, Gate("auc", ("day",), minimum=0.5)),
        refusals=tuple(drop.refusals()),
        curves={"candidate": curves},
    )


def render(verdict: Verdict) -> str:
    """The report's page of nothing but an evaluation, each white space one space."""
    decision = decide(Outcome(), verdict, tuple(key_figures(verdict, None, None, None)))
    page = rendering.render(Report(Header("", "", ""), decision, evaluation=verdict))
    return re.sub(r"\s+", " ", page)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    written = make_verdict()
    write_verdict(written, tmp_path)
    assert read_verdict(tmp_path) == written
    document = json.loads((tmp_path / verdict.FILE).read_text())
    assert document["version"] == verdict.VERSION and "passed" not in document["gates"][1]


def test_an_evaluation_of_an_earlier_version_is_refused_with_the_way_on(tmp_path: Path) -> None:
    with pytest.raises(VerdictError, match=r"has no verdict\.json, .*: run again with --no-cache\.$"):
        read_verdict(tmp_path)
    (tmp_path / verdict.FILE).write_text(json.dumps({"version": 99, "passed": True}))
    with pytest.raises(VerdictError, match=r"layout 99 .*: run again with --no-cache\.$"):
        read_verdict(tmp_path)


def test_reading_needs_no_library() -> None:
    code = (
        "import sys, components.evaluator.verdict; "
        "print([m for m in ('tensorflow', 'tensorflow_model_analysis', 'tfx', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("gate", "value", "asked", "refusal"),
    [
        (Gate("auc", (), 0.8), 0.7, "at least 0.8", "0.7000, the gate asks for at least 0.8"),
        (Gate("auc", (), None, 0.5), 0.7, "at most 0.5", "0.7000, the gate asks for at most 0.5"),
        (
            Gate("auc", (), 0.8, 0.95),
            0.99,
            "at least 0.8 and at most 0.95",
            "0.9900, the gate asks for at least 0.8 and at most 0.95",
        ),
        (
            Gate("auc", (), -0.05, is_change=True),
            -0.1,
            "a drop of at most 0.05 against the live model",
            "changed by -0.1000 against the live model, the gate allows -0.05",
        ),
        (
            Gate("loss", (), None, 0.05, is_change=True),
            0.1,
            "a rise of at most 0.05 against the live model",
            "changed by +0.1000 against the live model, the gate allows +0.05",
        ),
        (Gate("auc", (), 0.8), None, "at least 0.8", "could not be computed"),
    ],
)
def test_a_refusal_says_what_was_found_and_what_was_asked(
    gate: Gate, value: float | None, asked: str, refusal: str
) -> None:
    judged = fill_gate(gate, {(): value}, [()])
    assert judged.passed is False and judged.asked == asked
    assert judged.refusals() == [f"{gate.metric} on the whole eval split: {refusal}"]


def test_a_gate_by_slice_names_the_worst_slice_and_refuses_each_that_fails() -> None:
    values = {MONDAY: 0.75, TUESDAY: 0.7, (("day", "3"),): 0.9}
    gate = fill_gate(Gate("auc", ("day",), 0.8), values, [MONDAY, TUESDAY])
    assert (gate.where, gate.slices, gate.value, gate.worst) == ("every day", 3, 0.7, TUESDAY)
    assert gate.refusals() == [
        "auc on day = 1: 0.7500, the gate asks for at least 0.8",
        "auc on day = 2: 0.7000, the gate asks for at least 0.8",
    ]
    highest = fill_gate(Gate("loss", ("day",), None, 1.0), values, [])
    assert (highest.passed, highest.value) == (True, 0.9)


def test_a_gate_on_a_column_without_slices_is_not_passed_and_says_so() -> None:
    gate = fill_gate(Gate("auc", ("day",), 0.8), {}, [])
    assert gate.passed is False
    assert gate.refusals() == ["auc on every day: the eval split has no such slice"]


def test_a_gate_against_the_live_model_is_open_where_there_is_none() -> None:
    gate = Gate("auc", (), -0.05, is_change=True)
    assert gate.passed is None and gate.refusals() == []


def test_a_report_shows_the_verdict_and_at_most_a_hundred_slices() -> None:
    page = render(make_verdict())
    assert page.count('<tr><th scope="row"><bdi>') == 2
    for text in ("<bdi>the whole eval split</bdi>", "<bdi>day = 1 and zone = a,b=c</bdi>"):
        assert text in page
    assert '<td data-name="rows" class="right more">10</td>' in page
    assert '<td data-name="live model" class="right more">0.9200</td>' in page
    assert (
        '<td data-name="found" class="right">-0.0200</td> <td data-name="passed"><span class="bad">✕ no'
        in page
    )
    many = Verdict(True, "auc", tuple(SliceMetrics((("day", str(day)),)) for day in range(300)))
    page = render(many)
    assert page.count('<tr><th scope="row"><bdi>') == 100 and "and 200 more slices." in page
    assert main_result(make_verdict()) == "auc 0.9000" and main_result(many) == ""


@pytest.mark.parametrize(
    ("more_is_better", "words"),
    [
        (True, ("which has 0.9200: worse", "-0.0200 (worse)")),
        (False, ("which has 0.9200: better", "-0.0200 (better)")),
    ],
)
def test_a_change_of_the_main_metric_is_better_or_worse_as_the_document_says(
    more_is_better: bool, words: tuple[str, ...]
) -> None:
    page = render(dataclasses.replace(make_verdict(), more_is_better=more_is_better))
    assert all(each in page for each in words)


def test_a_document_of_an_earlier_version_shows_a_change_without_judging_it(tmp_path: Path) -> None:
    write_verdict(make_verdict(), tmp_path)
    assert "more_is_better" not in (tmp_path / verdict.FILE).read_text(), "as earlier versions wrote it"
    page = render(read_verdict(tmp_path))
    assert "which has 0.9200<" in page and "better" not in page and "worse" not in page


def test_slices_are_named_as_summaries_name_them() -> None:
    assert make_verdict().metrics_by_slice == {"day=1,zone=a,b=c": {"auc": 1}}
