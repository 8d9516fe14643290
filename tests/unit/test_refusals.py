"""A run that is refused before its first step: in the history, the metrics and the messages, once, by either command."""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import local_runner
from pipeline import config, retrain
from pipeline.config import Config
from pipeline.running import inputs, local
from pipeline.runs.run import read_runs
from pipeline.workspace import workspace_of
from tests.listener import Listener

from .records import make_record

DATASET = """
name = "shop"
[source]
format = "csv"
path = "data"
pattern = "{YYYY}-{MM}-{DD}/*.csv"
schema = "shop.pbtxt"
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
SCHEMA = 'feature { name: "price" type: FLOAT }\nfeature { name: "paid" type: INT }\n'


@pytest.fixture
def listener() -> Iterator[Listener]:
    opened = Listener()
    yield opened
    opened.close()


class Shop:
    """Two days of a table, and a command on them whose messages go to a listener."""

    def __init__(self, root: Path, listener: Listener) -> None:
        self.root, self.listener = root, listener
        self.newest = root / "data" / "2026-01-02" / "rows.csv"
        self.newest.parent.mkdir(parents=True)
        self.newest.write_text("price,paid\n1,0\n2,1\n")
        (root / "data" / "2026-01-01").mkdir()
        (root / "data" / "2026-01-01" / "rows.csv").write_text("price,paid\n3,0\n4,1\n")
        self.schema = root / "shop.pbtxt"
        self.schema.write_text(SCHEMA)
        (root / "shop.toml").write_text(DATASET)
        (root / "metrics").mkdir()
        # Without a history a refusal by local_runner.py leaves nothing behind.
        workspace_of(str(root / "runs"), "shop").runs.mkdir(parents=True)

    @property
    def settings(self) -> list[str]:
        return [
            f"notify.textfile_directory={self.root / 'metrics'}",
            f'notify.webhook="{self.listener.url}"',
        ]

    def run(self, main: Callable[[list[str]], int], *more: str) -> int:
        settings = [word for setting in self.settings for word in ("--set", setting)]
        return main(
            [
                "--dataset",
                str(self.root / "shop.toml"),
                "--workdir",
                str(self.root / "runs"),
                *settings,
                *more,
            ]
        )


@pytest.fixture
def shop(tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setattr(local, "_run_graph", lambda *_: pytest.fail("a run began"))
    return Shop(tmp_path, listener)


def utf_16(shop: Shop) -> None:
    shop.newest.write_bytes("price,paid\n1,0\n".encode("utf-16"))


def without_column(shop: Shop) -> None:
    shop.newest.write_text("prize,paid\n1,0\n")


def without_rows(shop: Shop) -> None:
    shop.newest.write_text("price,paid\n")


def gone(shop: Shop) -> None:
    (shop.root / "data").rename(shop.root / "elsewhere")


def schema_of_no_text(shop: Shop) -> None:
    shop.schema.write_bytes(b"\xff\xfe\x00")


def without_schema(shop: Shop) -> None:
    shop.schema.unlink()


KINDS = [utf_16, without_column, without_rows, gone, schema_of_no_text, without_schema]


@pytest.mark.parametrize("damage", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("main", [local_runner.main, retrain.main], ids=["local_runner", "retrain"])
def test_a_refusal_is_recorded_measured_and_told_once(
    shop: Shop,
    main: Callable[[list[str]], int],
    damage: Callable[[Shop], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(shop)
    assert shop.run(main) != 0
    said = capsys.readouterr().err
    assert "Traceback" not in said and said.count("\n") == 1
    (run,) = read_runs(workspace_of(str(shop.root / "runs"), "shop"))
    assert run.is_whole and run.status == "failed" and run.error == said.strip()
    (message,) = shop.listener.bodies
    assert (message["event"], message["run_id"]) == ("failed", run.run_id)
    assert metrics_of(shop) == {"last_run_success": 0.0, "last_check_success": 0.0, "runs_total": 1.0}


def test_a_refused_span_that_is_withdrawn_alerts_no_more_and_is_still_in_the_history(shop: Shop) -> None:
    workspace = workspace_of(str(shop.root / "runs"), "shop")
    loaded = config.load(str(shop.root / "shop.toml"), "laptop", shop.settings)
    text = shop.newest.read_text()
    now = inputs.read_inputs(loaded, inputs.read_data(loaded, workspace, shop.root / "data"))
    make_record(1000.0, dataset="shop", inputs=now).write(workspace)
    for _ in range(2):
        without_column(shop)
        assert shop.run(retrain.main) == 65
        assert metrics_of(shop)["last_check_success"] == 0
        shop.newest.write_text(text)
        assert shop.run(retrain.main) == 0
        assert metrics_of(shop)["last_check_success"] == 1 and metrics_of(shop)["last_run_success"] == 0
        # An experiment that is refused, which is no check, lets nothing fire anew.
        assert shop.run(local_runner.main, "--to", "Transform", "--set", "source.pattern=nothing") == 2
        assert metrics_of(shop)["last_check_success"] == 1
    assert [run.status for run in read_runs(workspace) if run.is_whole] == ["succeeded", "failed", "failed"]
    assert len(shop.listener.bodies) == 2


def metrics_of(shop: Shop) -> dict[str, float]:
    """Of the last run and the last check: whether it succeeded; and how many have failed."""
    text = (shop.root / "metrics" / "tfx_pipeline_shop.prom").read_text()
    found = re.findall(
        r"^tfx_pipeline_(last_run_success|last_check_success|runs_total)\{.*\} (\S+)$", text, re.MULTILINE
    )
    return {name: float(value) for name, value in found}


def fail_to_read(config: Config, *_: object) -> inputs.Data:
    raise OSError(5, os.strerror(5), str(config.source.path))


@pytest.mark.parametrize("main", [local_runner.main, retrain.main], ids=["local_runner", "retrain"])
def test_a_disk_that_fails_after_the_checks_is_told_of_too(
    shop: Shop, main: Callable[[list[str]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "read_data", fail_to_read)
    assert shop.run(main) == 1
    (run,) = read_runs(workspace_of(str(shop.root / "runs"), "shop"))
    assert "Input/output error" in run.error
    assert [message["run_id"] for message in shop.listener.bodies] == [run.run_id]


def test_a_part_of_the_graph_is_an_experiment_and_wrong_arguments_are_no_run(shop: Shop) -> None:
    utf_16(shop)
    assert shop.run(local_runner.main, "--to", "Transformer") == 2
    assert read_runs(workspace_of(str(shop.root / "runs"), "shop")) == []
    assert shop.run(local_runner.main, "--to", "Transform") == 2
    (run,) = read_runs(workspace_of(str(shop.root / "runs"), "shop"))
    assert not run.is_whole and shop.listener.bodies == []


def test_a_refusal_that_cannot_be_recorded_is_still_told(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    utf_16(shop)
    records = shop.root / "runs" / "shop" / "runs"
    assert shop.run(local_runner.main) == 2
    first = json.loads(next(records.iterdir()).read_text())
    capsys.readouterr()

    def refuse(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.runs.run.Run.write", refuse)
        assert shop.run(local_runner.main) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: the record is not written") and error == first["error"]
    assert len(shop.listener.bodies) == 2


@pytest.mark.parametrize("main", [local_runner.main, retrain.main], ids=["local_runner", "retrain"])
def test_a_run_that_is_told_to_stop_while_beam_calls_a_function_is_interrupted(
    shop: Shop, main: Callable[[list[str]], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beam makes a RuntimeError of whatever comes out of a function of a pipeline."""

    def call(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise RuntimeError("KeyboardInterrupt [while running 'Transform']") from error

    monkeypatch.setattr(local, "_latest_run", lambda *_: 0)
    monkeypatch.setattr(local, "_run_graph", call)
    assert shop.run(main) == 143
    (record,) = read_runs(workspace_of(str(shop.root / "runs"), "shop"))
    assert record.interrupted and record.stop_signal == signal.SIGTERM
    assert record.error == "interrupted; the next run starts where this one stopped."
