"""Flink's REST API, as far as a run asks it: https://nightlies.apache.org/flink/flink-docs-release-1.19/docs/ops/rest_api/."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from pipeline.engines.unavailable import EngineUnavailable

SECONDS = 4.0
"""To answer in; a job manager that is there takes milliseconds."""

ENDED = ("FINISHED", "FAILED", "CANCELED")

# Requests to a cluster do not go through a proxy for the web.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class FlinkError(EngineUnavailable):
    """Flink does not answer, or something else does."""


@dataclass(frozen=True)
class Job:
    """A job of Flink, and how far it is.

    Attributes:
      identifier: Flink's, 32 hexadecimal digits.
      name: Beam's name for it.
      state: RUNNING, FINISHED, FAILED, CANCELED or one on the way there.
      tasks: State → how many tasks are in it; "total" for all.
    """

    identifier: str
    name: str
    state: str
    tasks: Mapping[str, int]

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.state in ENDED


class Flink:
    """One cluster, by the address of its job manager's REST API."""

    def __init__(self, address: str) -> None:
        """`address` is host:port, with or without http:// or https://."""
        self.url = (address if "://" in address else f"http://{address}").rstrip("/")

    def overview(self) -> dict[str, Any]:
        """Flink's version, and how many slots it has and has free.

        Raises:
          FlinkError: If there is no Flink.
        """
        answer = self._call("GET", "/overview")
        if not isinstance(answer, dict) or not {"flink-version", "slots-available"} <= set(answer):
            raise FlinkError(
                f"{self.url} answers, and is no Flink: correct --flink_master in [beam] options."
            )
        return answer

    def task_managers(self) -> list[dict[str, Any]]:
        """Slots and memory of each, memory in bytes.

        Raises:
          FlinkError: If it does not answer.
        """
        return self._call("GET", "/taskmanagers")["taskmanagers"]

    def jobs(self, name: str) -> list[Job]:
        """The jobs whose names begin with `name`, of all that Flink remembers.

        Raises:
          FlinkError: If it does not answer.
        """
        listed = self._call("GET", "/jobs/overview")["jobs"]
        return [
            Job(job["jid"], job["name"], job["state"], job["tasks"])
            for job in listed
            if job["name"].startswith(name)
        ]

    def cancel(self, job: Job) -> None:
        """Asks Flink to cancel a job; it may take a while.

        Raises:
          FlinkError: If it refuses, as it does for a job that has ended.
        """
        self._call("PATCH", f"/jobs/{job.identifier}?mode=cancel")

    def page(self, job: Job) -> str:
        """The address of a job's page."""
        return f"{self.url}/#/job/running/{job.identifier}"

    def _call(self, method: str, path: str) -> Any:
        try:
            request = urllib.request.Request(f"{self.url}/v1{path}", method=method)
            with _opener.open(request, timeout=SECONDS) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise FlinkError(
                f"{self.url} answers {error.code} to {method} {path}: see whether --flink_master in [beam] options is a "
                "Flink, and its job manager's log."
            ) from error
        except (OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise FlinkError(
                f"No Flink answers at {self.url} ({getattr(reason, 'strerror', None) or reason}): start it (make flink "
                "does on this machine), or correct --flink_master in [beam] options."
            ) from error
