"""Why a training on several pods did not end well, in the words of its workers, their nodes and the cluster."""

from collections.abc import Iterator, Mapping, Sequence

from components.trainer_pods.worker_logs import WorkerLogs
from components.trainer_pods.worker_pods import Document


def describe_failure(index: int, workers: int, pod: Document, logs: WorkerLogs) -> str:
    """What ended one worker's pod, and the worker's last lines."""
    lines = "\n".join(f"  {line}" for line in logs.last_lines(index, pod["metadata"]["name"]))
    return (
        f"Worker {index} of {workers} {describe_end(pod)}; the others were stopped. Its last lines:\n{lines}"
    )


def describe_end(pod: Document) -> str:
    """How a pod ended and what ended it, such as "ended with status 137 (OOMKilled)"."""
    (state, *_) = pod["status"].get("containerStatuses") or [{}]
    ended = state.get("state", {}).get("terminated", {})
    how = f"ended with status {ended['exitCode']}" if "exitCode" in ended else "failed"
    why = _disruption(pod["status"]) or ended.get("reason") or pod["status"].get("reason")
    return f"{how} ({why})" if why else how


def describe_missing(
    index: int,
    workers: int,
    pods: Mapping[int, Document],
    refusals: Sequence[str],
    seconds: int,
    step: str = "Trainer",
) -> str:
    """Why the worker `index` did not start within `seconds`.

    Args:
      index: The worker.
      workers: How many there should be.
      pods: Worker → its pod, of those that were made.
      refusals: The Job's events, oldest first. Of a worker without a pod they alone say who refused it, such
        as a quota or an admission policy.
      seconds: How long was waited.
      step: Whose section says what the pods ask for.
    """
    reasons = _pending(pods[index]["status"]) if index in pods else refusals[-1:]
    why = "; ".join(reasons) or "Kubernetes gives no reason: see `kubectl describe job`"
    return (
        f"Worker {index} of {workers} did not start within {seconds} s ({why}): free or add nodes, ask for "
        f"less in [steps.{step}], or raise [training] startup_timeout_seconds."
    )


def _pending(status: Document) -> Iterator[str]:
    for condition in status.get("conditions", []):
        if condition.get("message"):
            yield condition["message"]
    for container in status.get("containerStatuses", []):
        if waiting := container.get("state", {}).get("waiting"):
            yield f"{waiting['reason']} {waiting.get('message', '')}".strip()


def _disruption(status: Document) -> str:
    """Why the node or the cluster ended a pod that did nothing wrong itself; "" if they did not.

    Evicted, preempted, drained: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    """
    disruptions = [
        condition
        for condition in status.get("conditions", [])
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True"
    ]
    sources = [status, *disruptions]
    reason = next((source["reason"] for source in sources if source.get("reason")), "")
    message = next((source["message"] for source in sources if source.get("message")), "")
    return ": ".join(filter(None, [reason, message.rstrip(". ")]))
