"""Runs as a notebook shows them: their figures as tables of pandas, their pages inline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from components.run_report.text import clean
from foundation.sections import ConfigurationError
from pipeline.config import Config
from pipeline.nodes import NODES
from pipeline.runs.display import describe_stored
from pipeline.runs.run import Run, StoredRun
from pipeline.session.page import Page
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.session.data import Data

_WHOLE = "whole eval split"


@dataclass(frozen=True)
class Result:
    """One run and what it left; read when it is asked for.

    Attributes:
      stored: The run's record, and where it is.
      config: Of the session that asks. A past run may have had other settings; its report's last section has them.
    """

    stored: StoredRun
    config: Config

    @property
    def id(self) -> str:
        """The run's id, which is the time when it began (UTC)."""
        return self.stored.id

    @property
    def run(self) -> Run:
        """The record: status, blessing, pushed model, seconds of each node, and more."""
        return self.stored.run

    @property
    def workspace(self) -> Workspace:
        """Where the run's files are."""
        return Workspace(self.stored.root, self.config.name, self.config.metadata)

    @property
    def metrics(self) -> "pd.DataFrame":
        """Float64 [slices, metrics]: the first row is the whole eval split, NaN is what a slice does not have.

        Empty where the run judged no model. Units are the metrics' own: shares from 0 to 1, or those of the label.
        """
        import pandas as pd

        rows = {_WHOLE: self.run.metrics} if self.run.metrics else {}
        return pd.DataFrame.from_dict({**rows, **self.run.slice_metrics}, orient="index", dtype="float64")

    @property
    def nodes(self) -> "pd.DataFrame":
        """A row for each node of the graph, in order: `state` ("executed", "cached", "skipped", "failed"), `seconds`."""
        import pandas as pd

        rows = [(node.id, node.state, node.seconds) for node in self.run.nodes]
        return pd.DataFrame(rows, columns=["node", "state", "seconds"]).set_index("node")

    @property
    def report(self) -> Page:
        """The run's report.

        Raises:
          ConfigurationError: If there is none.
        """
        path = self.stored.report
        try:
            return Page(path.read_text(encoding="utf-8"), path)
        except OSError as error:
            raise ConfigurationError(f"Run {self.id} has no report in {path.parent}: run again.") from error

    @property
    def data(self) -> "Data":
        """The data as the run found it: statistics, schema, anomalies, spans.

        Raises:
          ConfigurationError: If the run did not get as far as StatisticsGen.
        """
        from pipeline.session.data import read_data

        return read_data(self)

    @property
    def artifacts(self) -> "pd.DataFrame":
        """A row for each artifact that the run made or found in the cache: `node`, `output`, `type`, `path`."""
        import pandas as pd

        rows = [
            (node, name, made.type, made.uri)
            for node in NODES
            if node in self.executions
            for name, made in self.executions[node].outputs.items()
        ]
        return pd.DataFrame(rows, columns=["node", "output", "type", "path"])

    def artifact(self, node: str, output: str) -> Path:
        """The folder of an output, such as ``artifact("Trainer", "model")``.

        Raises:
          ConfigurationError: If the run has none; the message says which it has.
        """
        made = self.executions.get(node)
        found = made.outputs.get(output) if made else None
        if found is not None and Path(found.uri).exists():
            return Path(found.uri)
        there = ", ".join(f"{name}.{each}" for name, one in self.executions.items() for each in one.outputs)
        raise ConfigurationError(
            f"Run {self.id} has no {node}.{output}: it has {there or 'none'}; run that node first."
        )

    def rows(self, split: str = "train", batch_size: int = 256) -> Any:
        """The rows of a split as Transform left them, once and in the order of its files.

        Rows without a label are left out, as training does. `Dataset.shuffle` and `repeat` are for the caller to add.

        Args:
          split: "train", "eval", or "test" where there is one; "items" of a behaviour log.
          batch_size: Rows a batch; the last one may have fewer.

        Returns:
          A `tf.data.Dataset` of (features, label) or, where rows have weights, (features, label, weight):
          `features` is {"numeric": float32 [batch, numbers], "categorical": int64 [batch, ids]}, those that there are;
          label int64 [batch] of classes or float32 [batch] of a number, weight float32 [batch]; [batch, heads] of a
          label with several. Where the task has no label, as of a behaviour log, `features` alone, of the log's
          sequences.

        Raises:
          ConfigurationError: If the run did not get as far as Transform, or there is no such split.
        """
        from pipeline.session.rows import read_split

        return read_split(self, split, batch_size)

    @cached_property
    def executions(self) -> dict[str, Any]:
        """Node id → its `pipeline.runs.metadata.NodeExecution`."""
        workspace = self.workspace
        if not self.run.metadata_run or not (workspace.database or workspace.metadata.exists()):
            return {}
        # Here and not above: it imports TFX.
        from pipeline.runs import metadata

        return metadata.read_own_run(workspace, self.run.metadata_run)

    def __repr__(self) -> str:
        name, value = self.run.result
        measured = f", {name} {value:.4f}" if value is not None else ""
        return f"Result({self.id}: {self.run.dataset}, {self.run.status} in {self.run.wall_seconds:.1f} s{measured})"

    def _repr_html_(self) -> str:
        rows = [(name, str(value)) for name, value in describe_stored(self.stored) if value]
        return _table(("", ""), rows)


@dataclass(frozen=True, repr=False)
class Results(Sequence[Result]):
    """Runs, the oldest first."""

    each: tuple[Result, ...]

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, place: Any) -> Any:
        return Results(self.each[place]) if isinstance(place, slice) else self.each[place]

    def __iter__(self) -> Iterator[Result]:
        return iter(self.each)

    @property
    def frame(self) -> "pd.DataFrame":
        """A row for each run, by its id: dataset, profile, status, blessed, seconds, and the metrics on the eval split."""
        import pandas as pd

        rows = [
            {
                "run": result.id,
                "profile": result.run.profile,
                "status": result.run.status,
                "blessed": result.run.blessed,
                "seconds": result.run.wall_seconds,
                **result.run.metrics,
            }
            for result in self.each
        ]
        return pd.DataFrame(rows, columns=None if rows else ["run"]).set_index("run")

    def __repr__(self) -> str:
        return f"Results({len(self)} runs)"

    def _repr_html_(self) -> str:
        return str(self.frame.to_html())


def _table(titles: Sequence[str], rows: Sequence[tuple[str, str]]) -> str:
    """A table whose cells are shown, whatever they hold."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles) if any(titles) else ""
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align: left">{escape(clean(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
