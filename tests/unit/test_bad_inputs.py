"""Whatever is given: one sentence with the fix, and never a traceback."""

import datetime
import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import local_runner
from components.example_gen.spans import Span, SpanError, choose_window
from foundation.sections import ConfigurationError, parse_override
from pipeline import config, retrain, schema
from pipeline.config.dataset import Gate
from pipeline.kubeflow import compile
from pipeline.kubeflow.arguments import parse_schedule
from pipeline.notify.settings import NOTIFY_SECTION as Notify
from pipeline.runs import __main__ as runs_command
from pipeline.runs.finding import choose, find_runs
from pipeline.runs.run import read_runs
from pipeline.workspace import workspace_of
from trainer_module.expression import columns_of

from .records import make_record, publish_metrics
from .test_retrain import DATASET


@pytest.mark.parametrize(
    "schedule",
    [
        "61 * * * *", "a b c d e", "0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6,9,11 *", "*/0 * * * *", "0 24 * * *",
        "0 0 0 * *", "0 0 * 13 *", "0 0 * * 7", "5-1 * * * *", "1,,2 * * * *", "- * * * *", "0 0 * foo *", "", "* * * *",
        "60 0 0 * * *", "1- * * * *", "*/-1 * * * *", "0 0 * * mon-",
    ],
)  # fmt: skip
def test_a_schedule_that_never_comes_is_refused(schedule: str) -> None:
    with pytest.raises(ConfigurationError, match="must be a cron expression"):
        parse_schedule(schedule)


@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 * * *",
        "*/15 0-6 1,15 jan-MAR mon-fri",
        "0 0 29 2 *",
        "0 0 31 2 mon",
        "30 0 3 ? * 1",
        "5/10 * * * *",
    ],
)
def test_a_schedule_that_comes_is_taken(schedule: str) -> None:
    assert parse_schedule(schedule).split()[-5:] == schedule.split()[-5:]


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 1000 + "fare" + ")" * 1000, "not " * 500 + "(fare > 1)", "-" * 1500 + "fare", " + ".join(["fare"] * 1000),
        "'a' * 1000000000 == company", "company == 'a' + 'b'", "fare > " + "9" * 30, "fare > 1e999",
        "fare * 0x" + "f" * 4000 + " > 1", "fare > \0", "(" * 300 + "fare" + ")" * 300,
    ],
)  # fmt: skip
def test_an_expression_has_bounded_depth_length_and_constants(expression: str) -> None:
    with pytest.raises(ValueError, match=r"^expression") as raised:
        columns_of(expression)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "override",
    [
        "model.x=1\nname = 'y'",
        "model.x=1\r2",
        "." * 3000 + "=1",
        "a." * 2000 + "b=1",
        "model.x=" + "[" * 3000,
        "x",
    ],
)
def test_an_override_is_one_value_on_one_line(override: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--set") as raised:
        parse_override(override, ["model"])
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    "gate",
    [
        {"min": float("-inf")}, {"max": float("inf")}, {"min": float("nan")}, {"min": 0.9, "max": 0.1},
        {"slice_min": {"x": 0.5}, "slice_max": {"x": 0.4}}, {"max_drop": float("inf")},
        {"slice_max_drop": {"x": float("nan")}},
    ],
)  # fmt: skip
def test_a_gate_that_nobody_passes_or_nobody_fails_is_refused(gate: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no model|none pass"):
        Gate(**gate)


def test_a_deep_file_and_a_long_name_are_named(tmp_path: Path) -> None:
    deep = tmp_path / "deep.toml"
    deep.write_text("name = " + "[" * 5000)
    for dataset in (str(deep), "x" * 5000, "x" * 5000 + ".toml", "a\0b"):
        with pytest.raises(ConfigurationError) as raised:
            config.load(dataset, "laptop")
        assert len(str(raised.value)) < 1000


def days(*after_today: int) -> list[Span]:
    today = (datetime.datetime.now(datetime.timezone.utc).date() - datetime.date(1970, 1, 1)).days
    return [Span(today + n, (datetime.date(1970, 1, 1) + datetime.timedelta(today + n)).isoformat(), (), None, True)
            for n in after_today]  # fmt: skip


def test_a_span_dated_in_the_future_does_not_take_the_window_over() -> None:
    spans = days(-2, -1, 0, 26000)
    window = choose_window(spans, 2)
    assert window.spans == tuple(spans[1:3]) and not window.is_backfill and window.missing == ()
    # In Kiribati it is tomorrow already.
    assert choose_window(days(0, 1), 1).newest.number == days(1)[0].number
    assert choose_window(spans, 1, spans[-1].name).newest == spans[-1]
    with pytest.raises(SpanError, match="dated in the future"):
        choose_window(spans[-1:], 2)
    # A number is no date.
    assert choose_window([Span(1, "1", ()), Span(99999, "99999", ())], 1).newest.number == 99999


def test_a_day_of_a_wrong_clock_suppresses_nothing(tmp_path: Path) -> None:
    workspace = workspace_of(str(tmp_path), "taxi")
    future = make_record(4_070_908_800.0, run_id="20990101-000000-000")
    failed = make_record(1_795_000_000.0, run_id="20261118-000000-000", status="failed", error="x")
    for run in (make_record(1_794_000_000.0, run_id="20261107-000000-000"), future, failed):
        run.write(workspace)
    # Ended now, and written once more, it stays the second.
    future.write(workspace)
    assert [run.run_id[:4] for run in read_runs(workspace)] == ["2026", "2099", "2026"]
    assert choose(find_runs(tmp_path), "latest").run.status == "failed"
    now = 1_795_000_500.0
    assert publish_metrics(Notify(textfile_directory=str(tmp_path)), "taxi", read_runs(workspace), now) == []
    values = dict(
        line.split("{pipeline=\"taxi\"} ") for line in (tmp_path / "tfx_pipeline_taxi.prom").read_text().splitlines()
        if '{pipeline="taxi"} ' in line
    )  # fmt: skip
    assert float(values["tfx_pipeline_last_run_success"]) == 0
    assert float(values["tfx_pipeline_last_success_timestamp_seconds"]) <= now


DAMAGES: list[dict[str, Any]] = [
    {"metrics": {"auc": "high"}}, {"metrics": []}, {"nodes": [1]}, {"nodes": [{"id": 1, "state": 2, "seconds": "x"}]},
    {"status": 7}, {"started": "yesterday"}, {"started": 5}, {"run_id": None}, {"wall_seconds": "long"}, {"inputs": "x"},
    {"drift": 3}, {"drift": [3]}, {"distribution": "x"}, {"blessed": "yes"}, {"pushed_model": "/models/taxi/odd"},
    {"slice_metrics": {"a": 1}}, {"slice_metrics": {"caf\ud83d": {"auc": 0.5}}}, {"sequence": "last"}, {"command": None},
    {"notes": 5}, {"examples": {"train": "many"}},
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=repr)
def test_a_record_with_wrong_types_never_crashes_what_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: dict[str, Any]
) -> None:
    workspace = workspace_of(str(tmp_path), "taxi")
    make_record(1000.0, run_id="19700101-000000-000").write(workspace)
    path = workspace.runs / "19700101-000000-000.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    (workspace.runs / "deep.json").write_text("[" * 100_000)
    assert runs_command.main(["--workdir", str(tmp_path)]) == 0
    assert runs_command.main(["--workdir", str(tmp_path), "show", "latest"]) in (0, 2)
    assert publish_metrics(Notify(textfile_directory=str(tmp_path)), "taxi", read_runs(workspace), 9e9) == []
    capsys.readouterr()


@pytest.mark.parametrize("dataset", ["/etc", "..", "*", "", "a/b"])
def test_runs_of_what_is_no_pipeline_are_refused(tmp_path: Path, dataset: str) -> None:
    assert runs_command.main(["--workdir", str(tmp_path), "--dataset", dataset]) == 2


BAD_DATA: dict[str, bytes] = {
    "UTF-16": "price,paid\n1,0\n".encode("utf-16"),
    "Latin-1": b"pr\xefce,paid\n1,0\n",
    "a header too long": b"p" * 200_000 + b",paid\n1,0\n",
    "empty": b"",
    "blank rows": b"price,paid\n\n\n\n",
}


@pytest.mark.parametrize("content", BAD_DATA)
def test_data_that_cannot_be_read_is_in_the_history_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "day.csv").write_bytes(BAD_DATA[content])
    (tmp_path / "shop.toml").write_text(DATASET)
    monkeypatch.setattr(
        retrain.local,
        "run_locked",
        lambda loaded, workspace, request, source: pytest.fail("passes the checks"),
    )
    arguments = ["--dataset", str(tmp_path / "shop.toml"), "--workdir", str(tmp_path / "runs")]
    assert retrain.main(arguments) == 65
    (run,) = read_runs(workspace_of(str(tmp_path / "runs"), "shop"))
    assert run.status == "failed" and run.error
    said = capsys.readouterr().err
    assert said.strip() == run.error and "Traceback" not in said and len(said) < 1000


@pytest.mark.parametrize("where", ["gs://bucket/runs", "s3://bucket/runs"])
@pytest.mark.parametrize("command", [local_runner.main, retrain.main])
def test_a_bucket_is_no_work_directory(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    command: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(["--workdir", where]) == 2
    assert "is a URL" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".lock", "runs", "logs", "reports", "spans", "artifacts", "serving"])
def test_what_is_in_the_way_in_a_workspace_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(retrain.local, "run_locked", lambda *_: pytest.fail("nothing was in the way"))
    root = tmp_path / "taxi"
    root.mkdir()
    (root / name).mkdir() if name == ".lock" else (root / name).write_text("")
    assert retrain.main(["--workdir", str(tmp_path)]) == 2
    assert "choose another" in capsys.readouterr().err


@pytest.mark.parametrize("command", [local_runner.main, retrain.main])
def test_whatever_goes_wrong_leaves_by_one_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    def fail(*arguments: Any) -> None:
        raise MemoryError("of something nobody thought of\n" * 100)

    monkeypatch.setattr(config, "load", fail)
    assert command(["--workdir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("MemoryError: of something") and said.count("\n") == 1 and len(said) < 1000


@pytest.mark.parametrize(("command", "status"), [(local_runner.main, 1), (retrain.main, 75)])
def test_ctrl_c_before_anything_runs_is_a_sentence_too(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: Any,
    status: int,
) -> None:
    monkeypatch.setattr(config, "load", lambda *_: signal.raise_signal(signal.SIGINT))
    assert command(["--workdir", str(tmp_path)]) == status
    assert capsys.readouterr().err == "interrupted; the next run starts where this one stopped.\n"


@pytest.mark.parametrize("package", ["", "..os", "os", "no.such.thing"])
def test_a_package_that_is_none_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    (tmp_path / "shop.toml").write_text(DATASET.replace("[source]", f"[source]\npackage = {package!r}"))
    assert retrain.main(["--dataset", str(tmp_path / "shop.toml"), "--workdir", str(tmp_path / "runs")]) == 2
    assert "[source] package" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"feature { name: ", b"\xff\xfe", b"nonsense"])
def test_a_damaged_schema_is_named_before_any_step_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "shop.toml").write_text(DATASET)
    (tmp_path / "shop.schema.pbtxt").write_bytes(content)
    assert (
        schema.main(
            ["--dataset", str(tmp_path / "shop.toml"), "--workdir", str(tmp_path / "runs"), "--write"]
        )
        == 2
    )
    assert "shop.schema.pbtxt is no schema" in capsys.readouterr().err
    assert (tmp_path / "shop.schema.pbtxt").read_bytes() == content and not (tmp_path / "runs").exists()


def test_a_profiles_name_with_a_line_break_adds_nothing_to_the_pipelines_file() -> None:
    loaded = SimpleNamespace(name="taxi", profile="x\nroot: injected\u2028more: injected")
    text = compile._to_yaml(loaded, {"root": "own"}, {}, {})  # type: ignore[arg-type]
    assert list(yaml.safe_load_all(text)) == [{"root": "own"}, {}]
