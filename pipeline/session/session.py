"""A dataset and a profile to work with: the object behind the command lines and the notebooks."""

import contextlib
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.sections import ConfigurationError, UserError
from pipeline import config
from pipeline.engines.readiness import check_engine
from pipeline.metadata.readiness import check_database
from pipeline.running import edits, local, preflight
from pipeline.running.console import quiet
from pipeline.running.plan import Plan
from pipeline.running.request import Request, hide_secrets
from pipeline.runs.finding import choose, find_runs
from pipeline.runs.run import SUCCEEDED, Run, StoredRun
from pipeline.session.results import Result, Results
from pipeline.session.tensorboard import TensorBoard, serve_logs
from pipeline.workspace import Workspace, workspace_of

if TYPE_CHECKING:
    # Where they are used and not here: `local_runner.py` answers a mistake without them.
    from pipeline.kubeflow.connection import Server
    from pipeline.session.comparison import Comparison
    from pipeline.session.submission import Submitted


class RunError(UserError, RuntimeError):
    """A run that began and failed, or was told to stop; `str` is its one sentence, `result` what it left all the same."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.run.error or f"run {result.id} {result.run.status}.")
        self.result = result


@dataclass(frozen=True)
class Session:
    """A checked configuration and where its files go; immutable, as `load` or one of the `with_` methods made it.

    Attributes:
      config: The configuration.
      workspace: Where its files go.
      dataset: A name in ``datasets/``, or the absolute path of a TOML file.
      profile: The same of ``profiles/``.
      settings: The overrides, as for ``--set``.
    """

    config: config.Config
    workspace: Workspace
    dataset: str
    profile: str
    settings: tuple[str, ...] = ()

    def with_settings(self, *settings: str) -> "Session":
        """The same with more overrides, such as ``"training.epochs=3"``: what ``--set`` takes; later ones win.

        Raises:
          ConfigurationError: In one sentence that names the setting and the fix.
        """
        return self._again(self.profile, (*self.settings, *settings))

    def with_profile(self, profile: str) -> "Session":
        """The same under another profile: a name in ``profiles/``, or a TOML file.

        Raises:
          ConfigurationError: In one sentence.
        """
        return self._again(profile, self.settings)

    def _again(self, profile: str, settings: Sequence[str]) -> "Session":
        return load(self.dataset, profile, str(self.workspace.root.parent), settings)

    def plan(self, *, from_node: str | None = None, to_node: str | None = None) -> Plan:
        """Checks all that can be checked without TensorFlow, and says what `run` would do; nothing is written.

        Raises:
          ConfigurationError: In one sentence.
        """
        request = Request(from_node, to_node)
        preflight.check_place(self.workspace)
        source = local.check(self.config, request)
        window = preflight.find_window(self.config, source)
        # The work directory may not exist yet: workers see the data at least.
        check_engine(self.config.beam, files=window.newest.files[:1])
        check_database(self.config.metadata)
        spans = tuple(span.name for span in window.spans) if self.config.source.has_spans else ()
        nodes = tuple(node for node in request.selected if node in self.config.nodes)
        return Plan(nodes, source, spans, self.workspace.root)

    def run(
        self,
        *,
        from_node: str | None = None,
        to_node: str | None = None,
        cache: bool = True,
        verbose: bool = False,
        command: str = "",
    ) -> Result:
        """Runs the graph, or the nodes from `from_node` to `to_node`, both included, in this process.

        Each node is a line on standard output, a notebook's too, once it has ended. Ctrl-C, or the notebook's stop,
        ends the run with its record, and nothing of it goes on. Must be called in the main thread, as Python's
        signals are.

        Args:
          from_node: Earlier nodes are not run: their outputs of an earlier run are used.
          to_node: Later nodes are not run.
          cache: Whether a node whose inputs, parameters and code are as before is skipped.
          verbose: Whether the output of the libraries is shown, instead of going to the run's log.
          command: How to run it again, for the report; this call, as Python, unless it is given.

        Raises:
          ConfigurationError: Nothing was run, because something asked for cannot be.
          RunError: The run began, and failed or was told to stop.
        """
        if threading.current_thread() is not threading.main_thread():
            raise ConfigurationError(
                "run must be called in the main thread, since Python gives signals to no other: start a process instead."
            )
        command = command or self._call("run", from_node=from_node, to_node=to_node, cache=cache)
        request = Request(from_node, to_node, cache, verbose, command=command)
        with edits.unedited():
            run = local.run(self.config, self.workspace, request)
        result = self._result(run)
        if run.status != SUCCEEDED:
            raise RunError(result)
        return result

    def _call(self, method: str, **arguments: object) -> str:
        """The Python expression of a call, as records may show it."""
        defaults = {"cache": True}
        given = [f"{name}={value!r}" for name, value in arguments.items() if value != defaults.get(name)]
        shown = [hide_secrets(setting) for setting in self.settings]
        settings = f", settings={shown!r}" if shown else ""
        return f"load({self.dataset!r}, {self.profile!r}{settings}).{method}({', '.join(given)})"

    def _result(self, run: Run) -> Result:
        return Result(StoredRun(run.run_id, self.workspace.root, run), self.config)

    @property
    def runs(self) -> Results:
        """Every run of this pipeline so far, the oldest first; shown as a table."""
        found = find_runs(self.workspace.root.parent, self.config.name)
        return Results(tuple(Result(stored, self.config) for stored in found))

    def result(self, name: str = "latest") -> Result:
        """The run that `name` means: an id, a unique beginning of one, ``latest``, or ``latest~1`` for the one before.

        Raises:
          ConfigurationError: If none is meant, or several.
        """
        return Result(choose([result.stored for result in self.runs], name), self.config)

    def compare(self, first: str | Result = "latest~1", second: str | Result = "latest") -> "Comparison":
        """What differs between two runs, which may be of other sessions.

        Raises:
          ConfigurationError: If a name means none or several, or both are one run.
        """
        from pipeline.session.comparison import Comparison

        one, other = (each if isinstance(each, Result) else self.result(each) for each in (first, second))
        return Comparison.of(one.stored, other.stored)

    def tensorboard(self) -> TensorBoard:
        """TensorBoard on the logs of this pipeline's trainings, and of what else writes below `workspace.logs`."""
        return serve_logs(self.workspace.logs)

    def compile(
        self, output: str | Path = "pipeline.yaml", *, verbose: bool = False, scores: bool = False
    ) -> Path:
        """Compiles the graph for Kubeflow Pipelines; returns `output`, which appears whole or not at all.

        With `scores` it is the pipeline that predicts a table with the live model, as ``[scoring]`` says.

        The same configuration and code give the same bytes.

        Raises:
          ConfigurationError: If the profile has no [kubeflow], or a cluster would refuse the result.
        """
        from pipeline.kubeflow import compile as compiling

        compiling.require_cluster(self.config, scores=scores)
        path = Path(output)
        compiling.check_output(path)
        # What libraries say of themselves. TensorFlow 2.21 writes it to the file descriptor, whatever
        # TF_CPP_MIN_LOG_LEVEL says; 2.16 does not.
        said = contextlib.nullcontext() if verbose else quiet(Path(os.devnull))
        with edits.unedited(), said, warnings.catch_warnings():
            if not verbose:
                warnings.simplefilter("ignore")
            compiled = compiling.compile_pipeline(self.config, scores=scores)
        compiling.write(compiled, path)
        return path

    def submit(
        self,
        server: "Server",
        package: Path,
        parameters: Sequence[str] = (),
        *,
        start: bool = True,
        cron: str | None = None,
        tell: Callable[[str], object] = print,
        scores: bool = False,
    ) -> "Submitted":
        """Uploads a compiled package, unless it is there already; starts a run of it, and schedules runs.

        Args:
          server: Where, and who we are: ``Server("http://localhost:8080")`` of `pipeline.kubeflow.connection`.
          package: From `compile`.
          parameters: Of the run, as ``NAME=VALUE``; the package has defaults.
          start: Whether to start a run.
          cron: When to run, from now on and in place of any schedule before: ``"0 3 * * *"``, in UTC; None for none.
          tell: Called with a line for each thing, once it is done.
          scores: Whether `package` was compiled so.

        Raises:
          ConfigurationError: On a parameter that there is not, or a time that never comes.
          ServerError: If the server refuses or does not answer.
        """
        from pipeline.session.submission import submit

        return submit(self.config, server, package, parameters, start, cron, tell, scores)


def load(
    dataset: str | os.PathLike[str] = "taxi",
    profile: str | os.PathLike[str] = "laptop",
    workdir: str | os.PathLike[str] = "runs",
    settings: Sequence[str] = (),
) -> Session:
    """Reads and checks a whole configuration; no data is read, and nothing is written.

    Args:
      dataset: A name in ``datasets/``, or a path to a TOML file.
      profile: A name in ``profiles/``, or a path to a TOML file.
      workdir: Where everything is written, below a folder of the pipeline's name; relative to the working directory of
        now: a later change of it moves nothing.
      settings: Overrides such as ``"training.epochs=3"``: what ``--set`` takes; later ones win.

    Raises:
      ConfigurationError: In one sentence that names the file or the setting, the key and the fix.
    """
    edits.remember()
    named = [os.fspath(name) for name in (dataset, profile)]
    loaded = config.load(named[0], named[1], settings)
    # Read again by `with_settings`, perhaps from another working directory.
    paths = [str(Path(name).absolute()) if name.endswith(".toml") else name for name in named]
    return Session(
        loaded,
        workspace_of(os.fspath(workdir), loaded.name, loaded.metadata),
        paths[0],
        paths[1],
        tuple(settings),
    )
