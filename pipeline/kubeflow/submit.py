"""Uploads a compiled pipeline to Kubeflow Pipelines, starts a run of it, and schedules runs.

Everything can be repeated: the same file is uploaded once, and one pipeline has one schedule.
"""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.kubeflow.connection import SERVICE_ACCOUNT_TOKEN, Server, asking, knock
from pipeline.kubeflow.settings import Kubeflow

_PAGE = 100


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the server."""

    pipeline_id: str
    version_id: str
    is_new: bool


class Submission:
    """One session with a server."""

    def __init__(self, server: Server, kubeflow: Kubeflow, name: str) -> None:
        """Connects.

        Args:
          server: Where.
          kubeflow: Says pipeline root and service account of the runs.
          name: Of the pipeline, its experiment and its schedule.

        Raises:
          ServerError: If the server refuses or does not answer.
        """
        self._server, self._kubeflow, self._name = server, kubeflow, name
        knock(server)
        with asking(server, "connect"), warnings.catch_warnings():
            # The client warns at each start that it needs Kubeflow Pipelines 2.
            warnings.simplefilter("ignore", FutureWarning)
            import kfp.client

            credentials = None
            if not server.token and not server.cookies and SERVICE_ACCOUNT_TOKEN.is_file():
                credentials = kfp.client.ServiceAccountTokenVolumeCredentials()
            self._client = kfp.client.Client(
                host=server.host,
                # With its own default the client takes the installation's namespace for the user's.
                namespace=server.namespace or "kubeflow",
                existing_token=server.token,
                cookies=server.cookies,
                credentials=credentials,
            )

    def upload(self, package: Path) -> Version:
        """The version that holds exactly `package`, uploaded unless it is there already.

        Raises:
          ServerError: If the server refuses or does not answer.
        """
        digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
        description = f"sha256 {digest}"
        with asking(self._server, "upload the pipeline"):
            pipeline_id = self._client.get_pipeline_id(self._name)
            if pipeline_id is None:
                uploaded = self._client.upload_pipeline(
                    str(package),
                    pipeline_name=self._name,
                    description=description,
                    namespace=self._server.namespace,
                )
                (version,) = self._versions(uploaded.pipeline_id)
                return Version(uploaded.pipeline_id, version.pipeline_version_id, True)
            name = f"{self._name}-{digest}"
            for version in self._versions(pipeline_id):
                if name == version.display_name or description == version.description:
                    return Version(pipeline_id, version.pipeline_version_id, False)
            version = self._client.upload_pipeline_version(
                str(package), name, pipeline_id=pipeline_id, description=description
            )
            return Version(pipeline_id, version.pipeline_version_id, True)

    def start(self, version: Version, parameters: Mapping[str, Any]) -> str:
        """Starts a run; returns its id.

        Raises:
          ServerError: If the server refuses or does not answer.
        """
        with asking(self._server, "start a run"):
            run = self._client.run_pipeline(
                experiment_id=self._experiment(),
                job_name=self._name,
                **self._what(version, parameters),
            )
        return run.run_id

    def schedule(self, version: Version, parameters: Mapping[str, Any], cron: str) -> tuple[str, bool]:
        """Makes `cron` the pipeline's one schedule; never two runs at once, none caught up on.

        Returns:
          The recurring run's id, and whether it is new.

        Raises:
          ServerError: If the server refuses or does not answer.
        """
        with asking(self._server, "schedule runs"):
            experiment = self._experiment()
            before = self._schedules(experiment)
            same = [found for found in before if self._is_same(found, version, parameters, cron)]
            if same:
                kept, is_new = same[0].recurring_run_id, False
            else:
                created = self._client.create_recurring_run(
                    experiment_id=experiment,
                    job_name=self._name,
                    cron_expression=cron,
                    max_concurrency=1,
                    no_catchup=True,
                    **self._what(version, parameters),
                )
                kept, is_new = created.recurring_run_id, True
            # Only now: had the new one been refused, the old one would go on.
            for found in before:
                if found.recurring_run_id != kept:
                    self._client.delete_recurring_run(found.recurring_run_id)
        return kept, is_new

    def _what(self, version: Version, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What a run is of, now or on a schedule."""
        return {
            "pipeline_id": version.pipeline_id,
            "version_id": version.version_id,
            "params": dict(parameters),
            "pipeline_root": self._kubeflow.pipeline_root,
            # Neither True nor False: either would replace what each step says of its own cache.
            "enable_caching": None,
            "service_account": self._kubeflow.service_account,
        }

    def _is_same(self, found: Any, version: Version, parameters: Mapping[str, Any], cron: str) -> bool:
        runtime, reference = found.runtime_config, found.pipeline_version_reference
        return (
            found.mode == "ENABLE"
            and found.trigger.cron_schedule is not None
            and found.trigger.cron_schedule.cron == cron
            and reference is not None
            and reference.pipeline_version_id == version.version_id
            and (runtime.parameters or {}) == dict(parameters)
            and (runtime.pipeline_root or None) == self._kubeflow.pipeline_root
            and (found.service_account or None) == self._kubeflow.service_account
        )

    def _experiment(self) -> str:
        return self._client.create_experiment(self._name, namespace=self._server.namespace).experiment_id

    def _versions(self, pipeline_id: str) -> list[Any]:
        answer = self._client.list_pipeline_versions(
            pipeline_id=pipeline_id, page_size=_PAGE, sort_by="created_at desc"
        )
        return answer.pipeline_versions or []

    def _schedules(self, experiment: str) -> list[Any]:
        answer = self._client.list_recurring_runs(experiment_id=experiment, page_size=_PAGE)
        return [found for found in answer.recurring_runs or [] if found.display_name == self._name]
