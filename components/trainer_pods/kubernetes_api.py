"""The few calls of Kubernetes' API that a training or a search needs, with errors a person can act on."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from components.trainer_pods.worker_pods import Document
from foundation.sections import UserError

# How long the API may be away (a restart of the control plane) before a training is given up.
_AWAY_SECONDS = 60.0
_REQUEST_SECONDS = 10


class ApiError(UserError, RuntimeError):
    """Kubernetes refused or did not answer; one sentence with the fix."""


class NotFound(ApiError):
    """There is no such object."""


class Kubernetes:
    """One namespace."""

    def __init__(self, client: Any, namespace: str) -> None:
        """Takes a configured `kubernetes.client.ApiClient`."""
        from kubernetes import client as api

        self._core, self._batch = api.CoreV1Api(client), api.BatchV1Api(client)
        self._apis = {"job": self._batch, "service": self._core}
        self.namespace = namespace

    @classmethod
    def connect(cls) -> "Kubernetes":
        """The cluster that this pod is in, or that KUBECONFIG names.

        Raises:
          ApiError: If there is neither.
        """
        from kubernetes import client, config

        try:
            try:
                config.load_incluster_config()
                with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace") as file:
                    namespace = file.read().strip()
            except config.ConfigException:
                file_name = os.environ.get("KUBECONFIG")
                config.load_kube_config(file_name)
                _, context = config.list_kube_config_contexts(file_name)
                namespace = context["context"].get("namespace", "default")
        except (config.ConfigException, OSError) as error:
            raise ApiError(
                "Workers and trials in pods of their own need Kubernetes, and this process is in no pod and has no "
                "KUBECONFIG: train on one worker, without [tuning] pods, or run the pipeline on Kubeflow."
            ) from error
        configuration = client.Configuration.get_default_copy()
        # urllib3 would ask three times more in silence, and a server that hangs would cost minutes.
        configuration.retries = False
        return cls(client.ApiClient(configuration), namespace)

    def replace(self, kind: str, document: Document) -> str:
        """Creates an object, in the place of one of that name that a killed attempt left.

        Args:
          kind: "job" or "service".
          document: The object.

        Returns:
          Its uid.
        """
        name, create = document["metadata"]["name"], getattr(self._apis[kind], f"create_namespaced_{kind}")
        deadline = time.monotonic() + 2 * _AWAY_SECONDS
        while True:
            try:
                made = self._ask(f"create {kind}s", create, body=document)
                return str(made["metadata"]["uid"])
            except _Conflict as error:
                if time.monotonic() > deadline:
                    raise ApiError(
                        f"The {kind} {name} exists and does not go away: `kubectl delete {kind} {name}`, then "
                        "run the step again."
                    ) from error
                self.delete(kind, name)
                time.sleep(1)

    def delete(self, kind: str, name: str) -> None:
        """Deletes an object once all it owns is gone; one that is gone itself is no error."""
        delete = getattr(self._apis[kind], f"delete_namespaced_{kind}")
        with contextlib.suppress(NotFound):
            self._ask(f"delete {kind}s", delete, name=name, propagation_policy="Foreground")

    def job(self, name: str) -> Document:
        """The Job as the API's JSON."""
        return self._ask("get jobs", self._batch.read_namespaced_job, name=name)

    def pods(self, selector: str) -> list[Document]:
        """The pods with these labels."""
        answer = self._ask("list pods", self._core.list_namespaced_pod, label_selector=selector)
        return answer.get("items") or []

    def warnings(self, uid: str) -> list[str]:
        """What the cluster's own controllers complained of about one object, oldest first; [] if they cannot be read."""
        selector = f"involvedObject.uid={uid},type=Warning"
        try:
            answer = self._ask("list events", self._core.list_namespaced_event, field_selector=selector)
        except ApiError:
            return []
        events = sorted(answer.get("items") or [], key=lambda event: event.get("lastTimestamp") or "")
        return [f"{event['reason']}: {event['message']}" for event in events if event.get("message")]

    def log(self, pod: str) -> Iterator[str]:
        """The lines of a pod's log as they are written; ends when the pod does."""
        seconds = (_REQUEST_SECONDS, None)
        for line in self._core.read_namespaced_pod_log(
            pod, self.namespace, follow=True, _preload_content=False, _request_timeout=seconds
        ):
            yield line.decode(errors="replace").removesuffix("\n")

    def last_lines(self, pod: str, count: int) -> list[str]:
        """The end of a pod's log."""
        answer = self._core.read_namespaced_pod_log(
            pod, self.namespace, tail_lines=count, _preload_content=False, _request_timeout=_REQUEST_SECONDS
        )
        return answer.data.decode(errors="replace").splitlines()

    def owner(self, pod: str) -> Document | None:
        """A reference to this process's own pod: what it owns is removed with it, whatever happens."""
        try:
            found = self._ask("get pods", self._core.read_namespaced_pod, name=pod)
        except NotFound:
            return None
        return {"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": found["metadata"]["uid"]}

    def _ask(self, what: str, call: Callable[..., Any], **options: Any) -> Document:
        """One call in this namespace; while the API is away or failing, it is repeated for a while."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        options |= {"_preload_content": False, "_request_timeout": _REQUEST_SECONDS}
        deadline = time.monotonic() + _AWAY_SECONDS
        while True:
            failure: Exception
            try:
                return dict(json.loads(call(namespace=self.namespace, **options).data))
            except ApiException as error:
                if error.status < 500 and error.status != 429:
                    raise self._refusal(what, error) from error
                failure, reason = error, f"answers {error.status}: {_message(error)}"
            except HTTPError as error:
                failure, reason = error, f"cannot be reached ({type(error).__name__})"
            if time.monotonic() > deadline:
                raise ApiError(
                    f"Kubernetes' API {reason} for {_AWAY_SECONDS:.0f} s (asked to {what}): try again later."
                ) from failure
            time.sleep(min(2.0, _AWAY_SECONDS / 10))

    def _refusal(self, what: str, error: Any) -> ApiError:
        match error.status:
            case 404:
                return NotFound(f"Kubernetes has no such object ({what}).")
            case 409:
                return _Conflict(_message(error))
            case 401 | 403:
                return ApiError(
                    f"The step's service account may not {what} in the namespace {self.namespace} "
                    f"({error.status}): kubectl apply -n {self.namespace} -f deploy/trainer-rbac.yaml, and set "
                    '[kubeflow] service_account = "tfx-trainer".'
                )
            case _:
                return ApiError(f"Kubernetes refused to {what} ({error.status}): {_message(error)}")


class _Conflict(ApiError):
    """There is an object of that name."""


def _message(error: Any) -> str:
    try:
        return str(json.loads(error.body)["message"]).splitlines()[0]
    except (ValueError, KeyError, TypeError, IndexError):
        return str(error.reason)
