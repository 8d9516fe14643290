"""One model of a run, and the only place that reads and writes its file, `WORKDIR/<pipeline>/runs/<run id>.json`.

A run writes its file when it begins, with the status "running", and replaces it when it ends; then
`run_summary.json` beside the folder has the same contents. Who holds the workspace's lock and finds a run
that still says "running" knows that it was killed. It imports no TensorFlow.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from components.data_gate.distance import Distance, read_distances
from foundation import registry
from foundation.replacing import replace_file
from pipeline.workspace import Workspace
from trainer_module import tasks

Record = TypeVar("Record")

RUNNING, SUCCEEDED, FAILED, KILLED = "running", "succeeded", "failed", "killed"


@dataclass(frozen=True)
class NodeRun:
    """One node: its state is "executed", "cached", "skipped" or "failed"."""

    id: str
    state: str
    seconds: float


@dataclass(frozen=True)
class TrainingSetup:
    """How the model was trained."""

    strategy: str = ""
    strategy_reason: str = ""
    replicas: int = 1
    precision: str = ""
    precision_reason: str = ""
    global_batch_size: int = 0
    """In rows."""


@dataclass(frozen=True)
class SpansRead:
    """The spans that ExampleGen read, by name, oldest first."""

    window: tuple[str, ...]
    newest: str
    converted: tuple[str, ...] = ()
    """Those that this run converted."""
    missing: tuple[str, ...] = ()
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    """Rows by span and split."""


@dataclass(frozen=True)
class Run:
    """What a run did and left. Runs of earlier versions lack fields, which have their defaults here."""

    status: str
    dataset: str = ""
    profile: str = ""
    wall_seconds: float = 0.0
    nodes: tuple[NodeRun, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    main_metric: str = ""
    """The one of `metrics` that runs are listed by."""
    more_is_better: bool | None = None
    """Whether a greater value of it is better; None for not known."""
    test_metrics: dict[str, float] = field(default_factory=dict)
    """On the test split, where there is one."""
    mean_predictor: dict[str, float] = field(default_factory=dict)
    """Metrics on the eval split of always predicting the mean label; of a number's task only."""
    slice_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    importance: dict[str, float] = field(default_factory=dict)
    """Feature → by how much the mean loss grows without its values; empty where nothing was explained."""
    examples: dict[str, int] = field(default_factory=dict)
    blessed: bool = False
    refusals: tuple[str, ...] = ()
    pushed_model: str | None = None
    app_export: str | None = None
    tuned: dict[str, Any] = field(default_factory=dict)
    """Setting → value that the Tuner found to be better; empty where it found none, or did not run."""
    trials: int = 0
    """Of the Tuner; 0 where it did not run."""
    distribution: TrainingSetup | None = None
    """None where nothing was trained."""
    spans: SpansRead | None = None
    """None for a table without spans."""
    drift: tuple[Distance, ...] = ()
    error: str | None = None
    interrupted: bool = False
    stop_signal: int = 0
    """The signal that told it to stop; 0 for none."""
    notes: tuple[str, ...] = ()
    log: str | None = None
    run_id: str = ""
    started: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    """From `pipeline.running.inputs`; empty where only a part of the graph was asked for."""
    metadata_run: int = 0
    """Id of the run's context in ML Metadata; 0 where it has none."""
    code: str = ""
    """Fingerprint of the learner's code, as versions of the model carry it."""
    command: str = ""
    report: str | None = None
    sequence: int = 0
    """The how manieth of its workspace, from 1, whatever the clock said; 0 in records of earlier versions."""

    @property
    def is_whole(self) -> bool:
        """Whether it was of the whole graph and has ended; `--from` and `--to` leave no inputs behind."""
        return bool(self.inputs) and self.status != RUNNING

    @property
    def ended(self) -> float:
        """When it ended, in seconds since 1970; when it began, where nobody saw it end."""
        try:
            return datetime.fromisoformat(self.started).timestamp() + self.wall_seconds
        except (ValueError, OverflowError):
            return self.wall_seconds

    @property
    def result(self) -> tuple[str, float | None]:
        """The main metric and its value; ("", None) where there is none."""
        name = self.main_metric or _guess_main_metric(self.metrics)
        return name, self.metrics.get(name)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Run":
        """The run of a file's contents, without what this version does not know."""
        given = {key: value for key, value in values.items() if value is not None}
        given["nodes"] = tuple(read_known(NodeRun, node) for node in given.get("nodes", ()))
        given["drift"] = tuple(read_distances(given.get("drift", ())))
        for key, kind in (("distribution", TrainingSetup), ("spans", SpansRead)):
            # Earlier versions write {} for none.
            given[key] = read_known(kind, given[key]) if given.get(key) else None
        return read_known(cls, given)

    def write(self, workspace: Workspace) -> None:
        """Writes the run's file, and `run_summary.json` if the run ended as such."""
        path = workspace.runs / f"{self.run_id}.json"
        values = asdict(self)
        if not self.sequence:
            earlier = read_run(path)
            values["sequence"] = (earlier.sequence if earlier else 0) or 1 + max(
                (run.sequence for run in read_runs(workspace)), default=0
            )
        text = json.dumps(values, indent=2) + "\n"
        replace_file(path, text)
        if self.status in (SUCCEEDED, FAILED):
            replace_file(workspace.summary, text)


@dataclass(frozen=True)
class StoredRun:
    """One run, and where it is; `root` is its pipeline's, `WORKDIR/<pipeline>`."""

    id: str
    root: Path
    run: Run

    @property
    def report(self) -> Path:
        """Its page, which may not be there."""
        return self.root / "reports" / f"{self.id}.html"


def _guess_main_metric(metrics: Mapping[str, float]) -> str:
    """Of a run that does not say: a task's main metric that was measured, or the first; "" without any."""
    names = (tasks.find_task(name).main_metric for name in registry.names(tasks.__name__))
    return next((name for name in names if name in metrics), next(iter(metrics), ""))


def read_run(path: Path) -> Run | None:
    """The run of a file; None where it cannot be read or is none, since a run may be writing it."""
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict) or "status" not in values:
            return None
        # Among the runs a file's name says whose it is; what is in it may be damaged.
        named = {"run_id": path.stem} if path.parent.name == "runs" else {}
        run = Run.from_json({**values, **named})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return run if _is_sound(run) else None


def read_known(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A dataclass from JSON values, without what this version does not know.

    Raises:
      TypeError: If a field without a default is missing.
    """
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(
        **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
            if key in known
        }
    )


def _is_sound(record: Any) -> bool:
    """Whether every field has its type: a file may be anybody's."""
    hints = typing.get_type_hints(type(record))
    return all(_fits(getattr(record, each.name), hints[each.name]) for each in fields(record))


def _fits(value: Any, kind: Any) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, arguments[0]) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return isinstance(value, kind) and _is_sound(value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def read_runs(workspace: Workspace) -> list[Run]:
    """Every run of a workspace, in the order in which they began. A file that cannot be read is left out."""
    runs = [run for path in sorted(workspace.runs.glob("*.json")) if (run := read_run(path)) is not None]
    # Not by the date in the name: one day of a wrong clock would hide all runs after it.
    return sorted(runs, key=lambda run: run.sequence)


def settle_killed(workspace: Workspace) -> list[Run]:
    """Marks as "killed", and returns, every run that began and never ended; call it with the lock held."""
    for directory in (workspace.runs, workspace.reports):
        for unfinished in directory.glob("*.unfinished"):
            unfinished.unlink()
    error = "the process ended without a word: it was killed, or the machine went down."
    killed = [
        replace(run, status=KILLED, error=error) for run in read_runs(workspace) if run.status == RUNNING
    ]
    for run in killed:
        run.write(workspace)
    return killed


def whole_runs(runs: Sequence[Run]) -> list[Run]:
    """Those of the whole graph that have ended."""
    return [run for run in runs if run.is_whole]


def last_success(runs: Sequence[Run]) -> Run | None:
    """The newest run of the whole graph that succeeded."""
    return next((run for run in reversed(runs) if run.is_whole and run.status == SUCCEEDED), None)
