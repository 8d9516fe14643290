"""Uploads a compiled pipeline to Kubeflow Pipelines, starts a run of it, and schedules runs.

Everything can be repeated: the same file is uploaded once, and one pipeline has one schedule.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.kubeflow.connection import Server, asking, check_health
from pipeline.kubeflow.settings import Kubeflow

_PAGE = 100


@dataclass(frozen=True)
class Version:
    """A version of a pipeline on the server."""

    pipeline_id: str
    version_id: str
    is_new: bool


@dataclass(frozen=True)
class Schedule:
    """A pipeline's one schedule, and what was done about it."""

    recurring_run_id: str
    is_new: bool
    replaced: tuple[str, ...]
    """Ids of the schedules that were deleted for it."""
    is_paused: bool

    @property
    def outcome(self) -> str:
        """What was done, in words that end a line."""
        happened = "created" if self.is_new else "unchanged"
        if self.replaced:
            happened = f"replaced {', '.join(self.replaced)}"
        if not self.is_paused:
            return happened
        return (
            f"{happened}, and paused as somebody left it: enable it in the UI, under Recurring Runs, or delete "
            "it there and repeat this command"
        )


class Submission:
    """One session with a server; all of it raises `ServerError` if the server refuses or does not answer."""

    def __init__(self, server: Server, kubeflow: Kubeflow, name: str) -> None:
        """Connects.

        Args:
          server: Where.
          kubeflow: Says pipeline root and service account of the runs.
          name: Of the pipeline, its experiment and its schedule.
        """
        self._server, self._kubeflow, self._name = server, kubeflow, name
        self._release = check_health(server)
        with asking(server, "connect"), warnings.catch_warnings():
            # The client warns at each start that it needs Kubeflow Pipelines 2.
            warnings.simplefilter("ignore", FutureWarning)
            import kfp.client

            self._client = kfp.client.Client(
                host=server.host,
                # With its own default the client takes the installation's namespace for the user's.
                namespace=server.namespace or "kubeflow",
                existing_token=server.bearer,
                cookies=server.cookies,
            )

    def upload(self, package: Path) -> Version:
        """The version that holds exactly `package`, uploaded unless it is there already."""
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
        """Starts a run; returns its id."""
        with asking(self._server, "start a run"):
            what = self._what(version, parameters)
            return str(self._client.run_pipeline(self._experiment(), self._name, **what).run_id)

    def schedule(self, version: Version, parameters: Mapping[str, Any], cron: str) -> Schedule:
        """Makes `cron` the pipeline's one schedule; runs never overlap, and missed ones are not caught up on.

        A schedule that somebody has paused stays paused, and so does one that takes its place: when runs may
        start again is for a person to say.
        """
        description = self._digest(version, parameters, cron)
        with asking(self._server, "schedule runs"):
            experiment = self._experiment()
            before = self._schedules(experiment)
            is_paused = bool(before) and all(each.mode != "ENABLE" for each in before)
            same = [
                each
                for each in before
                if each.description == description and (each.mode == "ENABLE" or is_paused)
            ]
            if same:
                kept = same[0].recurring_run_id
            else:
                kept = self._client.create_recurring_run(
                    experiment_id=experiment,
                    job_name=self._name,
                    description=description,
                    cron_expression=cron,
                    max_concurrency=1,
                    no_catchup=True,
                    enabled=not is_paused,
                    **self._what(version, parameters),
                ).recurring_run_id
            # Only now: if the new one is refused, the old one goes on.
            replaced = tuple(each.recurring_run_id for each in before if each.recurring_run_id != kept)
            for old in replaced:
                self._client.delete_recurring_run(old)
        return Schedule(kept, not same, replaced, is_paused)

    @property
    def ignored_service_account(self) -> str:
        """A sentence, if this server's schedules do not run under the account that the profile names.

        Releases before 2.17 take the account of the workflow that they compile, which is always set
        (backend/src/apiserver/template/v2_template.go, `ScheduledWorkflow`).
        """
        account = self._kubeflow.service_account
        release = re.match(r"v?(\d+)\.(\d+)", self._release)
        if account is None or release is None or tuple(map(int, release.groups())) >= (2, 17):
            return ""
        return (
            f"Kubeflow Pipelines {self._release} runs schedules under pipeline-runner and not under {account}: "
            f"bind to pipeline-runner what {account} may do (docs/cluster.md), or upgrade to 2.17."
        )

    def _what(self, version: Version, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What every run is given, whether it starts now or by a schedule."""
        return {
            "pipeline_id": version.pipeline_id,
            "version_id": version.version_id,
            "params": dict(parameters),
            "pipeline_root": self._kubeflow.pipeline_root,
            # Neither True nor False: either would replace what each step says of its own cache.
            "enable_caching": None,
            "service_account": self._kubeflow.service_account,
        }

    def _digest(self, version: Version, parameters: Mapping[str, Any], cron: str) -> str:
        """The description of a schedule, by which a later call knows it.

        The server does not give back what it was given: neither an empty `runtime_config` nor the absence
        of a service account (backend/src/apiserver/server/api_converter.go, `toApiRecurringRun`).
        """
        what = [self._what(version, parameters), cron]
        return f"sha256 {hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]}"

    def _experiment(self) -> str:
        return self._client.create_experiment(self._name, namespace=self._server.namespace).experiment_id

    def _versions(self, pipeline_id: str) -> Iterator[Any]:
        ask = self._client.list_pipeline_versions
        return _pages(ask, "pipeline_versions", pipeline_id=pipeline_id, sort_by="created_at desc")

    def _schedules(self, experiment: str) -> list[Any]:
        pages = _pages(self._client.list_recurring_runs, "recurring_runs", experiment_id=experiment)
        return [schedule for schedule in pages if schedule.display_name == self._name]


def _pages(ask: Callable[..., Any], items: str, **what: Any) -> Iterator[Any]:
    token = ""
    while True:
        answer = ask(page_token=token, page_size=_PAGE, **what)
        yield from getattr(answer, items) or ()
        token = answer.next_page_token
        if not token:
            return
