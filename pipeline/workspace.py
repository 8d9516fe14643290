"""Where a run's files are, `WORKDIR/<pipeline name>/…`, and its ML Metadata; standard library only."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.metadata.database import Database


@dataclass(frozen=True)
class Workspace:
    """Paths of one pipeline; absolute, so that they mean the same in every process.

    `database` is that of ML Metadata; None where it is the file `metadata`.
    """

    root: Path
    model_name: str
    database: Database | None = None

    @property
    def lock(self) -> Path:
        """Held by the run that uses the workspace (`foundation.lock`)."""
        return self.root / ".lock"

    @property
    def metadata(self) -> Path:
        """The ML Metadata store, an SQLite file; there where no database was named."""
        return self.root / "metadata.sqlite"

    @property
    def identity(self) -> Path:
        """What tells the workspace from others in a database that they share (`pipeline.metadata.identity`)."""
        return self.root / ".identity"

    @property
    def artifacts(self) -> Path:
        """TFX's pipeline root: `<node>/<output>/<execution>/`."""
        return self.root / "artifacts"

    @property
    def serving(self) -> Path:
        """The directory that TensorFlow Serving watches: `<version>/saved_model.pb`."""
        return self.root / "serving" / self.model_name

    @property
    def logs(self) -> Path:
        """TensorBoard's log directory, and the text log of each run."""
        return self.root / "logs"

    def run_log(self, run_id: str) -> Path:
        """The text log of a run."""
        return self.logs / f"run-{run_id}.log"

    @property
    def recovery(self) -> Path:
        """Checkpoints of unfinished trainings; a killed one continues from here."""
        return self.root / "recovery"

    @property
    def spans(self) -> Path:
        """Spans already converted to examples, and digests of the dataset's files (`components.example_gen.span_store`)."""
        return self.root / "spans"

    @property
    def statistics(self) -> Path:
        """Statistics of the accepted spans, which DataGate compares new ones with."""
        return self.root / "statistics"

    @property
    def summary(self) -> Path:
        """What the last run did, as JSON."""
        return self.root / "run_summary.json"

    @property
    def room(self) -> Path:
        """What a run keeps of the disk for its end (`pipeline.running.room`)."""
        return self.root / ".room"

    @property
    def runs(self) -> Path:
        """What every run did: `<run id>.json`, each as `summary` was after that run."""
        return self.root / "runs"

    @property
    def reports(self) -> Path:
        """The report of every run: `<run id>.html`, and `<run id>.json` with what it shows."""
        return self.root / "reports"


def workspace_of(workdir: str, pipeline_name: str, database: Database | None = None) -> Workspace:
    """The workspace of a pipeline below `workdir`, which need not exist yet."""
    return Workspace(Path(workdir).absolute() / pipeline_name, pipeline_name, database)
