"""What is found wrong with data and work directory before anything heavy is imported."""

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from components.data_gate.settings import Drift
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.running import preflight
from pipeline.running.request import Request
from pipeline.workspace import workspace_of

from .test_config import MINIMAL

HEADER = "price,bought\n"


@pytest.fixture
def orders(tmp_path: Path) -> config.Config:
    (tmp_path / "orders.csv").write_text(HEADER + "1.5,1\n")
    path = tmp_path / "orders.toml"
    path.write_text(MINIMAL)
    return config.load(str(path), "laptop")


def test_a_good_table_is_found(orders: config.Config, tmp_path: Path) -> None:
    assert preflight.find_source(orders) == tmp_path.resolve()


def test_the_taxi_table_is_found_inside_the_installed_package() -> None:
    assert (preflight.find_source(config.load("taxi", "laptop")) / "data.csv").is_file()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("price\n1\n", "has no column 'bought', which [label] reads; its columns are: price."),
        ("bought\n1\n", "has no column 'price', which [features] names"),
        (HEADER, "orders.csv has no rows: remove or fill it."),
        ("", "orders.csv has no header: its first line must name the columns."),
        (None, "has no file that matches '*.csv'"),
    ],
)
def test_a_table_that_cannot_be_used(
    orders: config.Config, tmp_path: Path, content: str | None, expected: str
) -> None:
    (tmp_path / "orders.csv").unlink()
    if content is not None:
        (tmp_path / "orders.csv").write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        preflight.find_source(orders)
    assert expected in str(caught.value)


def test_files_with_different_columns_are_refused(orders: config.Config, tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_text("bought,price\n1,2\n")
    with pytest.raises(ConfigurationError, match="other columns than"):
        preflight.find_source(orders)


@pytest.fixture
def daily(tmp_path: Path) -> config.Config:
    """A table with the spans of three days, the second without rows."""
    for day, rows in ((1, "1.5,1\n"), (2, ""), (4, "2.5,0\n")):
        (tmp_path / f"2026-01-{day:02}").mkdir()
        (tmp_path / f"2026-01-{day:02}" / "orders.csv").write_text(HEADER + rows)
    path = tmp_path / "orders.toml"
    path.write_text(MINIMAL)
    overrides = ["source.pattern='{YYYY}-{MM}-{DD}/*.csv'", "window.spans=1"]
    return config.load(str(path), "laptop", overrides)


def with_window(daily: config.Config, **settings: object) -> config.Config:
    return dataclasses.replace(daily, window=dataclasses.replace(daily.window, **settings))


def test_the_window_is_found_before_anything_heavy_is(daily: config.Config, tmp_path: Path) -> None:
    window = preflight.find_window(daily, preflight.find_source(daily))
    assert [span.name for span in window.spans] == ["2026-01-04"]
    through_gap = with_window(daily, spans=4, missing="warn")
    assert preflight.find_window(through_gap, tmp_path).missing == ("2026-01-03",)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"end": "2026-01-03"}, "window.end is '2026-01-03', and there is no such span"),
        ({"end": "2026-01-02"}, "Span 2026-01-02, the newest, has no rows: bring them, or end the window"),
        ({"spans": 2}, "Span 2026-01-03 is missing from the window"),
        ({"spans": 2, "end": "2026-01-02"}, "Span 2026-01-02, the newest, has no rows"),
    ],
)
def test_a_window_that_cannot_be_had(
    daily: config.Config, settings: dict[str, object], expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        preflight.find_source(with_window(daily, **settings))
    assert expected in str(caught.value)


def test_an_empty_span_before_the_newest_is_a_missing_one(daily: config.Config, tmp_path: Path) -> None:
    (tmp_path / "2026-01-03").mkdir()
    (tmp_path / "2026-01-03" / "orders.csv").write_text(HEADER + "1,1\n")
    with pytest.raises(
        ConfigurationError, match="Span 2026-01-02 is missing from the window, or without rows"
    ):
        preflight.find_source(with_window(daily, spans=3))
    preflight.find_source(with_window(daily, spans=3, missing="warn"))


def test_only_the_windows_spans_need_todays_columns(daily: config.Config, tmp_path: Path) -> None:
    (tmp_path / "2026-01-01" / "orders.csv").write_text("price\n1\n")
    preflight.find_source(daily)
    with pytest.raises(ConfigurationError, match="has no column 'bought'"):
        preflight.find_source(with_window(daily, spans=4, missing="ignore"))


def test_a_missing_directory_and_a_missing_package(orders: config.Config) -> None:
    nowhere = dataclasses.replace(orders, source=dataclasses.replace(orders.source, path="nowhere"))
    with pytest.raises(ConfigurationError, match="is not a directory"):
        preflight.find_source(nowhere)
    unknown = dataclasses.replace(orders, source=dataclasses.replace(orders.source, package="no_such"))
    with pytest.raises(ConfigurationError, match="package 'no_such' is not installed"):
        preflight.find_source(unknown)


def test_a_schema_that_is_named_must_exist(orders: config.Config) -> None:
    named = dataclasses.replace(orders, source=dataclasses.replace(orders.source, schema="x.pbtxt"))
    with pytest.raises(ConfigurationError, match="make schema DATASET=orders"):
        preflight.check_paths(named)


def test_serving_logs_that_are_named_must_exist_and_new_ones_are_noticed(
    orders: config.Config, tmp_path: Path
) -> None:
    preflight.check_paths(orders)
    logs = dataclasses.replace(orders, drift=Drift(serving_logs="logs"))
    with pytest.raises(ConfigurationError, match=r"serving_logs .*logs is not a directory"):
        preflight.check_paths(logs)
    (tmp_path / "logs").mkdir()
    preflight.check_paths(logs)
    before = preflight.state_of(logs.serving_logs)
    (tmp_path / "logs" / "today.csv").write_text(HEADER)
    assert preflight.state_of(logs.serving_logs) != before != preflight.state_of(orders.serving_logs) == ""


def test_a_workdir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        preflight.check_workspace(workspace_of(str(tmp_path / "file"), "orders"))


@pytest.mark.parametrize("name", ["runs[1]", "what?", "a*"])
def test_a_workdir_that_tfx_would_take_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="in its path, and TFX reads files by patterns"):
        preflight.check_workspace(workspace_of(str(tmp_path / name), "orders"))


@pytest.mark.parametrize("damage", ["not a database", "half"])
def test_a_damaged_metadata_store_is_refused_and_left_alone(tmp_path: Path, damage: str) -> None:
    files = workspace_of(str(tmp_path), "orders")
    files.root.mkdir()
    if damage == "half":
        connection = sqlite3.connect(files.metadata)
        connection.execute("create table t (a)")
        connection.executemany("insert into t values (?)", [("x" * 1000,)] * 100)
        connection.commit()
        connection.close()
        content = files.metadata.read_bytes()[:20_000]
    else:
        content = b"not a database" * 1000
    files.metadata.write_bytes(content)
    with pytest.raises(ConfigurationError, match="is damaged"):
        preflight.check_workspace(files)
    assert files.metadata.read_bytes() == content


def test_nodes_are_checked_by_name_and_order() -> None:
    taxi = config.load("taxi", "laptop")
    with pytest.raises(ConfigurationError, match="there is no such node; the nodes are ExampleGen"):
        Request("Trainr").check(taxi)
    with pytest.raises(ConfigurationError, match="comes after --to"):
        Request("Pusher", "Trainer").check(taxi)
    Request("Trainer", "Trainer").check(taxi)


def test_ending_at_an_export_that_is_off_says_how_to_turn_it_on() -> None:
    taxi = config.load("taxi", "laptop")
    with pytest.raises(ConfigurationError, match=r"--set 'app\.formats="):
        Request(to_node="AppExporter").check(taxi)
    Request(to_node="Pusher").check(taxi)
    Request(to_node="AppExporter").check(config.load("taxi", "laptop", ['app.formats=["int8"]']))


def test_a_link_out_of_the_datas_directory_is_refused_unless_it_is_asked_for(
    orders: config.Config, tmp_path: Path
) -> None:
    """The first line of whatever it led to went into the record, the error and the webhook."""
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("root:x:0:0\nbought\n")
    (tmp_path / "more.csv").symlink_to(elsewhere / "secret")
    with pytest.raises(preflight.DataError, match=r"more.csv is a link to a place outside") as raised:
        preflight.find_source(orders)
    assert "root:x" not in str(raised.value)
    (tmp_path / "more.csv").unlink()
    # Within the directory, as mounted volumes of Kubernetes have them, and as a directory itself.
    (tmp_path / "orders.csv").rename(tmp_path / "..data")
    (tmp_path / "orders.csv").symlink_to("..data")
    assert preflight.find_source(orders)
    (elsewhere / "more").write_text(HEADER + "2.5,0\n")
    (tmp_path / "more.csv").symlink_to(elsewhere / "more")
    source = dataclasses.replace(orders.source, follow_links=True)
    assert preflight.find_source(dataclasses.replace(orders, source=source))
