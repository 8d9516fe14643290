"""What is found wrong with data and work directory before anything heavy is imported."""

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from pipeline import config, preflight
from pipeline.drift import Drift
from pipeline.workspace import workspace_of
from trainer_module.sections import ConfigurationError

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
        (HEADER, "has no rows below a header line"),
        ("", "has no rows below a header line"),
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
        preflight.check_schema(named)


def test_serving_logs_that_are_named_must_exist_and_new_ones_are_noticed(
    orders: config.Config, tmp_path: Path
) -> None:
    preflight.check_serving_logs(orders)
    logs = dataclasses.replace(orders, drift=Drift(serving_logs="logs"))
    with pytest.raises(ConfigurationError, match=r"serving_logs .*logs is not a directory"):
        preflight.check_serving_logs(logs)
    (tmp_path / "logs").mkdir()
    preflight.check_serving_logs(logs)
    before = preflight.state_of(logs.serving_logs)
    (tmp_path / "logs" / "today.csv").write_text(HEADER)
    assert preflight.state_of(logs.serving_logs) != before != preflight.state_of(orders.serving_logs) == ""


def test_a_workdir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        preflight.check_workspace(workspace_of(str(tmp_path / "file"), "orders"))


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
    with pytest.raises(ConfigurationError, match="there is no such node; the nodes are ExampleGen"):
        preflight.check_nodes("Trainr", None)
    with pytest.raises(ConfigurationError, match="comes after --to"):
        preflight.check_nodes("Pusher", "Trainer")
    preflight.check_nodes("Trainer", "Trainer")


def test_ending_at_an_export_that_is_off_says_how_to_turn_it_on() -> None:
    taxi = config.load("taxi", "laptop")
    with pytest.raises(ConfigurationError, match=r"--set 'app\.formats="):
        preflight.check_app_export(taxi, None, "AppExporter")
    preflight.check_app_export(taxi, None, "Pusher")
    preflight.check_app_export(config.load("taxi", "laptop", ['app.formats=["int8"]']), None, "AppExporter")
