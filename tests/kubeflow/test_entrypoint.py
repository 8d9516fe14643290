"""The edges of a step's process that whole runs do not reach; no TFX is imported here."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.sections import ConfigurationError, UserError
from pipeline.kubeflow import entrypoint, wire_format

MODEL = {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}
URI = "minio://bucket/v2/artifacts/model"


def step(root: Path, monkeypatch: pytest.MonkeyPatch, *flags: str, **parameters: str) -> int:
    given = {
        "inputs": {
            "parameterValues": parameters,
            "artifacts": {"model": {"artifacts": [{"name": "1", "type": {}, "uri": URI}]}},
        },
        "outputs": {"outputFile": "/minio/bucket/output_metadata.json"},
    }
    monkeypatch.setenv(entrypoint.LOCAL_ROOT, str(root))
    return entrypoint.main(
        ["--executor_class_path", "nowhere.Executor", "--json_serialized_invocation_args", json.dumps(given),
         "--json_serialized_inputs_spec_args", json.dumps({"artifacts": {"model": MODEL}}),
         "--node_id=Pusher", "--code_version=1", *flags]
    )  # fmt: skip


def test_an_input_that_holds_nothing_fails_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step(tmp_path, monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        f"Pusher failed: The input model ({tmp_path}/minio/bucket/v2/artifacts/model) is empty"
    )
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def failing_with(error: Exception, cause: Exception | None = None) -> Callable[..., None]:
    def fail(*arguments: object) -> None:
        raise error from cause

    return fail


def test_a_step_that_fails_ends_with_what_failed_and_leaves_no_output_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entrypoint, "_run_executor", failing_with(RuntimeError("no space left")))
    assert step(tmp_path, monkeypatch, "--optional_input=model") == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "Pusher failed: RuntimeError: no space left"
    assert not list(tmp_path.rglob("*.json"))


class SomeError(UserError, RuntimeError):
    """As the data gate's, the span store's and the workers' are."""


@pytest.mark.parametrize("kind", [ConfigurationError, SomeError])
@pytest.mark.parametrize("is_wrapped", [False, True], ids=["as raised", "as Beam hands it on"])
def test_every_error_for_the_user_is_its_sentence_without_a_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: type[Exception],
    is_wrapped: bool,
) -> None:
    error = kind("The data differs from the schema: fix it.")
    fail = failing_with(RuntimeError("a stage failed"), error) if is_wrapped else failing_with(error)
    monkeypatch.setattr(entrypoint, "_run_executor", fail)
    assert step(tmp_path, monkeypatch, "--optional_input=model") == 1
    assert capsys.readouterr().err == "Pusher failed: The data differs from the schema: fix it.\n"


def test_links_become_what_they_point_to(tmp_path: Path) -> None:
    """The launcher uploads a linked directory as one file, and fails."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("content")
    output = tmp_path / "output"
    output.mkdir()
    (output / "directory").symlink_to(tmp_path / "elsewhere")
    (output / "file").symlink_to(tmp_path / "elsewhere" / "file")
    entrypoint._resolve_links(output)
    assert not any(path.is_symlink() for path in output.rglob("*"))
    assert (output / "directory" / "file").read_text() == (output / "file").read_text() == "content"


def test_settings_and_beams_options_arrive_as_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, option = '{"{{column}}": "$(x)"} ' * 2_000, "--sdk_location={{here}}/$(there)"
    shown, variables = wire_format.pack(large)
    arrived = []
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def look(options: object, beam_arguments: list[str], adapted: dict) -> None:
        arrived.extend([adapted["inputs"]["parameterValues"], beam_arguments, variables.keys() & os.environ])
        Path(adapted["outputs"]["outputFile"]).write_text("{}")

    monkeypatch.setattr(entrypoint, "_run_executor", look)
    flags = ("--optional_input=model", wire_format.escape(option))
    assert step(tmp_path, monkeypatch, *flags, settings=shown, name="{¦{x}}") == 0
    assert arrived == [{"settings": large, "name": "{{x}}"}, [option], set()], "children inherit no settings"
