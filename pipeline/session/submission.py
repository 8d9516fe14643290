"""A compiled package on its way to Kubeflow Pipelines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Config
from pipeline.kubeflow import arguments
from pipeline.kubeflow import compile as compiling
from pipeline.kubeflow.connection import Server


@dataclass(frozen=True)
class Submitted:
    """Ids of what a Kubeflow Pipelines server was given: "" for what was not asked for."""

    version: str
    run: str = ""
    schedule: str = ""


def submit(
    config: Config,
    server: Server,
    package: Path,
    parameters: Sequence[str],
    start: bool,
    cron: str | None,
    tell: Callable[[str], object],
    scores: bool = False,
) -> Submitted:
    """See `pipeline.session.Session.submit`."""
    values = arguments.parse_parameters(parameters, compiling.run_parameters(config, scores=scores))
    times = arguments.parse_schedule(cron) if cron is not None else None
    # Here and not above: the client takes a second to import.
    from pipeline.kubeflow.submit import Submission

    name = compiling.pipeline_name(config, scores=scores)
    submission = Submission(server, compiling.require_cluster(config, scores=scores), name)
    version = submission.upload(package)
    tell(f"Version {version.version_id} of {name}: {'uploaded' if version.is_new else 'already there'}")
    run = submission.start(version, values) if start else ""
    if run:
        tell(f"Run {run}: {server.host.rstrip('/')}/#/runs/details/{run}")
    if times is None:
        return Submitted(version.version_id, run)
    schedule = submission.schedule(version, values, times)
    tell(f"Schedule {schedule.recurring_run_id} ({times}): {schedule.outcome}")
    if submission.ignored_service_account:
        tell(f"Note: {submission.ignored_service_account}")
    return Submitted(version.version_id, run, schedule.recurring_run_id)
