"""The pipeline from Python: the same sentences, and runs, tables and pages as objects; without TensorFlow."""

import dataclasses
import io
import logging
import os
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foundation import registry
from foundation.sections import ConfigurationError, UserError
from pipeline.running import edits, local
from pipeline.running.console import open_console, quiet
from pipeline.runs.run import Run
from pipeline.session import RunError, Session, load
from pipeline.session.page import Page
from trainer_module.features import by_kind, read_features
from trainer_module.models import Model, read_model

from .records import make_record

OWN = """
from dataclasses import dataclass
from trainer_module.models import Model

@dataclass(frozen=True)
class {name}(Model):
    units: int = {units}

    def build(self, inputs, outputs):
        raise NotImplementedError
"""


@pytest.fixture
def taxi(tmp_path: Path) -> Session:
    """With three runs on record: two that pushed a model, and one that failed."""
    session = load("taxi", workdir=str(tmp_path / "runs"))
    session.workspace.runs.mkdir(parents=True)
    for began, changes in (
        (1e9, {}),
        (2e9, {"metrics": {"auc": 0.95, "example_count": 100.0}}),
        (3e9, {"status": "failed", "error": "Trainer: no.", "metrics": {}, "slice_metrics": {}}),
    ):
        make_record(began, **changes).write(session.workspace)
    return session


def test_settings_are_laid_over_each_other_and_the_session_before_stays(tmp_path: Path) -> None:
    first = load("taxi", workdir=str(tmp_path), settings=["training.epochs=3"])
    second = first.with_settings("training.epochs=4", "training.seed=5")
    assert [each.config.settings.training.epochs for each in (first, second)] == [3, 4]
    assert second.with_profile("workstation").config.settings.training.seed == 5
    assert second.workspace == first.workspace


def test_a_session_means_the_same_files_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Path(load("taxi").config.dataset_file)
    (tmp_path / "own.toml").write_text(source.read_text().replace('schema = "taxi.schema.pbtxt"', ""))
    monkeypatch.chdir(tmp_path)
    session = load(Path("own.toml"), workdir=Path("here"))
    monkeypatch.chdir("/")
    again = session.with_settings("training.epochs=3")
    assert again.config.dataset_file == tmp_path / "own.toml"
    assert again.workspace.root == tmp_path / "here" / "taxi"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda taxi: load("nowhere"), "There is no dataset 'nowhere'"),
        (lambda taxi: taxi.with_profile("nowhere"), "There is no profile 'nowhere'"),
        (lambda taxi: taxi.with_settings("training.epochs=0"), "epochs is 0"),
        (lambda taxi: taxi.run(from_node="Trainr"), "there is no such node"),
        (lambda taxi: taxi.run(from_node="Trainer"), "needs the outputs of an earlier run"),
        (lambda taxi: taxi.plan(to_node="Trainr"), "there is no such node"),
        (lambda taxi: taxi.compile("pipeline.yaml"), "has no [kubeflow] section"),
        (lambda taxi: taxi.result("latest~9"), "There is no run latest~9"),
        (lambda taxi: taxi.compare("latest", "latest"), "give two runs"),
        (lambda taxi: taxi.result().report, "has no report"),
        (lambda taxi: taxi.result().rows(), "has no Transform.transformed_examples"),
        (lambda taxi: taxi.result().data, "has no statistics"),
    ],
)
def test_what_is_wrong_is_said_in_the_sentence_of_the_command_line(
    taxi: Session, wrong: object, sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        wrong(taxi)  # type: ignore[operator]
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
    # Of a cell IPython shows this, and no traceback.
    assert raised.value._render_traceback_() == [f"{type(raised.value).__name__}: {raised.value}"]


def test_a_run_that_failed_raises_its_sentence_and_can_be_looked_at(
    taxi: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def fail(config: object, workspace: object, request: object) -> Run:
        seen.append(request.command)  # type: ignore[attr-defined]
        return make_record(4e9, status="failed", error="Trainer: the loss is not a number.")

    monkeypatch.setattr(local, "run", fail)
    secret = taxi.with_settings("notify.webhook='https://example.com/secret'")
    with pytest.raises(RunError, match="the loss is not a number") as raised:
        secret.run(to_node="Trainer")
    assert isinstance(raised.value, UserError) and raised.value.result.run.status == "failed"
    # What the report shows for running it again, without a webhook's password.
    assert "to_node='Trainer'" in seen[0] and "secret" not in seen[0] and "cache" not in seen[0]


def test_a_run_outside_of_the_main_thread_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """It began, and then could not take the signals that stop it: its record said "running" for ever."""
    session = load("taxi", workdir=tmp_path)
    with ThreadPoolExecutor(1) as threads, pytest.raises(ConfigurationError, match="main thread"):
        threads.submit(session.run).result()
    assert not list(tmp_path.iterdir())


def test_metrics_and_runs_are_tables_of_numbers(taxi: Session) -> None:
    metrics = taxi.result("latest~1").metrics
    assert metrics.loc["whole eval split", "auc"] == 0.95 and metrics.dtypes.unique().tolist() == ["float64"]
    assert metrics.shape == (2, 2) and metrics.iloc[1].isna().sum() == 1
    assert taxi.result().metrics.empty
    frame = taxi.runs.frame
    assert frame["status"].tolist() == ["succeeded", "succeeded", "failed"]
    assert frame["auc"].tolist()[:2] == [0.94, 0.95] and "<table" in taxi.runs._repr_html_()
    assert len(load("taxi", workdir=str(taxi.workspace.root / "nothing")).runs.frame) == 0


def test_two_runs_are_compared_as_a_table_and_as_a_page(taxi: Session) -> None:
    compared = taxi.compare(taxi.runs[0], "latest~1")
    (row,) = compared.frame.query("value == 'auc'").to_dict("records")
    assert row["change"].startswith("+0.01") and "iframe" in compared._repr_html_()
    assert compared.page.file and compared.page.file.is_file()


def test_a_page_reaches_nothing_of_the_notebook_and_a_cell_shows_what_a_value_holds(taxi: Session) -> None:
    shown = Page('<p title="a">&amp;</p>')._repr_html_()
    assert "sandbox" in shown and "&lt;p title=&#34;a&#34;&gt;&amp;amp;" in shown
    hostile = dataclasses.replace(taxi.result().run, error="<script>alert(1)</script>")
    assert "<script>" not in taxi._result(hostile)._repr_html_()


def test_a_model_written_in_a_cell_is_the_one_of_its_last_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python imports a file once, and takes a compiled one of the same second and size for it."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "cells").mkdir()
    file = tmp_path / "cells" / "written.py"
    for name, units in (("First", 16), ("First", 32), ("Other", 64)):
        file.write_text(OWN.format(name=name, units=units))
        model = read_model({"kind": "cells.written"}, "[model]")
        assert (type(model).__name__, model.units) == (name, units)  # type: ignore[attr-defined]
    # What has not changed stays the same class.
    again = registry.load("trainer_module.models", "cells.written", Model, "")  # type: ignore[type-abstract]
    assert type(model) is again


def test_a_run_of_code_that_was_edited_after_its_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache would take the old code's outputs for those of the new."""
    file = tmp_path / "edited.py"
    file.write_text("A = 1")
    module = types.ModuleType("pipeline.edited")
    module.__file__ = str(file)
    monkeypatch.setattr(edits, "ROOT", tmp_path)
    monkeypatch.setattr(edits, "_imported", {})
    monkeypatch.setitem(sys.modules, "pipeline.edited", module)
    edits.remember()
    edits.check()
    file.write_text("A = 22")
    with pytest.raises(edits.EditedError, match=r"edited\.py changed after this process had imported it"):
        edits.check()
    # While a run imported it: before or after, nobody knows.
    edits._imported.clear()
    with edits.unedited():
        file.write_text("A = 333")
        os.utime(file, ns=(time.time_ns(), time.time_ns()))
    with pytest.raises(edits.EditedError):
        edits.check()


def test_in_a_notebook_people_see_lines_and_libraries_write_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cell(io.StringIO):
        def isatty(self) -> bool:
            return True

    cell = Cell()
    monkeypatch.setattr(sys, "stdout", cell)
    monkeypatch.setattr(sys, "stderr", cell)
    logger = logging.getLogger("a library")
    logger.addHandler(logging.StreamHandler(cell))
    log = tmp_path / "run.log"
    with quiet(log) as stream:
        print("from Python", file=sys.stderr)
        os.write(2, b"from C\n")
        logger.warning("from a logger")
        console = open_console(stream)
        with console.status("a spinner"):
            console.print("for people")
    logger.warning("afterwards")
    assert cell.getvalue() == "for people\nafterwards\n"
    assert log.read_text().splitlines() == ["from Python", "from C", "from a logger"]


def test_columns_are_in_one_order_whatever_the_order_of_the_dataset_file() -> None:
    """Transform, which TFX tells sorted, and a model in a cell or `python -m trainer_module` had different ones."""
    features = {name: {"kind": "categorical", "size": 3} for name in ("b", "a", "c")}
    (ordered,) = by_kind(read_features(features, "[features]")).values()
    assert [feature.name for feature in ordered] == ["a", "b", "c"]


def test_a_handler_that_follows_standard_error_by_itself_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`logging.lastResort`, which libraries take for their own, has a stream that cannot be set."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(logging.root, "handlers", [logging.lastResort])
    with quiet(tmp_path / "run.log"):
        logging.warning("to the log")
    assert "to the log" in (tmp_path / "run.log").read_text()
