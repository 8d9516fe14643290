"""`--submit`, against an HTTP server that speaks the API (`rest_server`)."""

import threading
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError
from pipeline.kubeflow import arguments, compile
from tests.kubeflow.conftest import PACKAGE, Command
from tests.kubeflow.rest_server import Api, Refused


def test_submit_uploads_a_version_and_starts_a_run_of_it(api: Api, command: Command) -> None:
    status, said = command(
        "--submit", "--parameter", "data_directory=/mnt/data/new",
        "--set", 'kubeflow.pipeline_root="s3://bucket/runs"', "--set", "kubeflow.service_account=trainer",
    )  # fmt: skip
    assert status == 0, said
    assert "Version version-0 of taxi: uploaded" in said
    assert f"Run run-1: {api.url}/#/runs/details/run-1" in said
    (run,) = api.runs
    assert run["pipeline_version_reference"] == {
        "pipeline_id": "pipeline-0", "pipeline_version_id": "version-0"
    }  # fmt: skip
    assert run["runtime_config"] == {
        "parameters": {"data_directory": "/mnt/data/new"}, "pipeline_root": "s3://bucket/runs"
    }  # fmt: skip
    assert run["service_account"] == "trainer"
    assert run["experiment_id"] == "experiment-0"


def test_the_same_file_is_uploaded_once_and_a_changed_one_is_a_new_version(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("--submit")[0] == 0
    assert "already there" in command("--submit")[1]
    monkeypatch.setattr(compile, "compile_pipeline", lambda loaded, scores: PACKAGE + "# changed\n")
    assert "Version version-1 of taxi: uploaded" in command("--submit")[1]
    assert "already there" in command("--submit")[1]
    assert [v["pipeline_version_id"] for v in api.versions] == ["version-0", "version-1"]
    assert [r["pipeline_version_reference"]["pipeline_version_id"] for r in api.runs] == [
        "version-0", "version-0", "version-1", "version-1"
    ]  # fmt: skip
    assert len(api.experiments) == 1


def test_the_server_drops_a_platform_document_that_it_cannot_read(
    api: Api, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeps the emulator honest: only our own lint can refuse such a document."""
    damaged = PACKAGE.replace("deploymentSpec:", "deploymentSpecs:")
    monkeypatch.setattr(compile, "compile_pipeline", lambda loaded, scores: damaged)
    assert command("--submit")[0] == 0
    assert set(api.versions[0]["pipeline_spec"]) == {"pipeline_spec"}


@pytest.mark.parametrize(
    ("flag", "header", "value"),
    [("--token-file", "Authorization", "Bearer s3cret"), ("--cookies-file", "Cookie", "s3cret")],
)
def test_the_login_goes_with_every_request_and_is_never_shown(
    api: Api, command: Command, tmp_path: Path, flag: str, header: str, value: str
) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    status, said = command("--submit", flag, str(tmp_path / "secret"))
    assert status == 0, said
    assert "s3cret" not in said
    assert len(api.requests) > 5
    assert {headers.get(header) for _, _, headers in api.requests} == {value}


def test_a_pod_uses_its_service_accounts_token(
    api: Api, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.kubeflow import connection

    token = tmp_path / "token"
    token.write_text("pod-token")
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT_TOKEN", token)
    assert command("--submit")[0] == 0
    assert {headers.get("Authorization") for _, _, headers in api.requests} == {"Bearer pod-token"}


@pytest.mark.parametrize("where", ["healthz", "/pipelines", "/runs$"])
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "asks who you are (401): give --token-file or --cookies-file"),
        (403, "does not allow this account to"),
        (409, "(409)"),
        (503, "(503)"),
    ],
)
def test_a_refusal_is_one_sentence(api: Api, command: Command, where: str, status: int, said: str) -> None:
    api.refuse[where] = Refused(status, "some reason\nand a stack")
    code, printed = command("--submit")
    refusal = printed.splitlines()[-1]
    assert (code, said in refusal, refusal.startswith(api.url)) == (1, True, True), printed
    assert "Traceback" not in printed and "and a stack" not in printed
    assert not api.runs


@pytest.mark.parametrize(
    "error", [AttributeError("'NoneType' object has no attribute 'parameters'"), TypeError("a mistake")]
)
@pytest.mark.parametrize("cause", [None, TimeoutError("an earlier one")])
def test_a_mistake_in_the_code_is_never_called_unreachable(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None
) -> None:
    from pipeline.kubeflow.submit import Submission

    def mistaken(*arguments: object) -> None:
        raise error from cause

    monkeypatch.setattr(Submission, "_experiment", mistaken)
    with pytest.raises(type(error), match=str(error)):
        command("--submit")


def test_a_refused_connection_is_one_sentence(command: Command) -> None:
    code, printed = command("--submit", host="http://127.0.0.1:9")
    assert code == 1
    assert "http://127.0.0.1:9 cannot be reached (Connection refused): check --host" in printed


def test_a_login_page_is_recognised(api: Api, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.setattr(json, "dumps", lambda answer: "<html>please log in</html>")
    assert "or a login page stands before it" in command("--submit")[1]


def test_a_server_that_hangs_is_given_up_on(api: Api, command: Command) -> None:
    api.hang = threading.Event()
    code, printed = command("--submit", "--timeout", "1")
    assert code == 1
    assert "did not answer within 1 s when asked to upload the pipeline" in printed


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--submit", "--parameter", "folder=x"], "must be NAME=VALUE with one of the names data_directory"),
        (
            ["--submit", "--parameter", "data_directory=/[[ScheduledTime]]"],
            "does not replace in scheduled runs",
        ),
        (["--schedule", "daily"], "must be a cron expression of five fields"),
        (["--schedule", "0 3 * *"], "must be a cron expression of five fields"),
        (["--submit", "--token-file", "/nowhere/token"], "--token-file /nowhere/token cannot be read"),
        (["--submit", "--host", "localhost:8080"], "must be a URL such as http://localhost:8080"),
        (["--submit", "--host", ""], "--submit needs --host URL"),
    ],
)
def test_a_mistake_is_found_before_anything_is_sent(
    api: Api, command: Command, tmp_path: Path, flags: list[str], said: str
) -> None:
    code, printed = command(*flags)
    assert (code, said in printed) == (2, True), printed
    assert not api.requests and not (tmp_path / "pipeline.yaml").exists()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("STRING", "3", "3"), ("STRING", "/{{a}}/$(b)/¦", "/{¦{a}}/$¦(b)/¦"), ("NUMBER_INTEGER", "3", 3), ("NUMBER_DOUBLE", "0.5", 0.5), ("BOOLEAN", "true", True),
     ("LIST", "[1]", [1]), ("STRUCT", '{"a": 1}', {"a": 1})],
)  # fmt: skip
def test_parameters_are_sent_with_their_declared_type(kind: str, text: str, value: object) -> None:
    assert arguments.parse_parameters([f"p={text}"], {"p": {"parameterType": kind}}) == {"p": value}
    if kind != "STRING":
        with pytest.raises(ConfigurationError, match=r"--parameter p='x y' must be "):
            arguments.parse_parameters(["p=x y"], {"p": {"parameterType": kind}})
