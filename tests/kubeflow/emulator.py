"""Runs a compiled pipeline as Kubeflow Pipelines' driver and launcher do, without a cluster.

Written from the Go sources of kubeflow/pipelines at 2.17: `backend/src/v2/driver/driver.go`,
`driver/resolve.go`, `component/launcher_v2.go`, `metadata/converter.go`, `objectstore/`. Each task is a
subprocess with the specification's own command, arguments and environment, in a "pod" that
shares no file with any other: artifacts pass through a real S3 server (`object_store`), metadata through
KFP's type round trip, and texts through what Argo and Kubernetes replace in them (`replacements`). What
differs on purpose:

- "/" is a directory of its own for each pod, which the entrypoint learns from KUBEFLOW_LOCAL_ROOT;
- the image is this checkout and its Python; resources, node selection and secrets are not applied;
- mounted volumes are directories at the same path;
- there is no cache: a caller may say which tasks' outputs to take from an earlier run instead;
- a step is only retried where the test killed it, and at once, without backing off; how long an attempt
  took is what the test's clock says.
"""

import json
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.kubeflow import driver, replacements
from tests.kubeflow.launcher import (
    Artifact,
    Attempt,
    Document,
    Installation,
    Launcher,
    StepFailed,
    refuse_large,
)
from tests.kubeflow.object_store import Store


@dataclass
class Run:
    """What became of each task."""

    outputs: dict[str, dict[str, Artifact]] = field(default_factory=dict)
    parameters: dict[str, Document] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)


class Cluster:
    """Kubeflow Pipelines over one object store and one metadata store.

    A step that takes longer than `step_seconds` hangs and is killed: sooner than a test's own limit ends the
    test, so that its log is shown.
    """

    def __init__(
        self,
        directory: Path,
        store: Store,
        installation: Installation = Installation(),
        step_seconds: float = 540,
    ) -> None:
        self.installation = installation
        self.store = store
        self.interrupt_when: dict[str, Callable[[Path], bool]] = {}
        """Task → a condition on its pod's "/" at which its first attempt is killed."""
        self.clock = time.monotonic
        """Seconds, by which Argo measures how long attempts and their retries take."""
        self._launcher = Launcher(directory, store, step_seconds)

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
        refuse_large("the root component", spec["root"])
        dag = spec["root"]["dag"]["tasks"]
        chosen = set(dag) if tasks is None else set(tasks)
        values = driver.run_parameters(spec, parameters or {})
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
            refuse_large(f"{name}'s {what}", document)
        task_root = f"{pipeline_root}/{name}/{uuid.uuid4()}"
        executor_input = driver.executor_input(
            task, component, values, run.outputs, task_root, self.installation
        )
        pod, policy = f"{name}-{uuid.uuid4().hex[:8]}", task.get("retryPolicy", {})
        # Of the step and all its retries, from the start of the first attempt on.
        limit = self.clock() + _seconds(policy.get("backoffMaxDuration", "inf"))
        for number in range(policy.get("maxRetryCount", 0) + 1):
            end = self._end(name, number, limit)
            attempt = Attempt(name, pod, container, component, executor_input, number, end)
            run.attempts[name] = number + 1
            try:
                run.outputs[name], run.parameters[name] = self._launcher.run(attempt, self.installation)
                return
            except StepFailed as error:
                self._refuse_retry(error, name, policy, number, limit)
            finally:
                run.logs[name] = attempt.log

    def _end(self, name: str, number: int, limit: float) -> Callable[[Path], bool]:
        """When an attempt is killed: the first by the test, a retry by Argo's deadline for it."""
        if number > 0:
            return lambda root: self.clock() > limit
        return self.interrupt_when.get(name, lambda root: False)

    def _refuse_retry(
        self, error: StepFailed, name: str, policy: Document, number: int, limit: float
    ) -> None:
        """Argo's `processNodeRetries` (workflow/controller/operator.go, 3.7.8)."""
        if self.clock() > limit:
            raise StepFailed(f"Max duration limit exceeded: {error}") from error
        pause = _seconds(policy.get("backoffDuration", "0s")) * policy.get("backoffFactor", 1) ** number
        if self.clock() + pause > limit:
            raise StepFailed(f"Backoff would exceed max duration limit: {error}") from error
        if number == policy.get("maxRetryCount", 0) or name not in self.interrupt_when:
            raise error


def _upstream(task: Document) -> set[str]:
    sources = task.get("inputs", {}).get("artifacts", {}).values()
    return {*task.get("dependentTasks", []), *(s["taskOutputArtifact"]["producerTask"] for s in sources)}


def _seconds(duration: str) -> float:
    """A protocol buffer's duration in JSON: "60s" → 60.0."""
    return float(duration.removesuffix("s"))
