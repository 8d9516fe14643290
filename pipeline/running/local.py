"""One run under TFX's LocalDagRunner, from checked configuration to summary."""

import contextlib
import dataclasses
import os
import sys
import time
import traceback
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console

from foundation.lock import locked
from foundation.process import without_collection
from pipeline.config import Config
from pipeline.fingerprint import step_fingerprint
from pipeline.nodes import STEPS
from pipeline.notify.announcement import announce
from pipeline.running import console as terminal
from pipeline.running import inputs, preflight
from pipeline.running.failure import drift_of, explain, is_interruption
from pipeline.running.imports import import_lean
from pipeline.running.interruption import interruptible
from pipeline.running.request import Request
from pipeline.runs.display import show
from pipeline.runs.run import FAILED, RUNNING, SUCCEEDED, Run
from pipeline.runs.run import settle_killed as mark_killed
from pipeline.workspace import Workspace
from trainer_module.run import HIDDEN_GPUS


def check(config: Config, request: Request) -> Path:
    """Checks everything that can be checked without TensorFlow.

    Returns:
      The folder of the dataset's files.

    Raises:
      ConfigurationError: In one sentence.
    """
    request.check(config)
    source = preflight.find_source(config)
    preflight.check_paths(config)
    config.notify.check(os.environ)
    return source


def run(config: Config, workspace: Workspace, request: Request) -> Run:
    """Runs the graph and leaves a summary, also of a run that failed.

    Raises:
      ConfigurationError: If nothing was run because something asked for cannot be.
    """
    source = check(config, request)
    preflight.check_workspace(workspace)
    request.check_first_run(workspace)
    with locked(workspace.lock, wait_seconds=0):
        notes = tuple(settle_killed(config, workspace))
        return run_locked(config, workspace, dataclasses.replace(request, notes=notes), source)


def settle_killed(config: Config, workspace: Workspace) -> list[str]:
    """Records the runs that were killed, and announces them at once: this run may be killed too.

    Returns:
      A sentence for each, and for each notification that failed.
    """
    killed = mark_killed(workspace)
    warnings = announce(config, workspace, killed) if killed else []
    return [*(f"run {run.run_id} was killed before it ended" for run in killed), *warnings]


def run_locked(config: Config, workspace: Workspace, request: Request, source: Path) -> Run:
    """The same, once everything is checked and the workspace's lock is held."""
    started = time.monotonic()
    begun = begin_run(config, request)
    data = inputs.read_data(config, workspace, source)
    log_file = workspace.logs / f"run-{begun.run_id}.log"
    decisive = {} if request.is_partial else inputs.read_inputs(config, data)
    begun = dataclasses.replace(begun, log=str(log_file), inputs=decisive)
    dataclasses.replace(begun, status=RUNNING).write(workspace)
    _keep_gpus_for_the_trainer()
    then = {"Trainer": _start_serving_process} if "ServingCheck" in request.selected else {}
    earlier = None
    with interruptible() as asked, contextlib.ExitStack() as stack:
        stream = sys.stdout if request.verbose else stack.enter_context(terminal.quiet(log_file))
        console = Console(file=stream)
        console.print(f"Pipeline {config.name}, profile {config.profile}, data {source}", soft_wrap=True)
        try:
            with terminal.Progress(console, asked, then).watching():
                earlier = _latest_run(config, workspace)
                _run_graph(config, workspace, request, source, data)
            ended = dataclasses.replace(begun, status=SUCCEEDED)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            traceback.print_exc()
            interrupted = is_interruption(error)
            ended = dataclasses.replace(
                begun, error=explain(error), interrupted=interrupted, drift=drift_of(error)
            )
            if interrupted:
                ended = dataclasses.replace(ended, stop_signal=asked.signal)
        if earlier is not None:
            from pipeline.runs.outcome import describe

            ended = describe(ended, workspace, frozenset(request.selected), earlier)
        notes = (*ended.notes, *_remove_old(ended, workspace, config))
        ended = dataclasses.replace(ended, notes=notes, wall_seconds=round(time.monotonic() - started, 2))
        # Before the report as well: a run that is killed while it is made still has its summary.
        ended.write(workspace)
        ended = _report(ended, config, workspace)
        ended.write(workspace)
        show(ended, workspace, console)
        for warning in announce(config, workspace, [ended]):
            console.print(f"{'warning':<14}{warning}", markup=False, highlight=False, soft_wrap=True)
    return ended


def begin_run(config: Config, request: Request) -> Run:
    """A run that begins now, with the status "failed" until it succeeds."""
    begun = datetime.now(timezone.utc)
    return Run(
        FAILED,
        config.name,
        config.profile,
        0.0,
        # Sorts by time; the fraction keeps runs apart that start in the same second.
        run_id=f"{begun:%Y%m%d-%H%M%S}-{begun.microsecond // 1000:03d}",
        started=begun.isoformat(timespec="seconds"),
        notes=request.notes,
        # Versions of the model carry the same.
        code=step_fingerprint(STEPS["Trainer"], config),
        command=request.command,
    )


def _start_serving_process() -> None:
    # Beside the Evaluator, which follows the Trainer and keeps one core busy.
    from components.serving_check.isolated_replay import start_ahead

    start_ahead()


def _latest_run(config: Config, workspace: Workspace) -> int:
    # Here and not above: importing TFX takes seconds, and a wrong configuration is answered at once.
    with without_collection():
        import_lean(config.beam.runner)
        from pipeline import graph  # noqa: F401 - everything that the run needs
        from pipeline.runs import metadata

    return metadata.latest_run(workspace)


def _run_graph(
    config: Config, workspace: Workspace, request: Request, source: Path, data: inputs.Data
) -> None:
    from absl import logging
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import RunOptions

    from components.pusher.versions import check_live
    from foundation.saved_model import identity
    from pipeline.graph import Surroundings, build

    logging.set_verbosity(logging.INFO)
    _link_tensorboard(workspace)
    now = Surroundings(
        str(source),
        window_end=data.window_end,
        window_fingerprint=data.fingerprint,
        live_model=identity(check_live(workspace.serving)),
        serving_logs_state=preflight.state_of(config.serving_logs),
    )
    pipeline = build(config, workspace, now, cache=request.cache)
    options = None
    if request.is_partial:
        options = RunOptions(
            from_nodes=[request.from_node] if request.from_node else None,
            to_nodes=[request.to_node] if request.to_node else None,
        )
    LocalDagRunner().run(pipeline, run_options=options)


def _remove_old(run: Run, workspace: Workspace, config: Config) -> list[str]:
    """Removes the artifacts of old runs, after a run that succeeded; returns notes on that."""
    if run.status != SUCCEEDED or not config.retention.runs:
        return []
    from pipeline.running import retention
    from pipeline.runs import metadata

    keep = config.retention.runs
    try:
        removed = retention.remove_old_artifacts(metadata.open_store(workspace), workspace, keep)
    except OSError as error:
        return [f"artifacts of old runs could not be removed ({error}): the next run tries again"]
    return [f"removed {removed} artifact(s) of runs before the last {keep}"] if removed else []


def _report(run: Run, config: Config, workspace: Workspace) -> Run:
    """Writes the run's report; an error in it never fails the run."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        from pipeline.runs.report import write_report

        return dataclasses.replace(run, report=str(write_report(run, config, workspace)))
    except (Exception, KeyboardInterrupt) as error:
        traceback.print_exc()
        note = f"no report could be made ({type(error).__name__}: {error}); the log says more"
        return dataclasses.replace(run, notes=(*run.notes, note))


def _keep_gpus_for_the_trainer() -> None:
    """Hides the GPUs from this process, where Beam's steps would take their memory (trap 9).

    The Trainer then runs in a process of its own that sees them; TensorFlow cannot be shown a GPU once
    it has started without. Where there is no GPU the Trainer saves itself a second start.
    """
    if any(Path("/dev").glob("nvidia[0-9]*")):
        os.environ[HIDDEN_GPUS] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _link_tensorboard(workspace: Workspace) -> None:
    """Makes every training's event files visible below the log directory, while they are written."""
    link = workspace.logs / "Trainer"
    target = workspace.artifacts / "Trainer" / "model_run"
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(target, workspace.logs))
