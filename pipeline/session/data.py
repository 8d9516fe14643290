"""What a run found out about the data, before anything is learned from it."""

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.run_report import rendering
from components.run_report.document import Report
from foundation.replacing import replace_file
from foundation.sections import ConfigurationError
from pipeline.session.page import Page
from pipeline.session.results import Result

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Data:
    """Statistics, schema, anomalies and spans; in a notebook, the report's own view of them.

    Of a dataset with spans, statistics and anomalies are of the newest span's splits, and of each other span that no
    run has checked before, under its name.

    Attributes:
      result: The run.
      document: What its report shows.
    """

    result: Result
    document: Report

    @property
    def statistics(self) -> "pd.DataFrame":
        """A row for each feature and split, of the first 300 features by name.

        Columns: `feature`, `split`, `type`; `present` (rows with a value), `missing` and `nan` (shares from 0 to 1),
        `mean`, `deviation`, `median`, `maximum` (in the feature's own unit) and `unique` (number of values). NaN is what
        the type does not have.
        """
        import pandas as pd

        assert self.document.statistics is not None
        rows = [
            {"feature": feature.name, "split": split, "type": feature.type, **asdict(summary)}
            for feature in self.document.statistics.features
            for split, summary in feature.splits.items()
        ]
        return pd.DataFrame(rows)

    @property
    def splits(self) -> "pd.DataFrame":
        """A row for each split: `name`, `rows`, and its `share` of all rows, from 0 to 1."""
        import pandas as pd

        assert self.document.statistics is not None
        return pd.DataFrame([asdict(split) for split in self.document.statistics.splits])

    @property
    def anomalies(self) -> "pd.DataFrame":
        """A row for each difference from the schema: `split`, `feature`, `severity`, `title`, `description`.

        Raises:
          ConfigurationError: If the run did not get as far as ExampleValidator.
        """
        import pandas as pd

        if self.document.anomalies is None:
            raise ConfigurationError(
                f"Run {self.result.id} has no anomalies: run as far as ExampleValidator."
            )
        columns = ["split", "feature", "severity", "title", "description"]
        return pd.DataFrame([asdict(anomaly) for anomaly in self.document.anomalies], columns=columns)

    @cached_property
    def schema(self) -> Any:
        """The `tensorflow_metadata` schema that the run held the data against: the reviewed one, or inferred.

        Raises:
          ConfigurationError: If the run did not get as far as SchemaGen.
        """
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2

        return text_format.Parse(self._schema_text, schema_pb2.Schema())

    @property
    def schema_frame(self) -> "pd.DataFrame":
        """A row for each feature, by TFDV: its type, whether it must be there, its valency and its domain."""
        from tensorflow_data_validation.utils.display_util import get_schema_dataframe

        features, _ = get_schema_dataframe(self.schema)
        return features

    @property
    def _schema_text(self) -> str:
        return (self.result.artifact("SchemaGen", "schema") / "schema.pbtxt").read_text(encoding="utf-8")

    def write_schema(self, path: str | Path) -> Path:
        """Writes the schema, to be reviewed and named in ``[source] schema``; returns `path`.

        Raises:
          ConfigurationError: If there is such a file, which somebody may have reviewed, or it cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise ConfigurationError(
                f"{path} exists: remove it to have it written again; `make schema` shows what would differ."
            )
        try:
            replace_file(path, self._schema_text)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be written ({error.strerror}): choose another."
            ) from error
        return path

    @property
    def spans(self) -> "pd.DataFrame":
        """A row for each span and split of the window, oldest first: `span`, `split`, `rows`, `newest`, `converted`.

        `converted` is whether this run converted it, and not an earlier one. Empty for a table without spans.
        """
        import pandas as pd

        read, rows = self.result.run.spans, []
        if read is not None:
            rows = [
                (span, split, count, span == read.newest, span in read.converted)
                for span in read.window
                for split, count in read.rows.get(span, {}).items()
            ]
        return pd.DataFrame(rows, columns=["span", "split", "rows", "newest", "converted"])

    def __repr__(self) -> str:
        assert self.document.statistics is not None
        rows = ", ".join(f"{split.rows:,} rows of {split.name}" for split in self.document.statistics.splits)
        return f"Data({rows}, {self.document.statistics.feature_count} features)"

    def _repr_html_(self) -> str:
        return Page(rendering.render_data(self.document))._repr_html_()


def read_data(result: Result) -> Data:
    """See `pipeline.session.results.Result.data`."""
    if not result.run.metadata_run:
        raise ConfigurationError(f"Run {result.id} has no statistics: run as far as StatisticsGen.")
    # Here and not above: it imports TFX.
    from pipeline.runs.report import gather

    document = gather(result.run, result.config, result.workspace)
    if document.statistics is None:
        why = document.missing.get("statistics", "StatisticsGen did not run in this run.")
        raise ConfigurationError(f"Run {result.id} has no statistics ({why}): run as far as StatisticsGen.")
    return Data(result, document)
