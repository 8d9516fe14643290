"""The command that lists, shows and compares runs: from files alone, at once."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.data_gate.distance import PREVIOUS, Distance
from pipeline.config import ROOT
from pipeline.runs import __main__ as runs
from pipeline.runs.comparison import compare
from pipeline.runs.run import NodeRun, Run, SpansRead, TrainingSetup, read_run, read_runs, settle_killed
from pipeline.workspace import workspace_of

from .records import make_record

IDS = ("20260101-080000-000", "20260102-080000-000", "20260102-090000-000")


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """Three runs of two pipelines: good, worse, failed; and files that are no summaries."""

    def leave(pipeline: str, run_id: str, **changes: Any) -> None:
        made = Run(
            **{
                "status": "succeeded",
                "dataset": pipeline,
                "profile": "laptop",
                "wall_seconds": 56.7,
                "nodes": (NodeRun("Trainer", "executed", 9.0),),
                "metrics": {"auc": 0.94, "recall": 0.9},
                "blessed": True,
                "distribution": TrainingSetup("mirrored"),
                "run_id": run_id,
                "code": "0123456789abcdef",
                "command": "python local_runner.py --set model.hidden_units=[64]",
                **changes,
            }
        )
        made.write(workspace_of(str(tmp_path), pipeline))

    leave("taxi", IDS[0])
    leave("taxi", IDS[1], metrics={"auc": 0.93}, blessed=False, nodes=(NodeRun("Trainer", "cached", 0.0),))
    leave("shop", IDS[2], status="failed", metrics={}, error="DataGate: [red]no[/red] <b>")
    (tmp_path / "taxi" / "runs" / "broken.json").write_text("{")
    (tmp_path / "taxi" / "runs" / "other.json").write_text("[]")
    return tmp_path


def ask(workdir: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert runs.main(["--workdir", str(workdir), *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_has_a_line_for_every_run(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ask(workdir, capsys).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == list(IDS)
    assert lines[1].split()[1:] == [
        "taxi", "01234567", "mirrored", "auc", "0.9400", "yes", "succeeded", "56.7", "s"
    ]  # fmt: skip
    assert "no" in lines[2].split() and "failed" in lines[3].split()
    assert IDS[2] not in ask(workdir, capsys, "--dataset", "taxi", "list")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("latest", IDS[2]), ("latest~2", IDS[0]), (IDS[1], IDS[1]), ("20260101", IDS[0])],
)
def test_a_run_is_named_by_id_beginning_or_age(workdir: Path, name: str, expected: str) -> None:
    assert runs.choose(runs.find_runs(workdir), name).id == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["show", "2026010"], "is the beginning of 3 runs"),
        (["show", "nowhere"], "There is no run 'nowhere'"),
        (["show", ""], "There is no run ''"),
        (["show", "latest~3"], "there are 3"),
        (["compare", "latest", "latest~0"], "give two runs"),
        (["--dataset", "none", "show", "latest"], "There are no runs yet"),
    ],
)
def test_a_wrong_run_is_one_sentence_and_status_2(
    workdir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert runs.main(["--workdir", str(workdir), *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_one_run_is_shown_with_its_error_and_command(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ask(workdir, capsys, "show", "latest")
    assert "DataGate: [red]no[/red] <b>" in shown and "model.hidden_units=[64]" in shown


def test_two_runs_are_compared_in_a_table_and_a_page(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ask(workdir, capsys, "compare", IDS[0], IDS[1])
    (auc,) = [line.split() for line in shown.splitlines() if line.startswith("auc ")]
    assert auc == ["auc", "0.9400", "0.9300", "-0.01"]
    assert "cached" in shown
    page = Path(shown.splitlines()[-1].removeprefix("side by side").strip())
    text = page.read_text()
    assert page.parent == workdir / "taxi" / "reports"
    assert IDS[0] in text and IDS[1] in text and "This run left no report." in text
    # Between pipelines too, and with texts that are markup elsewhere.
    shown = ask(workdir, capsys, "compare", IDS[0], IDS[2])
    assert "[red]no[/red]" in shown
    text = Path(shown.splitlines()[-1].removeprefix("side by side").strip()).read_text()
    assert "&lt;b&gt;" in text and "<b>" not in text


@pytest.mark.parametrize(
    ("more_is_better", "change"), [(True, "-0.01 (worse)"), (False, "-0.01 (better)"), (None, "-0.01")]
)
def test_a_change_of_the_main_metric_is_better_or_worse_as_the_runs_say(
    more_is_better: bool | None, change: str
) -> None:
    runs = [
        Run(
            "succeeded", metrics={"auc": auc, "recall": auc}, main_metric="auc", more_is_better=more_is_better
        )
        for auc in (0.94, 0.93)
    ]
    rows = {row.name: row.change for row in compare(*runs)["Evaluation"]}
    assert rows == {"blessed": "", "auc": change, "recall": "-0.01"}


@pytest.mark.parametrize(("layout", "is_read"), [(1, True), (99, False)])
def test_a_report_that_an_earlier_version_left_is_drawn_and_another_layout_is_not(
    workdir: Path, capsys: pytest.CaptureFixture[str], layout: int, is_read: bool
) -> None:
    curves = {
        "roc": [[0, 0], [1, 1]], "precision_recall": [[1, 0.5]], "positive_share": 0.5, "threshold": 0.5,
        "calibration": [{"predicted": 0.1, "observed": 0.2, "rows": 9, "low": 0, "high": 1}],
        "confusion": dict.fromkeys(("true_positives", "false_positives", "true_negatives", "false_negatives"), 1),
    }  # fmt: skip
    report = {
        "format": layout,
        "run": {"id": "what no version reads any more"},
        "decision": {"tone": "good", "headline": "Blessed of old", "sentences": [], "figures": []},
        "training": {"facts": {}, "rates": {}, "curves": [{"name": "loss", "train": [2, 1], "eval": [2, 1]}]},
        "evaluation": {
            "main": "auc",
            "slices": [],
            "slice_count": 1,
            "gates": [],
            "curves": {"candidate": curves},
        },
    }
    for run_id in IDS[:2]:
        path = workdir / "taxi" / "reports" / f"{run_id}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(report))
    shown = ask(workdir, capsys, "compare", IDS[0], IDS[1])
    text = Path(shown.splitlines()[-1].removeprefix("side by side").strip()).read_text()
    for words in ("Blessed of old", 'aria-label="ROC curve"', "loss on the eval split by epoch"):
        assert (words in text) == is_read, words
    assert ("This run left no report." in text) != is_read


def test_the_list_comes_without_importing_anything_heavy(workdir: Path) -> None:
    code = (
        "import sys; from pipeline.runs import __main__ as runs\n"
        "runs.main(sys.argv[1:])\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'numpy', 'ml_metadata'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    for arguments in (["list"], ["compare", IDS[0], IDS[1]]):
        done = subprocess.run(
            [sys.executable, "-c", code, "--workdir", str(workdir), *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_summaries_of_older_versions_are_listed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taxi" / "runs").mkdir(parents=True)
    (tmp_path / "taxi" / "runs" / f"{IDS[0]}.json").write_text(json.dumps({"status": "succeeded"}))
    assert IDS[0] in ask(tmp_path, capsys)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    workspace = workspace_of(str(tmp_path), "taxi")
    run = make_record(
        1000.0,
        refusals=("auc on day = 1: no",),
        drift=(Distance("fare", "js", 0.5, 0.1, PREVIOUS, "moved"),),
        notes=("cached",),
        distribution=TrainingSetup("mirrored", replicas=2),
        spans=SpansRead(("a", "b"), "b", ("b",), rows={"a": {"train": 3}, "b": {}}),
    )
    run.write(workspace)
    assert read_runs(workspace) == [dataclasses.replace(run, sequence=1)]
    assert workspace.summary.read_text() == (workspace.runs / "run-1000.json").read_text()


def test_runs_of_other_versions_are_read_without_what_this_one_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"status": "failed", "mood": "grim", "slice_metrics": None, "nodes": []}))
    assert read_run(path) == Run("failed")
    for text in ("{", "[]", "{}", '{"status": "failed", "nodes": [{}]}'):
        path.write_text(text)
        assert read_run(path) is None


def test_only_a_run_that_ended_as_such_is_the_summary(tmp_path: Path) -> None:
    workspace = workspace_of(str(tmp_path), "taxi")
    make_record(1000.0).write(workspace)
    before = workspace.summary.read_text()
    make_record(2000.0, status="running").write(workspace)
    (killed,) = settle_killed(workspace)
    assert (killed.run_id, killed.status) == (
        "run-2000",
        "killed",
    ) and workspace.summary.read_text() == before
    assert [run.status for run in read_runs(workspace)] == ["succeeded", "killed"]
