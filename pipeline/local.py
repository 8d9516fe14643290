"""One run under TFX's LocalDagRunner, from checked configuration to summary."""

import contextlib
import dataclasses
import fcntl
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

from rich.console import Console

from pipeline import console as terminal
from pipeline import preflight
from pipeline.config import ROOT, Config
from pipeline.fingerprint import fingerprint
from pipeline.nodes import NODES
from pipeline.summary import Summary, show, summarize_nodes
from pipeline.workspace import Workspace
from trainer_module.run import HIDDEN_GPUS
from trainer_module.sections import ConfigurationError


@dataclasses.dataclass(frozen=True)
class Request:
    """What one run is asked to do, besides its configuration."""

    from_node: str | None = None
    to_node: str | None = None
    cache: bool = True
    verbose: bool = False
    command: str = ""
    """As it was given, so that a report can say how to run it again."""

    @property
    def selected(self) -> frozenset[str]:
        """The nodes between `from_node` and `to_node`."""
        first = NODES.index(self.from_node) if self.from_node else 0
        last = NODES.index(self.to_node) if self.to_node else len(NODES) - 1
        return frozenset(NODES[first : last + 1])

    @property
    def is_partial(self) -> bool:
        """Whether some node is left out."""
        return len(self.selected) < len(NODES)


def check(config: Config, workspace: Workspace, request: Request) -> Path:
    """Everything that can be found wrong without TensorFlow.

    Returns:
      The folder of the dataset's files.

    Raises:
      ConfigurationError: In one sentence.
    """
    preflight.check_nodes(request.from_node, request.to_node)
    preflight.check_app_export(config, request.from_node, request.to_node)
    source = preflight.find_source(config)
    preflight.check_schema(config)
    return source


def run(config: Config, workspace: Workspace, request: Request) -> Summary:
    """Runs the graph and leaves a summary, also of a run that failed.

    Raises:
      ConfigurationError: If nothing was run because something asked for cannot be.
    """
    source = check(config, workspace, request)
    preflight.check_workspace(workspace)
    _refuse_partial_first_run(workspace, request)
    begun = datetime.now(timezone.utc)
    # Sorts by time; the fraction keeps runs apart that start in the same second.
    run_id = f"{begun:%Y%m%d-%H%M%S}-{begun.microsecond // 1000:03d}"
    log_file = workspace.logs / f"run-{run_id}.log"
    started = time.monotonic()
    summary = Summary(
        "failed",
        config.name,
        config.profile,
        0.0,
        log=str(log_file),
        run_id=run_id,
        started=begun.isoformat(timespec="seconds"),
        code=fingerprint(ROOT, "trainer_module.run"),
        command=request.command,
    )
    _keep_gpus_for_the_trainer()
    with _locked(workspace), _interruptible() as asked, contextlib.ExitStack() as stack:
        stream = sys.stdout if request.verbose else stack.enter_context(terminal.quiet(log_file))
        console = Console(file=stream)
        console.print(f"Pipeline {config.name}, profile {config.profile}, data {source}", soft_wrap=True)
        try:
            with terminal.Progress(console, asked).watching():
                _run_graph(config, workspace, request, source)
            summary = dataclasses.replace(summary, status="succeeded")
        except (Exception, KeyboardInterrupt, SystemExit) as error:
            traceback.print_exc()
            summary = dataclasses.replace(summary, error=_explain(error))
        summary = _describe(summary, workspace, request, begun)
        summary = dataclasses.replace(summary, wall_seconds=round(time.monotonic() - started, 2))
        # Before the report as well: a run that is killed while it is made still has its summary.
        _write(summary, workspace)
        summary = _report(summary, config, workspace)
        _write(summary, workspace)
        show(summary, workspace, console)
    return summary


def _run_graph(config: Config, workspace: Workspace, request: Request, source: Path) -> None:
    # Here and not above: importing TFX takes seconds, and a wrong configuration is answered at once.
    from absl import logging
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.orchestration.pipeline import RunOptions

    from components.model_versions import identity, newest_version
    from pipeline.graph import build

    logging.set_verbosity(logging.INFO)
    _link_tensorboard(workspace)
    pipeline = build(
        config,
        workspace,
        str(source),
        live_model=identity(newest_version(workspace.serving)),
        cache=request.cache,
    )
    options = None
    if request.is_partial:
        options = RunOptions(
            from_nodes=[request.from_node] if request.from_node else None,
            to_nodes=[request.to_node] if request.to_node else None,
        )
    LocalDagRunner().run(pipeline, run_options=options)


def _describe(summary: Summary, workspace: Workspace, request: Request, begun: datetime) -> Summary:
    """Adds what the metadata store knows of the run."""
    from pipeline import record, results

    if not workspace.metadata.exists():
        return summary
    store = record.open_store(workspace)
    metadata_run = record.latest_run_id(store, begun.timestamp())
    records = record.read_run(store, metadata_run) if metadata_run else {}
    notes = []
    unchanged = all(records[node].state == "cached" for node in ("Transform", "Trainer") if node in records)
    if unchanged and "Evaluator" in records and records["Evaluator"].state == "executed":
        notes.append(
            "the Evaluator ran again because the live model changed since the last run: the model is "
            "now compared with it (the next identical run is fully cached)"
        )
    error = summary.error
    failed = [node for node in NODES if node in records and records[node].state == "failed"]
    if error is not None and failed:
        error = f"{failed[0]}: {error}"
    return dataclasses.replace(
        summary,
        nodes=summarize_nodes(records, request.selected),
        metrics=results.overall_metrics(records),
        blessed=results.blessed(records),
        refusals=results.refusals(records),
        pushed_model=results.pushed_model(records),
        app_export=results.app_export(records),
        distribution=results.distribution(records),
        notes=tuple(notes),
        error=error,
        metadata_run=metadata_run,
    )


def _write(summary: Summary, workspace: Workspace) -> None:
    summary.write(workspace.runs / f"{summary.run_id}.json")
    summary.write(workspace.summary)


def _report(summary: Summary, config: Config, workspace: Workspace) -> Summary:
    """Leaves the run's report; whatever goes wrong with it, the run and its summary stand."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        from pipeline.report import write_report

        return dataclasses.replace(summary, report=str(write_report(summary, config, workspace)))
    except (Exception, KeyboardInterrupt) as error:
        traceback.print_exc()
        note = f"no report could be made ({type(error).__name__}: {error}); the log says more"
        return dataclasses.replace(summary, notes=(*summary.notes, note))


def _explain(error: BaseException) -> str:
    """The error as a user should read it: our own errors whole, others by type and last line."""
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return "interrupted; the next run starts where this one stopped."
    own = (
        "ConfigurationError",
        "DataGateError",
        "WorkerError",
        "AppExportError",
        "EncodingError",
        "ToolError",
    )
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in own:
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _refuse_partial_first_run(workspace: Workspace, request: Request) -> None:
    if request.from_node not in (None, NODES[0]) and not workspace.metadata.exists():
        raise ConfigurationError(
            f"--from {request.from_node} needs the outputs of an earlier run, and {workspace.root} has "
            "none: run once without --from."
        )


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


@contextlib.contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    """Keeps a second run out; the operating system lifts the lock when a run is killed."""
    with (workspace.root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"Another run is using {workspace.root}: wait for it, or choose another --workdir."
            ) from error
        yield


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Makes SIGINT and SIGTERM end the run with a summary.

    Python loses an exception that a signal raises inside a destructor or a callback from C, of which
    TensorFlow and Beam have many; the event remembers, and `Progress` asks it before each node.
    """
    asked = threading.Event()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        asked.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
