"""The section [metadata] and the name of a workspace in a database that others use; no server."""

import json
from pathlib import Path
from typing import Any

import pytest

from foundation.sections import ConfigurationError
from pipeline import config, retrain
from pipeline.kubeflow.compile import require_cluster
from pipeline.metadata.database import Database
from pipeline.metadata.identity import ensure_identity, pipeline_name
from pipeline.running import inputs
from pipeline.workspace import Workspace, workspace_of

GIVEN = {"host": "db.example.com", "database": "shared", "user": "tfx", "password_variable": "PASSWORD"}


def settings(**changed: Any) -> list[str]:
    values = {key: value for key, value in {**GIVEN, **changed}.items() if value is not None}
    return [f"metadata.{key}={json.dumps(value)}" for key, value in values.items()]


def load(**changed: Any) -> config.Config:
    return config.load("taxi", "laptop", settings(**changed))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"host": None}, "lacks the required key 'host': add it."),
        ({"host": "db:3306"}, "host is 'db:3306'; it must be"),
        ({"host": "tfx@db"}, "host is 'tfx@db'; it must be a host's name or address, and the port has a key of its own."),
        ({"port": 0}, "port is 0; it must be from 1 to 65,535."),
        ({"database": "a`b"}, "database is 'a`b'; it must be up to 64 letters, digits, _ and -."),
        ({"user": ""}, "user is empty: name the database's user."),
        ({"password_variable": None}, "needs one of password_file and password_variable"),
        ({"password_file": "/file"}, "needs one of password_file and password_variable"),
        ({"password": "S3cr3t"}, "has no key 'password': did you mean"),
        ({"password_file": "file", "password_variable": None}, "password_file is 'file'; it must be an absolute path."),
        ({"ca": "/ca", "key": "/key"}, "has one of certificate and key: give both, or none."),
        ({"certificate": "/one", "key": "/key"}, "has a certificate and no ca: add ca."),
    ],
)  # fmt: skip
def test_what_the_section_refuses(changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(**changed)
    assert expected in str(caught.value)


def test_without_the_section_ml_metadata_is_a_file() -> None:
    assert config.load("taxi", "laptop").metadata is None


def test_where_ml_metadata_is_is_no_reason_to_train() -> None:
    assert inputs.read_without_data(load()) == inputs.read_without_data(config.load("taxi", "laptop"))


def test_kubeflow_pipelines_has_an_ml_metadata_of_its_own() -> None:
    loaded = config.load("taxi", "cluster", settings())
    with pytest.raises(ConfigurationError, match="an ML Metadata of its own: compile"):
        require_cluster(loaded)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, "cannot be read (No such file or directory)"), ("\n", "is empty"), ("\udcff", "cannot be read (not UTF-8)")],
)  # fmt: skip
def test_a_password_file_that_has_none(tmp_path: Path, text: str | None, expected: str) -> None:
    file = tmp_path / "password"
    if text is not None:
        file.write_text(text, errors="surrogateescape")
    database = load(password_file=str(file), password_variable=None).metadata
    assert database
    with pytest.raises(ConfigurationError) as caught:
        database.password({})
    assert expected in str(caught.value)


def test_the_password_is_the_first_line_or_the_variable(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("of a file \nmore\n")
    of_file = load(password_file=str(tmp_path / "password"), password_variable=None).metadata
    of_variable = load().metadata
    assert of_file and of_variable
    assert of_file.password({}) == "of a file "
    assert of_variable.password({"PASSWORD": "of a variable"}) == "of a variable"
    with pytest.raises(ConfigurationError, match="PASSWORD, which is not set in the environment"):
        of_variable.password({})


@pytest.mark.parametrize(
    ("changed", "warned"),
    [
        ({}, True),
        ({"host": "10.0.0.1"}, True),
        ({"host": "10.0.0.1", "ca": "/ca"}, False),
        ({"host": "127.0.0.3"}, False),
        ({"host": "::1"}, False),
        ({"host": "localhost"}, False),
    ],
)
def test_a_plain_connection_beyond_this_machine_is_warned_of(changed: dict[str, Any], warned: bool) -> None:
    database = load(**changed).metadata
    assert database
    assert [f"at {database.address} in plain text" in text for text in database.warnings()] == [True] * warned


@pytest.fixture
def shared() -> Database:
    return Database(**GIVEN)


def test_two_workspaces_of_one_dataset_have_two_names(tmp_path: Path, shared: Database) -> None:
    names = []
    for root in ("one", "other"):
        workspace = workspace_of(str(tmp_path / root), "taxi", shared)
        ensure_identity(workspace)
        names.append(pipeline_name(workspace))
        ensure_identity(workspace)
        assert pipeline_name(workspace) == names[-1]
    assert len({*names}) == 2 and all(name.startswith("taxi.") for name in names)


def test_trap_two_machines_have_the_same_paths(tmp_path: Path, shared: Database) -> None:
    workspace = workspace_of(str(tmp_path), "taxi", shared)
    ensure_identity(workspace)
    here = pipeline_name(workspace)
    workspace.identity.unlink()
    assert pipeline_name(workspace) != here
    ensure_identity(workspace)
    assert pipeline_name(workspace) != here


def test_a_copy_of_a_workspace_is_another(tmp_path: Path, shared: Database) -> None:
    first, copy = (workspace_of(str(tmp_path / root), "taxi", shared) for root in ("first", "copy"))
    ensure_identity(first)
    copy.root.mkdir(parents=True)
    copy.identity.write_text(first.identity.read_text())
    assert pipeline_name(first) != pipeline_name(copy)


def test_tfx_takes_no_longer_name_than_the_longest(tmp_path: Path, shared: Database) -> None:
    workspace = Workspace(tmp_path, "x" * 50, shared)
    ensure_identity(workspace)
    assert len(pipeline_name(workspace)) == 63


def test_of_a_file_the_name_is_the_datasets(tmp_path: Path) -> None:
    assert pipeline_name(workspace_of(str(tmp_path), "taxi")) == "taxi"


def test_a_retraining_without_its_database_is_to_be_tried_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSWORD", "S3cr3t")
    flags = [part for text in settings(host="127.0.0.1", port=9) for part in ("--set", text)]
    assert retrain.main([*flags, "--workdir", str(tmp_path)]) == retrain.TRY_LATER
    said = capsys.readouterr().err
    assert "ML Metadata's database at 127.0.0.1:9 does not answer (Can't connect" in said
    (record,) = (tmp_path / "taxi" / "runs").glob("*.json")
    assert "does not answer" in record.read_text()
    assert "S3cr3t" not in said + record.read_text()
