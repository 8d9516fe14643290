"""One attempt at one task, as Kubeflow Pipelines' launcher makes it in a pod; see `emulator`."""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config import ROOT
from tests import preloaded
from tests.kubeflow import replacements
from tests.kubeflow.object_store import Store

Document = dict[str, Any]
_LOCAL = {"minio": "minio", "s3": "s3", "gs": "gcs"}


class StepFailed(Exception):
    """A task failed; the message ends with its log."""


@dataclass(frozen=True)
class Installation:
    """What differs between installations and releases of Kubeflow Pipelines."""

    scheme: str = "minio"
    publish_logs: bool = True
    output_file: str = "task_root"
    """"task_root" since 2.15, "legacy" before."""
    without_metadata_store: bool = False
    """The shape announced for artifacts that the API server keeps itself: the artifact's name is its
    output key, the whole schema is its title, and a declared output that is missing is an error."""


@dataclass(frozen=True)
class Artifact:
    """What is recorded of an output: id, type, URI, and metadata as the store keeps it."""

    id: int
    key: str
    schema: str
    uri: str
    metadata: Document


@dataclass
class Attempt:
    """What an attempt is of, and what it leaves."""

    task: str
    pod: str
    """The name of the directory that stands for "/", the same for all attempts."""
    container: Document
    component: Document
    executor_input: Document
    number: int
    should_end: Callable[[Path], bool]
    """Told the pod's "/": whether to kill the step now."""
    log: str = ""
    """As `kubectl logs <pod> main` shows it: the launcher's and Argo's own lines around the step's."""


class Launcher:
    """Runs attempts, each in a directory of its own that stands for "/"."""

    def __init__(self, directory: Path, store: Store, seconds: float) -> None:
        self._directory = directory
        self._store = store
        self._seconds = seconds
        self._ids = iter(range(1, 1_000_000))
        self._lock = threading.Lock()

    def run(self, attempt: Attempt, installation: Installation) -> tuple[dict[str, Artifact], Document]:
        """The recorded artifacts and parameters.

        Raises:
          StepFailed: If the step did not exit with status 0, or left something that cannot be published.
        """
        root = self._directory / attempt.pod
        if root.exists():
            # A retry finds an empty "/", and each artifact at the path where the attempt before had it.
            root.rename(root.with_name(f"{attempt.pod}-{attempt.number - 1}"))
        (root / "tmp").mkdir(parents=True)
        environment: dict[str, str] = {}
        for variable in attempt.container.get("env", []):
            environment[variable["name"]] = replacements.kubernetes(variable["value"], environment)
        refuse_large(f"{attempt.task}'s ExecutorInput", attempt.executor_input)
        executor_input = json.loads(replacements.kubernetes(json.dumps(attempt.executor_input), environment))
        outputs = executor_input.get("outputs", {}).get("artifacts", {})
        if "executor-logs" in outputs:
            outputs["executor-logs"]["artifacts"][0]["uri"] += f"-{attempt.number}"
        for listed in outputs.values():
            (root / relative(listed["artifacts"][0]["uri"])).parent.mkdir(parents=True, exist_ok=True)
        for listed in executor_input["inputs"].get("artifacts", {}).values():
            for artifact in listed["artifacts"]:
                self._store.download(artifact["uri"], root / relative(artifact["uri"]))

        arguments = [replacements.kubernetes(part, environment) for part in attempt.container.get("args", [])]
        command = [*attempt.container["command"], *(_substitute(part, executor_input) for part in arguments)]
        status, said = _execute(command, environment, root, attempt.should_end, self._seconds)
        attempt.log = _with_lines_of_the_launcher(said, status)
        if "executor-logs" in outputs:
            uri = outputs["executor-logs"]["artifacts"][0]["uri"]
            (root / relative(uri)).write_text(said)
        if status != 0:
            raise StepFailed(f"{attempt.task} exited with status {status}:\n{attempt.log[-6000:]}")
        written = _read_output(root / executor_input["outputs"]["outputFile"].lstrip("/"))
        artifacts = {
            key: self._publish(attempt, key, listed["artifacts"][0], written, root, installation)
            for key, listed in outputs.items()
        }
        shutil.rmtree(root)
        return artifacts, json_format.MessageToDict(written).get("parameterValues", {})

    def _publish(
        self,
        attempt: Attempt,
        key: str,
        given: Document,
        written: Any,
        root: Path,
        installation: Installation,
    ) -> Artifact:
        uri, metadata = given["uri"], dict(given.get("metadata", {}))
        if key in written.artifacts and written.artifacts[key].artifacts:
            (artifact, *_) = written.artifacts[key].artifacts
            uri = artifact.uri or uri
            metadata.update(json_format.MessageToDict(artifact.metadata))
        scheme = uri.partition("://")[0]
        if scheme not in _LOCAL or not uri.startswith(given["uri"]):
            raise AssertionError(f"{attempt.task}.{key} would be recorded at {uri}, and nothing uploaded")
        local = root / relative(uri)
        if installation.without_metadata_store and not local.exists():
            raise StepFailed(f"declared output artifact {key} is missing")
        try:
            self._store.upload(local, uri)
        except IsADirectoryError as error:
            raise StepFailed(str(error)) from error
        declared = attempt.component.get("outputDefinitions", {}).get("artifacts", {}).get(key, {})
        schema = declared.get("artifactType", {}).get("instanceSchema", "")
        with self._lock:
            identity = next(self._ids)
        return Artifact(identity, key, schema, uri, {k: _recorded(v) for k, v in metadata.items()})


def refuse_large(what: str, document: Document) -> None:
    """Ends what a driver or a launcher would get as an argument that Linux does not take."""
    size = len(replacements.go_json(document).encode())
    if size > replacements.LARGEST_ARGUMENT:
        raise StepFailed(f"argument list too long: {what} has {size} bytes")


def relative(uri: str) -> str:
    """Where the launcher keeps an artifact, below "/"."""
    scheme, _, rest = uri.partition("://")
    return f"{_LOCAL[scheme]}/{rest}"


def _read_output(path: Path) -> Any:
    written = pipeline_spec_pb2.ExecutorOutput()
    if path.exists():
        # As strict as protojson: unknown and duplicate keys fail the task.
        json_format.Parse(path.read_text(), written)
    return written


def _recorded(value: Any) -> Any:
    """A metadata value as the metadata store gives it back (`metadata/converter.go`)."""
    if value is None:
        raise StepFailed("a metadata value is null")
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, list):
        return {"list": value}
    if isinstance(value, dict):
        return {"struct": value}
    return value


def _substitute(part: str, executor_input: Document) -> str:
    # protojson puts a space after colons or not, by the build: readers must not care.
    part = part.replace("{{$}}", json.dumps(executor_input, separators=(",", ": ")))
    for key, value in executor_input["inputs"].get("parameterValues", {}).items():
        part = part.replace(f"{{{{$.inputs.parameters['{key}']}}}}", str(value))
    assert not re.search(r"\{\{\$", part), part
    return part


def _with_lines_of_the_launcher(said: str, status: int) -> str:
    """What surrounds a step's own output (`cmd/launcher-v2/main.go`, Argo's `argoexec/commands/emissary.go`)."""
    ended = (
        f"exit status {status}"
        if status > 0
        else f"signal: {'killed' if status == -signal.SIGKILL else -status}"
    )
    now = datetime.now()

    def line(severity: str, place: str, message: str) -> str:
        # glog's header: severity, date, time, process, place.
        return f"{severity}{now:%m%d %H:%M:%S.%f}      14 {place}] {message}\n"

    last = line("I", "launcher_v2.go:206", "publish success.")
    if status:
        last = (
            line("E", "launcher_v2.go:449", f"Component failed to execute successfully: {ended}")
            + line("I", "launcher_v2.go:867", "Executing uploadOutputArtifacts attempt: 1")
            + last
            + line("F", "main.go:59", f"failed to execute component: {ended}")
        )
    # Argo runs the launcher, which exits with 1 whatever became of the step.
    error = "exit status 1" if status else "<nil>"
    last += (
        f'time="{now:%Y-%m-%dT%H:%M:%S.%f}Z" level=info msg="sub-process exited" argo=true error="{error}"\n'
    )
    if status:
        last += f"Error: {error}\n"
    if said and not said.endswith("\n"):
        said += "\n"
    return line("I", "main.go:67", "Setting log level to: '1'") + said + last


def _execute(
    command: list[str],
    given: dict[str, str],
    root: Path,
    should_end: Callable[[Path], bool],
    seconds: float,
) -> tuple[int, str]:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(root / "tmp"),
        "TMPDIR": str(root / "tmp"),
        "KUBEFLOW_LOCAL_ROOT": str(root),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **given,
    }
    log = root / "tmp" / "log"
    process = preloaded.start(command, cwd=root / "tmp", env=environment, output=log, error=log)
    deadline = time.monotonic() + seconds
    try:
        while process.poll() is None:
            if should_end(root) or time.monotonic() > deadline:
                process.kill()
            time.sleep(0.02)
    finally:
        process.kill()
        status = process.wait()
    return status, log.read_text(errors="replace")
