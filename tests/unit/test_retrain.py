"""What a scheduler's command decides, and what it tells the scheduler; nothing is trained here."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import local_runner
from foundation.lock import locked
from pipeline import config, retrain
from pipeline.config import ROOT
from pipeline.running import inputs
from pipeline.runs.run import NodeRun, Run, read_runs
from pipeline.workspace import Workspace, workspace_of
from tests.listener import SECRET

from .records import make_record

DATASET = """
name = "shop"
[source]
format = "csv"
path = "data"
[label]
task = "binary"
column = "paid"
[features]
price = { kind = "numeric" }
[training]
global_batch_size = 8
[gates.auc]
min = 0.5
"""


class Shop:
    """A dataset and a workspace, and the command on them in this process."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.table = root / "data" / "day.csv"
        self.table.parent.mkdir()
        self.table.write_text("price,paid\n1,0\n2,1\n")
        self.dataset = root / "shop.toml"
        self.dataset.write_text(DATASET)
        self.workdir = root / "runs"
        self.workspace: Workspace = workspace_of(str(self.workdir), "shop")
        self._capsys = capsys

    def arguments(self, *more: str) -> list[str]:
        return ["--dataset", str(self.dataset), "--workdir", str(self.workdir), *more]

    def retrain(self, *more: str) -> tuple[int, str, str]:
        status = retrain.main(self.arguments(*more))
        return (status, *self._capsys.readouterr())

    def would(self, *more: str) -> str:
        status, output, _ = self.retrain("--dry-run", *more)
        assert status == 0
        return output

    def remember(self, began: float = 1000.0, **changes: Any) -> None:
        """Leaves the record of a run that used everything as it is now."""
        loaded = config.load(str(self.dataset), "laptop")
        now = inputs.read_inputs(loaded, inputs.read_data(loaded, self.workspace, self.table.parent))
        make_record(began, **{"inputs": now, "dataset": "shop", **changes}).write(self.workspace)


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shop:
    return Shop(tmp_path, capsys)


def test_the_first_run_is_due(shop: Shop) -> None:
    assert "Would train: no run has succeeded yet." in shop.would()
    assert not shop.workdir.exists()


def test_where_nothing_changed_there_is_nothing_to_do(shop: Shop) -> None:
    shop.remember()
    assert shop.would().startswith(
        "Nothing to do for shop: data, code and configuration are as in run run-1000"
    )
    assert shop.retrain()[0] == 0
    # A comment is no change of the configuration, and who is told of a run is none either.
    shop.dataset.write_text("# reviewed\n" + DATASET)
    assert "Nothing to do" in shop.would("--set", "notify.pushgateway=http://a")


def more_rows(shop: Shop) -> None:
    with shop.table.open("a") as table:
        table.write("3,1\n")


def another_file(shop: Shop) -> None:
    shutil.copy(shop.table, shop.table.with_name("next_day.csv"))


def another_gate(shop: Shop) -> None:
    shop.dataset.write_text(DATASET.replace("0.5", "0.6"))


def another_kind(shop: Shop) -> None:
    shop.dataset.write_text(DATASET.replace('"numeric"', '"bucketized"'))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (more_rows, "the data changed since run run-1000"),
        (another_file, "the data changed"),
        (another_gate, "the configuration changed"),
        (another_kind, "the configuration changed"),
        (lambda shop: (another_file(shop), another_gate(shop)), "the data and the configuration changed"),
    ],
)
def test_a_change_of_data_or_configuration_is_noticed(
    shop: Shop, change: Callable[[Shop], object], expected: str
) -> None:
    shop.remember()
    change(shop)
    assert f"Would train: {expected}" in shop.would()


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed"},
        {"status": "killed"},
        {"inputs": {}},  # A part of the graph.
        {"inputs": {"data": "other", "code": "other", "configuration": "other"}},
    ],
)
def test_only_a_whole_run_that_succeeded_on_the_same_counts(shop: Shop, changes: dict[str, Any]) -> None:
    shop.remember(**changes)
    assert "Would train" in shop.would()


def test_a_failed_run_between_does_not_hide_the_success_before_it(shop: Shop) -> None:
    shop.remember()
    shop.remember(2000.0, status="failed", inputs={"data": "other"})
    assert "Nothing to do" in shop.would()


def test_a_record_that_cannot_be_read_is_no_record(shop: Shop) -> None:
    shop.remember()
    (shop.workspace.runs / "run-9999.json").write_text('{"status": "succ')
    assert "Nothing to do" in shop.would()


def test_code_that_decides_is_noticed_and_other_code_is_not(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "code"
    for package in ("pipeline", "components", "trainer_module", "foundation"):
        shutil.copytree(ROOT / package, copied / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(inputs, "ROOT", copied)
    shop.remember()
    for name in ("pipeline/retrain.py", "pipeline/notify/channels/webhook.py", "trainer_module/__main__.py",
                 "components/example_gen/sources/parquet.py"):  # fmt: skip
        with (copied / name).open("a") as file:
            file.write("# edited\n")
    assert "Nothing to do" in shop.would()
    for name in ("pipeline/graph.py", "components/pusher/component.py", "trainer_module/preprocessing.py",
                 "trainer_module/models/perceptron.py", "trainer_module/tasks/binary.py",
                 "components/example_gen/sources/csv.py", "components/example_gen/text_columns.py"):  # fmt: skip
        before = (copied / name).read_text()
        (copied / name).write_text(before + "# edited\n")
        assert "Would train: the code changed" in shop.would(), name
        (copied / name).write_text(before)


def test_nothing_to_do_is_said_without_loading_anything_heavy(shop: Shop) -> None:
    shop.remember()
    code = (
        "import sys\nfrom pipeline import retrain\nstatus = retrain.main(sys.argv[1:])\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'numpy', 'ml_metadata', 'prometheus_client'}\n"
        "sys.exit(status or ', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *shop.arguments()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stdout


# --- Two at once, and killed runs -----------------------------------------------------------------


def hold_the_lock(shop: Shop, seconds: float) -> subprocess.Popen[str]:
    """A process that holds the workspace for a while."""
    shop.workspace.root.mkdir(parents=True, exist_ok=True)
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from foundation.lock import locked\nfrom pipeline.workspace import Workspace\n"
        "with locked(Workspace(Path(sys.argv[1]), 'shop').lock, 0):\n"
        "    print('held', flush=True)\n    time.sleep(float(sys.argv[2]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(shop.workspace.root), str(seconds)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_one_is_told_to_try_later_at_once(shop: Shop) -> None:
    with hold_the_lock(shop, 60) as holder:
        status, _, error = shop.retrain()
        assert status == retrain.TRY_LATER == 75
        assert "Another run is using" in error and error.count("\n") == 1
        holder.kill()


def test_a_second_one_waits_if_asked_to(shop: Shop) -> None:
    shop.remember()
    with hold_the_lock(shop, 60) as holder:
        assert shop.retrain("--wait", "0.2")[0] == retrain.TRY_LATER
        holder.kill()
    with hold_the_lock(shop, 1.5):
        began = time.monotonic()
        status, output, _ = shop.retrain("--wait", "60")
        assert status == 0 and "Nothing to do" in output
        assert time.monotonic() - began > 1


def test_the_lock_of_a_killed_run_is_free(shop: Shop) -> None:
    shop.remember()
    with hold_the_lock(shop, 60) as holder:
        os.kill(holder.pid, signal.SIGKILL)
    assert shop.retrain()[0] == 0


def test_a_run_that_began_and_never_ended_is_recorded_as_killed_and_told_of(
    shop: Shop, tmp_path: Path
) -> None:
    shop.remember()
    shop.remember(2000.0, status="running")
    (shop.workspace.runs / "run-2000.unfinished").write_text("{")
    shop.workspace.reports.mkdir()
    (shop.workspace.reports / ".run-2000.html.unfinished").write_text("<html>")
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    status, _, error = shop.retrain("--set", f"notify.textfile_directory={textfiles}")
    assert status == 0 and "run run-2000 was killed before it ended" in error
    record = json.loads((shop.workspace.runs / "run-2000.json").read_text())
    assert record["status"] == "killed" and "it was killed, or the machine went down" in record["error"]
    assert sorted(path.name for path in shop.workspace.runs.iterdir()) == ["run-1000.json", "run-2000.json"]
    assert not list(shop.workspace.reports.iterdir())
    written = (textfiles / "tfx_pipeline_shop.prom").read_text()
    assert 'tfx_pipeline_runs_total{pipeline="shop",status="killed"} 1.0' in written


def test_a_run_that_is_going_on_is_not_mistaken_for_a_killed_one(shop: Shop) -> None:
    shop.remember(2000.0, status="running")
    with hold_the_lock(shop, 60) as holder:
        assert shop.retrain()[0] == retrain.TRY_LATER
        holder.kill()
    assert json.loads((shop.workspace.runs / "run-2000.json").read_text())["status"] == "running"


def test_the_lock_is_for_one_process_at_a_time(shop: Shop) -> None:
    shop.workspace.root.mkdir(parents=True)
    with locked(shop.workspace.lock, 0), pytest.raises(retrain.LockedError), locked(shop.workspace.lock, 0):
        pass
    with locked(shop.workspace.lock, 0):
        pass


# --- Exit statuses --------------------------------------------------------------------------------


def failed(node: str, **changes: Any) -> dict[str, Any]:
    return {"status": "failed", "nodes": (NodeRun(node, "failed", 1.0),), **changes}


@pytest.mark.parametrize(
    ("run", "status"),
    [
        ({"status": "succeeded", "blessed": True}, 0),
        ({"status": "succeeded", "blessed": False}, 3),
        (failed("DataGate"), 65),
        (failed("Trainer"), 1),
        (failed("Trainer", interrupted=True, stop_signal=signal.SIGINT), 75),
        (failed("Trainer", interrupted=True, stop_signal=signal.SIGTERM), 143),
        ({"status": "failed"}, 1),
    ],
)
def test_the_exit_status_says_what_a_scheduler_can_act_on(run: dict[str, Any], status: int) -> None:
    assert retrain.exit_status(Run(dataset="shop", profile="laptop", wall_seconds=1.0, **run)) == status


def test_the_help_names_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        retrain.main(["--help"])
    shown = capsys.readouterr().out
    for status in (0, retrain.STEP_FAILED, retrain.MISCONFIGURED, retrain.NOT_BLESSED, retrain.DATA_REFUSED,
                   retrain.TRY_LATER, retrain.PREEMPTED):  # fmt: skip
        assert f"\n  {status:<4}" in shown


def test_data_that_is_not_there_is_one_sentence_and_people_hear_of_it(shop: Shop) -> None:
    shop.table.unlink()
    status, _, error = shop.retrain("--set", "notify.webhook=http://127.0.0.1:9", "--set", "notify.retries=0")
    assert status == 65
    second, first = error.splitlines()
    assert "has no file that matches" in first
    assert second.startswith("warning: the webhook at http://127.0.0.1:9 was not told of 'failed'")
    (run,) = read_runs(shop.workspace)
    assert run.status == "failed" and run.error == first


def test_data_that_a_scheduled_local_runner_finds_missing_is_in_the_history_and_people_hear_of_it(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--set", "notify.webhook=http://127.0.0.1:9", "--set", "notify.retries=0"]
    shop.table.unlink()
    assert local_runner.main(shop.arguments(*told)) == 2
    assert not shop.workdir.exists(), "a person who mistyped a path leaves nothing behind"
    make_record(1.0).write(shop.workspace)
    capsys.readouterr()
    assert local_runner.main(shop.arguments(*told)) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: the webhook at http://127.0.0.1:9 was not told of 'failed'")
    assert [run.error for run in read_runs(shop.workspace)] == [None, error] and "no file" in error
    # Of a part of the graph it is an experiment.
    assert local_runner.main(shop.arguments(*told, "--to", "ExampleGen")) == 2
    assert "warning" not in capsys.readouterr().err
    with locked(shop.workspace.lock):
        assert local_runner.main(shop.arguments(*told)) == 2
    assert len(read_runs(shop.workspace)) == 3, "while another run is going on, the history is that run's"


@pytest.mark.parametrize("given", ["override", "variable"])
def test_no_file_of_a_run_holds_the_secret_of_a_webhook(
    shop: Shop, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:1/{SECRET}"
    monkeypatch.setenv("HOOK", url)
    override = f'notify.webhook = "{url}"' if given == "override" else "notify.webhook_variable=HOOK"
    shop.table.write_bytes("price,paid\n1,0\n".encode("utf-16"))
    status, _, error = shop.retrain("--set", override, "--set", "notify.retries=0")
    assert status == 65 and "was not told of" in error
    files = [path for path in shop.workdir.rglob("*") if path.is_file()]
    assert any(path.suffix == ".json" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in error
