"""One run under TFX's LocalDagRunner, from checked configuration to summary."""

import contextlib
import dataclasses
import os
import sys
import time
from pathlib import Path

from foundation import project
from foundation.lock import locked
from foundation.process import without_collection
from pipeline.config import Config
from pipeline.engines.arguments import as_environment, placeholders
from pipeline.engines.readiness import check_engine, flink_of
from pipeline.engines.watch import following
from pipeline.metadata.identity import ensure_identity
from pipeline.metadata.readiness import check_database
from pipeline.notify.announcement import announce
from pipeline.running import console as terminal
from pipeline.running import inputs, preflight
from pipeline.running.beginning import begin_run, recording_refusal
from pipeline.running.failure import drift_of, explain, remove_abandoned
from pipeline.running.imports import import_lean
from pipeline.running.interruption import interruptible
from pipeline.running.request import Request
from pipeline.running.room import give_room_back, keep_room
from pipeline.running.settling import log_traceback, settle
from pipeline.runs.run import KILLED, RUNNING, SUCCEEDED, Run, read_runs
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
    """Runs the graph and leaves a summary, also of a run that failed; one that cannot begin is announced.

    Raises:
      ConfigurationError: If nothing was run because something asked for cannot be.
    """
    # What the command line alone has wrong is no run.
    request.check(config)
    # A first run by a person who mistyped a path leaves nothing behind; where there is a history, the refusal is in it.
    source = None if workspace.runs.is_dir() else check(config, request)
    preflight.check_workspace(workspace)
    request.check_first_run(workspace)
    with locked(workspace.lock, wait_seconds=0):
        request = dataclasses.replace(request, notes=tuple(settle_killed(config, workspace)))
        if source is None:
            with recording_refusal(config, workspace, request):
                source = check(config, request)
        return run_locked(config, workspace, request, source)


def settle_killed(config: Config, workspace: Workspace) -> list[str]:
    """Records the runs that were killed, and announces them at once: this run may be killed too.

    Returns:
      A sentence for each, and for each notification that failed.
    """
    give_room_back(workspace)
    killed = mark_killed(workspace)
    warnings = announce(config, workspace, killed) if killed else []
    return [*(f"run {run.run_id} was killed before it ended" for run in killed), *warnings]


def run_locked(config: Config, workspace: Workspace, request: Request, source: Path) -> Run:
    """The same, once everything is checked and the workspace's lock is held."""
    started = time.monotonic()
    with recording_refusal(config, workspace, request):
        begun = begin_run(config, request)
        if not config.beam.is_local:
            window = preflight.find_window(config, source)
            check_engine(config.beam, workspace.root, window.newest.files[:1])
        if workspace.database is not None:
            check_database(workspace.database, create=True)
            ensure_identity(workspace)
            begun = dataclasses.replace(begun, notes=(*begun.notes, *workspace.database.warnings()))
        data = inputs.read_data(config, workspace, source)
        log_file = workspace.run_log(begun.run_id)
        decisive = {} if request.is_partial else inputs.read_inputs(config, data)
        begun = dataclasses.replace(begun, log=str(log_file), inputs=decisive)
        keep_room(workspace)
        dataclasses.replace(begun, status=RUNNING).write(workspace)
    _keep_gpus_for_the_trainer()
    project.share_path()
    job = f"{config.name}-{begun.run_id}"
    os.environ.update(as_environment([*config.beam.arguments(), f"--job_name={job}"]))
    then = {"Trainer": _start_serving_process} if "ServingCheck" in request.selected else {}
    earlier, notes = None, list[str]()
    with interruptible() as asked, contextlib.ExitStack() as stack:
        stream = sys.stdout if request.verbose else stack.enter_context(terminal.quiet(log_file))
        console = terminal.open_console(stream)
        console.print(f"Pipeline {config.name}, profile {config.profile}, data {source}", soft_wrap=True)
        try:
            progress, killed = terminal.Progress(console, asked, then), _killed_jobs(config, workspace)
            with progress.watching(), following(flink_of(config.beam), job, killed, progress) as notes:
                earlier = _latest_run(config, workspace)
                _run_graph(config, workspace, request, source, data)
            asked.is_held = True
            ended = dataclasses.replace(begun, status=SUCCEEDED)
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            # Whoever is impatient presses Ctrl-C twice.
            asked.is_held = True
            log_traceback()
            remove_abandoned(error)
            interrupted = asked.explains(error)
            said = explain(KeyboardInterrupt() if interrupted else error)
            ended = dataclasses.replace(begun, error=said, interrupted=interrupted, drift=drift_of(error))
            if interrupted:
                ended = dataclasses.replace(ended, stop_signal=asked.signal)
        finally:
            _end_processes()
        ended = dataclasses.replace(ended, notes=(*ended.notes, *notes))
        return settle(ended, config, workspace, frozenset(request.selected), earlier, started, console, asked)


def _killed_jobs(config: Config, workspace: Workspace) -> list[str]:
    """Names of jobs of runs that were killed, so that nobody has cancelled them."""
    if config.beam.is_local:
        return []
    return [f"{config.name}-{run.run_id}" for run in read_runs(workspace) if run.status == KILLED]


def _start_serving_process() -> None:
    # Beside the Evaluator, which follows the Trainer and keeps one core busy.
    from components.serving_check.isolated_replay import start_ahead

    start_ahead()


def _end_processes() -> None:
    """Ends what the steps have started for others of the run: a notebook's process stays after it."""
    for module, end in (
        # Where no ServingCheck has used it.
        ("components.serving_check.isolated_replay", "end_ahead"),
        ("components.processes.division", "end_zygote"),
    ):
        if module in sys.modules:
            getattr(sys.modules[module], end)()


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
    from pipeline.graph import Surroundings, build
    from pipeline.metadata.connection import keyed

    logging.set_verbosity(logging.INFO)
    _, live_model = check_live(workspace.serving)
    _link_tensorboard(workspace)
    now = Surroundings(
        str(source),
        window_end=data.window_end,
        window_fingerprint=data.fingerprint,
        live_model=live_model,
        serving_logs_state=preflight.state_of(config.serving_logs),
    )
    pipeline = build(config, workspace, now, cache=request.cache, beam_arguments=placeholders())
    options = None
    if request.is_partial:
        options = RunOptions(
            from_nodes=[request.from_node] if request.from_node else None,
            to_nodes=[request.to_node] if request.to_node else None,
        )
    with keyed(workspace.database):
        LocalDagRunner().run(pipeline, run_options=options)


def _keep_gpus_for_the_trainer() -> None:
    """Hides the GPUs from this process, where Beam's steps would take their memory (trap 9).

    The Trainer then runs in a process of its own that sees them; TensorFlow cannot be shown a GPU once
    it has started without. Where there is no GPU the Trainer saves itself a second start.
    """
    # The second run of a process finds them hidden.
    if HIDDEN_GPUS not in os.environ and any(Path("/dev").glob("nvidia[0-9]*")):
        os.environ[HIDDEN_GPUS] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _link_tensorboard(workspace: Workspace) -> None:
    """Makes every training's event files visible below the log directory, while they are written."""
    link = workspace.logs / "Trainer"
    target = workspace.artifacts / "Trainer" / "model_run"
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(target, workspace.logs))
