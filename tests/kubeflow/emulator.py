"""Runs a compiled pipeline as Kubeflow Pipelines' driver and launcher do, without a cluster.

Written from the Go sources of kubeflow/pipelines at 2.17: `backend/src/v2/driver/driver.go`,
`driver/resolve.go`, `component/launcher_v2.go`, `metadata/converter.go`, `objectstore/`. Each task is a
subprocess with the specification's own command, arguments and environment, in a "pod" that shares
no file with any other: artifacts pass through an object store, metadata through KFP's type round
trip, and texts through what Argo and Kubernetes replace in them (`replacements`). What differs on purpose:

- "/" is a directory of its own for each pod, which the entrypoint learns from KUBEFLOW_LOCAL_ROOT;
- the image is this checkout and its Python; resources, node selection and secrets are not applied;
- mounted volumes are directories at the same path;
- there is no cache: a caller may say which tasks' outputs to take from an earlier run instead;
- a retry follows at once, without backing off.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config import ROOT
from tests.kubeflow import replacements

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
class Run:
    """What became of each task."""

    outputs: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    parameters: dict[str, Document] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)


class Store:
    """An object store: objects with keys, no directories, no links, no modes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _place(self, uri: str) -> Path:
        scheme, _, key = uri.partition("://")
        return self._directory / scheme / key

    def upload(self, local: Path, uri: str) -> int:
        """Returns the number of objects; a link to a directory is an error, as in the launcher."""
        if not local.exists():
            return 0
        files = [local] if local.is_file() else [p for p in sorted(local.rglob("*")) if not p.is_dir()]
        for path in local.rglob("*") if local.is_dir() else ():
            if path.is_symlink() and path.is_dir():
                raise StepFailed(f"failed to upload {path}: is a directory")
        for path in files:
            target = self._place(uri) if path == local else self._place(uri) / path.relative_to(local)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return len(files)

    def download(self, uri: str, local: Path) -> int:
        """Returns the number of objects; none is no error, and makes no directory."""
        place = self._place(uri)
        files = [place] if place.is_file() else [p for p in sorted(place.rglob("*")) if p.is_file()]
        for path in files:
            target = local if path == place else local / path.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        return len(files)

    def directory(self, uri: str) -> Path:
        """Where a test finds what was uploaded."""
        return self._place(uri)


class Cluster:
    """Kubeflow Pipelines over one object store and one metadata store."""

    def __init__(self, directory: Path, installation: Installation = Installation()) -> None:
        self.installation = installation
        self.store = Store(directory / "store")
        self.interrupt_when: dict[str, Callable[[Path], bool]] = {}
        """Task → a condition on its pod's "/" at which its first attempt is killed."""
        self._directory = directory
        self._ids = iter(range(1, 1_000_000))
        self._lock = threading.Lock()

    def run(
        self,
        package: Path,
        parameters: Mapping[str, Any] | None = None,
        tasks: Collection[str] | None = None,
        reuse: Run | None = None,
        replace: Callable[[Document], Document] = lambda container: container,
    ) -> Run:
        """Runs the pipeline, or some of its `tasks` on the others' outputs of `reuse`.

        Args:
          package: The compiled YAML.
          parameters: Of the run; defaults are the pipeline's.
          tasks: The tasks to run; all of them if None.
          reuse: Where the outputs of all other tasks are taken from.
          replace: Changes a container before it is run.

        Raises:
          StepFailed: If a task failed after its retries.
        """
        spec, platform = yaml.safe_load_all(package.read_text())
        spec, _ = json.loads(replacements.argo(json.dumps([spec, platform])))
        _refuse_large("the root component", spec["root"])
        dag = spec["root"]["dag"]["tasks"]
        chosen = set(dag) if tasks is None else set(tasks)
        values = self._run_parameters(spec, parameters or {})
        run = Run(outputs=dict(reuse.outputs) if reuse else {})
        pipeline_root = f"{self.installation.scheme}://mlpipeline/v2/artifacts/{spec['pipelineInfo']['name']}/{uuid.uuid4()}"
        pending, done = set(chosen), set(dag) - chosen
        running: dict[futures.Future[None], str] = {}
        with futures.ThreadPoolExecutor(2) as pool:
            while pending or running:
                for name in sorted(pending):
                    if _upstream(dag[name]) <= done:
                        pending.discard(name)
                        future = pool.submit(self._task, spec, name, values, pipeline_root, run, replace)
                        running[future] = name
                if not running:
                    raise AssertionError(f"{sorted(pending)} wait for each other")
                finished, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                for future in finished:
                    done.add(running.pop(future))
                    future.result()
        return run

    @staticmethod
    def _run_parameters(spec: Document, given: Mapping[str, Any]) -> Document:
        declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        values = {}
        for name, declaration in declared.items():
            if name not in given and "defaultValue" not in declaration:
                raise StepFailed(f"parameter {name} is not optional, yet has neither default value nor value")
            values[name] = _checked(name, given.get(name, declaration.get("defaultValue")), declaration)
        if set(given) - set(declared):
            raise StepFailed(f"parameters {set(given) - set(declared)} are not declared")
        return values

    def _task(
        self,
        spec: Document,
        name: str,
        values: Document,
        pipeline_root: str,
        run: Run,
        replace: Callable[[Document], Document],
    ) -> None:
        task = spec["root"]["dag"]["tasks"][name]
        component = spec["components"][task["componentRef"]["name"]]
        executor = spec["deploymentSpec"]["executors"][component["executorLabel"]]
        if "container" not in executor:
            raise StepFailed("non-container and non-importer executor not implemented")
        container = replace(executor["container"])
        for what, document in (("task", task), ("component", component), ("container", container)):
            _refuse_large(f"{name}'s {what}", document)
        task_root = f"{pipeline_root}/{name}/{uuid.uuid4()}"
        executor_input = self._drive(task, component, values, run, task_root)
        retries = task.get("retryPolicy", {}).get("maxRetryCount", 0)
        for attempt in range(retries + 1):
            run.attempts[name] = attempt + 1
            # An attempt that the test interrupts is always followed by a retry, or the task fails.
            interrupt = self.interrupt_when.get(name) if attempt == 0 else None
            try:
                self._launch(name, container, component, executor_input, attempt, run, interrupt)
                return
            except StepFailed:
                if interrupt is None or attempt == retries:
                    raise

    def _drive(
        self, task: Document, component: Document, values: Document, run: Run, task_root: str
    ) -> Document:
        """The driver: the ExecutorInput of one task."""
        inputs = component.get("inputDefinitions", {})
        parameters = {}
        for key, declaration in inputs.get("parameters", {}).items():
            source = task["inputs"]["parameters"][key]
            if "componentInputParameter" in source:
                value = values[source["componentInputParameter"]]
            else:
                value = source["runtimeValue"]["constant"]
            parameters[key] = _checked(key, value, declaration)
        artifacts = {}
        for key in inputs.get("artifacts", {}):
            output = task["inputs"]["artifacts"][key]["taskOutputArtifact"]
            recorded = run.outputs[output["producerTask"]][output["outputArtifactKey"]]
            artifacts[key] = {"artifacts": [self._as_input(recorded)]}
        outputs: Document = {
            key: {
                "artifacts": [
                    {
                        "name": key,
                        "type": self._output_type(declared["artifactType"]),
                        "uri": f"{task_root}/{key}",
                    }
                ]
            }
            for key, declared in component.get("outputDefinitions", {}).get("artifacts", {}).items()
        }
        if self.installation.publish_logs:
            outputs["executor-logs"] = {
                "artifacts": [
                    {
                        "name": "executor-logs",
                        "type": {"schemaTitle": "system.Artifact"},
                        "uri": f"{task_root}/executor-logs",
                    }
                ]
            }
        output_file = (
            "/" + _relative(f"{task_root}/output_metadata.json")
            if self.installation.output_file == "task_root"
            else "/tmp/kfp_outputs/output_metadata.json"
        )
        # protojson leaves out empty maps.
        return {
            "inputs": _without_empty({"parameterValues": parameters, "artifacts": artifacts}),
            "outputs": _without_empty({"artifacts": outputs, "outputFile": output_file}),
        }

    def _output_type(self, declared: Document) -> Document:
        if self.installation.without_metadata_store and "instanceSchema" in declared:
            return {"schemaTitle": declared["instanceSchema"]}
        return declared

    def _as_input(self, artifact: Artifact) -> Document:
        metadata = {
            **artifact.metadata,
            "display_name": artifact.key,
            "store_session_info": '{"Provider":"s3"}',
        }
        if self.installation.without_metadata_store:
            return {
                "name": artifact.key,
                "artifactId": str(uuid.uuid4()),
                "type": {"schemaTitle": artifact.schema},
                "uri": artifact.uri,
                "metadata": metadata,
            }
        return {
            "name": str(artifact.id),
            "type": {"instanceSchema": ""},
            "uri": artifact.uri,
            "metadata": metadata,
        }

    def _launch(
        self,
        name: str,
        container: Document,
        component: Document,
        executor_input: Document,
        attempt: int,
        run: Run,
        interrupt: Callable[[Path], bool] | None,
    ) -> None:
        """The launcher: one attempt at one task, in a pod of its own."""
        root = self._directory / "pods" / f"{name}-{uuid.uuid4().hex[:8]}"
        (root / "tmp").mkdir(parents=True)
        environment: dict[str, str] = {}
        for variable in container.get("env", []):
            environment[variable["name"]] = replacements.kubernetes(variable["value"], environment)
        _refuse_large(f"{name}'s ExecutorInput", executor_input)
        executor_input = json.loads(replacements.kubernetes(json.dumps(executor_input), environment))
        outputs = executor_input.get("outputs", {}).get("artifacts", {})
        if "executor-logs" in outputs:
            outputs["executor-logs"]["artifacts"][0]["uri"] += f"-{attempt}"
        for listed in outputs.values():
            (root / _relative(listed["artifacts"][0]["uri"])).parent.mkdir(parents=True, exist_ok=True)
        for listed in executor_input["inputs"].get("artifacts", {}).values():
            for artifact in listed["artifacts"]:
                self.store.download(artifact["uri"], root / _relative(artifact["uri"]))

        arguments = [replacements.kubernetes(part, environment) for part in container.get("args", [])]
        arguments = [_substitute(part, executor_input) for part in arguments]
        status, log = _execute([*container["command"], *arguments], environment, root, interrupt)
        run.logs[name] = log
        if "executor-logs" in outputs:
            uri = outputs["executor-logs"]["artifacts"][0]["uri"]
            (root / _relative(uri)).write_text(log)
        if status != 0:
            raise StepFailed(f"{name} exited with status {status}:\n{log[-6000:]}")
        written = self._read_output(root / executor_input["outputs"]["outputFile"].lstrip("/"))
        run.outputs[name] = {
            key: self._publish(name, key, listed["artifacts"][0], written, component, root)
            for key, listed in outputs.items()
        }
        run.parameters[name] = json_format.MessageToDict(written).get("parameterValues", {})
        shutil.rmtree(root)

    @staticmethod
    def _read_output(path: Path) -> Any:
        written = pipeline_spec_pb2.ExecutorOutput()
        if path.exists():
            # As strict as protojson: unknown and duplicate keys fail the task.
            json_format.Parse(path.read_text(), written)
        return written

    def _publish(
        self, name: str, key: str, given: Document, written: Any, component: Document, root: Path
    ) -> Artifact:
        uri, metadata = given["uri"], dict(given.get("metadata", {}))
        if key in written.artifacts and written.artifacts[key].artifacts:
            (artifact, *_) = written.artifacts[key].artifacts
            uri = artifact.uri or uri
            metadata.update(json_format.MessageToDict(artifact.metadata))
        scheme = uri.partition("://")[0]
        if scheme not in _LOCAL or not uri.startswith(given["uri"]):
            raise AssertionError(f"{name}.{key} would be recorded at {uri}, and nothing uploaded")
        local = root / _relative(uri)
        if self.installation.without_metadata_store and not local.exists():
            raise StepFailed(f"declared output artifact {key} is missing")
        self.store.upload(local, uri)
        declared = component.get("outputDefinitions", {}).get("artifacts", {}).get(key, {})
        schema = declared.get("artifactType", {}).get("instanceSchema", "")
        with self._lock:
            identity = next(self._ids)
        return Artifact(identity, key, schema, uri, {k: _recorded(v) for k, v in metadata.items()})


def _refuse_large(what: str, document: Document) -> None:
    """A document that a driver or a launcher would get as one argument."""
    size = len(replacements.go_json(document).encode())
    if size > replacements.LARGEST_ARGUMENT:
        raise StepFailed(f"argument list too long: {what} has {size} bytes")


def _upstream(task: Document) -> set[str]:
    sources = task.get("inputs", {}).get("artifacts", {}).values()
    return {*task.get("dependentTasks", []), *(s["taskOutputArtifact"]["producerTask"] for s in sources)}


def _checked(name: str, value: Any, declaration: Document) -> Any:
    """The driver's type check; only to STRING is anything converted."""
    kind = declaration["parameterType"]
    if kind == "STRING":
        return value if isinstance(value, str) else json.dumps(value)
    expected = {
        "NUMBER_INTEGER": (int, float), "NUMBER_DOUBLE": (int, float), "BOOLEAN": bool, "LIST": list,
        "STRUCT": dict,
    }[kind]  # fmt: skip
    if not isinstance(value, expected):
        raise StepFailed(f"parameter {name} is of type {type(value).__name__}, not {kind}")
    return value


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


def _relative(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{_LOCAL[scheme]}/{rest}"


def _without_empty(document: Document) -> Document:
    return {key: value for key, value in document.items() if value not in ({}, "")}


def _substitute(part: str, executor_input: Document) -> str:
    # protojson puts a space after colons or not, by the build: readers must not care.
    part = part.replace("{{$}}", json.dumps(executor_input, separators=(",", ": ")))
    for key, value in executor_input["inputs"].get("parameterValues", {}).items():
        part = part.replace(f"{{{{$.inputs.parameters['{key}']}}}}", str(value))
    assert not re.search(r"\{\{\$", part), part
    return part


def _execute(
    command: list[str],
    given: Mapping[str, str],
    root: Path,
    interrupt: Callable[[Path], bool] | None,
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
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=root / "tmp", env=environment, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL
        )
        try:
            while process.poll() is None and interrupt is not None:
                if interrupt(root):
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.02)
            process.wait(timeout=540)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return process.returncode, log.read_text(errors="replace")
