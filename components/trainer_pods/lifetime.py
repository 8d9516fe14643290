"""The Job of a step: it goes when the step does, however that ends, and says where it stands."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from types import FrameType

from components.trainer_pods.kubernetes_api import ApiError, Kubernetes, NotFound
from components.trainer_pods.worker_pods import Document
from foundation.sections import UserError

_LOG = logging.getLogger("trainer_module.pods")
_CANCELLED = 128 + signal.SIGTERM


class WorkersError(UserError, RuntimeError):
    """What the pods were to do did not end well; the message names the pod and shows its last lines."""


def remove_job(kubernetes: Kubernetes, name: str) -> None:
    """Removes the Job and all it owns; a failure to do so does not hide the error that ended the step."""
    try:
        kubernetes.delete("job", name)
    except ApiError as error:
        _LOG.warning("The Job %s was not removed, and goes by itself: %s", name, error)


def job_status(kubernetes: Kubernetes, name: str, uid: str) -> Document:
    """The status of the Job with this uid.

    Raises:
      WorkersError: If someone deleted it.
      ApiError: If Kubernetes cannot be asked.
    """
    with contextlib.suppress(NotFound):
        job = kubernetes.job(name)
        if job["metadata"]["uid"] == uid and "deletionTimestamp" not in job["metadata"]:
            status: Document = job.get("status", {})
            return status
    raise WorkersError(f"Someone deleted the Job {name} while it ran: run the step again.")


@contextlib.contextmanager
def cancellable() -> Iterator[None]:
    """SIGTERM, which is how a cluster cancels a step, ends the block so that it cleans up."""

    def cancel(signum: int, frame: FrameType | None) -> None:
        # Once is enough: a second signal must not end the cleaning up.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _LOG.warning("the step was cancelled: its workers are being removed")
        raise SystemExit(_CANCELLED)

    before = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
