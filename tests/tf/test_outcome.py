"""What a run is told of its artifacts: from the Evaluator's verdict, and a sentence where there is none."""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import pytest

from components.evaluator.verdict import Gate, SliceMetrics, Verdict, fill_gate, write_verdict
from components.example_gen.behaviour_log.counts import COUNTS, EXCLUDED, ITEM_COUNTS, UNIDENTIFIED, UNLISTED
from components.run_report.component import dropped_rows
from pipeline import config
from pipeline.nodes import NODES
from pipeline.running.failure import remove_abandoned
from pipeline.runs import metadata, outcome
from pipeline.runs.metadata import NodeExecution
from pipeline.runs.report import gather
from pipeline.runs.run import Run
from pipeline.workspace import workspace_of

BEGUN = Run("succeeded", "taxi", "laptop", started="2026-01-01T08:00:00+00:00", run_id="20260101-080000-000")


@pytest.fixture
def evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only artifact of a run that ended after the Evaluator."""
    made = tmp_path / "evaluation"
    made.mkdir()
    executions = {"Evaluator": NodeExecution("cached", 2.0, {"evaluation": SimpleNamespace(uri=str(made))})}
    monkeypatch.setattr(metadata, "latest_run", lambda workspace: 1)
    monkeypatch.setattr(metadata, "open_store", lambda workspace: None)
    monkeypatch.setattr(metadata, "read_run", lambda store, run: executions)
    monkeypatch.setattr(outcome, "blessed", lambda executions, selected: False)
    return made


def test_a_run_says_what_the_verdict_says(evaluation: Path, tmp_path: Path) -> None:
    gate = fill_gate(Gate("auc", ("day",), 0.8), {(("day", "1"),): 0.7}, [(("day", "1"),)])
    slices = (SliceMetrics((), {"recall": 0.5, "auc": 0.9}), SliceMetrics((("day", "1"),), {"auc": 0.7}))
    write_verdict(Verdict(False, "auc", slices, (gate,), tuple(gate.refusals())), evaluation)
    workspace = workspace_of(str(tmp_path), "taxi")
    run = outcome.describe(BEGUN, workspace, frozenset(NODES), earlier=0)
    assert run.result == ("auc", 0.9) and run.metrics["recall"] == 0.5
    assert run.slice_metrics == {"day=1": {"auc": 0.7}}
    assert run.refusals == ("auc on day = 1: 0.7000, the gate asks for at least 0.8",)
    report = gather(run, config.load("taxi", "laptop"), workspace)
    assert report.evaluation is not None and len(report.evaluation.slices) == 2
    assert report.decision.sentences[0] == run.refusals[0]
    assert report.decision.figures[0].value == "0.9000"


def test_an_evaluation_of_an_earlier_version_costs_a_sentence_and_not_the_run(
    evaluation: Path, tmp_path: Path
) -> None:
    workspace = workspace_of(str(tmp_path), "taxi")
    run = outcome.describe(BEGUN, workspace, frozenset(NODES), earlier=0)
    (note,) = run.notes
    assert "has no verdict.json" in note and note.endswith("run again with --no-cache.")
    assert run.metrics == {} and run.status == "succeeded"
    report = gather(run, config.load("taxi", "laptop"), workspace)
    assert report.evaluation is None and report.missing["evaluation"] == note


@pytest.mark.parametrize(
    ("judged", "selected", "expected"),
    [
        ({"Evaluator": 1}, {"Trainer", "Evaluator"}, True),
        ({"Evaluator": 0}, {"Trainer", "Evaluator"}, False),
        ({"Evaluator": 1, "ServingCheck": 0}, {"Evaluator", "ServingCheck"}, False),
        ({"Evaluator": 1}, {"Evaluator", "ServingCheck"}, False),
        ({}, {"Trainer"}, False),
    ],
)
def test_a_run_to_the_evaluator_says_what_the_evaluator_says(
    judged: dict[str, int], selected: set[str], expected: bool
) -> None:
    executions = {
        node: NodeExecution(
            "executed", 1.0,
            {"blessing": SimpleNamespace(custom_properties={"blessed": SimpleNamespace(int_value=value)})},
        )
        for node, value in judged.items()
    }  # fmt: skip
    assert outcome.blessed(executions, frozenset(selected)) is expected


def test_a_cluster_s_report_says_which_rows_of_a_log_were_no_events(tmp_path: Path) -> None:
    assert dropped_rows(tmp_path) == ()
    (tmp_path / COUNTS).write_text(json.dumps({"rows": 90, UNIDENTIFIED: 3, EXCLUDED: 2}))
    (tmp_path / ITEM_COUNTS).write_text(json.dumps({UNLISTED: 4}))
    assert dropped_rows(tmp_path) == (
        "5 of 90 rows of the log are no events: 3 without user, item or time, 2 of excluded items",
        "4 items of the log that the item table lacks: they have no features",
    )


def test_a_pipeline_that_something_keeps_from_running_leaves_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        try:
            with beam.Pipeline() as pipeline:
                assert list(tmp_path.iterdir()) == [Path(pipeline.local_tempdir)]
                raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("TFX says so of a step") from interrupt
    except RuntimeError as error:
        remove_abandoned(error)
    assert not list(tmp_path.iterdir())
