"""ExampleGen for tables that come whole and for tables that come span by span.

The window of spans is found by the step itself and not by a driver: open-source Kubeflow Pipelines runs
no drivers. Each span is converted once, into a store (`components.example_gen.span_store`), and joins a window's
examples by hard links. The candidate model is to be judged on what is newest, so that the eval split is
the newest span's alone, as is the test split; the eval rows of older spans are in no split, so that a row that comes again in
a later span stays on the side that its hash has put it on.
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts

from components.example_gen import span_store
from components.example_gen.behaviour_log.conversion import convert_log
from components.example_gen.behaviour_log.reading import LogReading
from components.example_gen.behaviour_log.spans import LogSpans, divide_files, spans_before
from components.example_gen.column_types import ColumnType, ColumnTypes
from components.example_gen.columnar_examples import COLUMN_TYPES, ROWS, convert, raise_conversion_error
from components.example_gen.reading.dialect import Reading
from components.example_gen.single_shard import convert_shard
from components.example_gen.source_format import source_format
from components.example_gen.span_conversion import WINDOW, Outcome, Policy, convert_window
from components.example_gen.spans import SpanError, Window, has_spans
from components.example_gen.splits import TRAIN, Splits, files_by_split, find_window
from components.processes.number import count_processes
from foundation.sections import ConfigurationError
from trainer_module.log import ITEMS

EXAMPLES, NEWEST = "examples", "newest"
_FINGERPRINT = "input_fingerprint"
_LEAST = 16 << 20
"""Bytes of files that a further process is worth: two blocks of a CSV file, and some 120,000 taxi rows."""
_PARAMETERS = (
    "input_base", "pattern", "file_format", "splits", "column_types", "window", "window_end",
    "window_fingerprint", "store", "conversion_fingerprint", "reading", "log",
)  # fmt: skip


class Executor(base_beam_executor.BaseBeamExecutor):
    """Finds the files and converts those that are not examples yet."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See the base class; `exec_properties` are the values of `_PARAMETERS`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        self._splits: dict[str, Any] = json.loads(exec_properties["splits"])
        splits = Splits(**self._splits)
        self._reading = Reading.from_json(exec_properties["reading"])
        self._format: str = exec_properties["file_format"]
        self._types: dict[str, str] = json.loads(exec_properties["column_types"])
        directory, pattern = Path(exec_properties["input_base"]), exec_properties["pattern"]
        settings = json.loads(exec_properties["window"])
        self._log = LogReading.from_json(exec_properties.get("log", ""))
        items = self._log.log.items if self._log else ""
        window = find_window(
            directory, pattern, splits, settings["spans"], exec_properties["window_end"], items
        )
        if window is None:
            raise SpanError(
                f"{directory} has no file that matches '{pattern}': add one, or correct [source]."
            )
        store, expected = Path(exec_properties["store"]), exec_properties["window_fingerprint"]
        source = source_format(self._format, self._reading)
        contents = span_store.content_digests(
            # On a cluster the step of a table without spans has no volume for a store.
            store if has_spans(pattern) or expected else None,
            {span.name: span.files for span in window.spans},
            source.digest,
        )
        fingerprint = span_store.window_fingerprint(contents)
        if expected not in ("", fingerprint):
            raise SpanError(f"The files below {directory} changed since the run began: run again.")
        for (artifact,) in output_dict.values():
            names = [*splits.names, *([ITEMS] if self._log else [])]
            artifact.split_names = artifact_utils.encode_split_names(names)
            examples_utils.set_payload_format(artifact, example_gen_pb2.FORMAT_TF_EXAMPLE)
            artifact.set_string_custom_property(_FINGERPRINT, fingerprint)
            artifact.span = window.newest.number
            if window.newest.version is not None:
                artifact.version = window.newest.version
        places = {key: Path(artifact.uri) for key, (artifact,) in output_dict.items()}
        if not has_spans(pattern):
            if self._log:
                self._convert_log(self._log, window, splits, places[EXAMPLES])
            else:
                files = [file for span in window.spans for file in span.files]
                self._convert(files, places[EXAMPLES], files_by_split(window, splits))
            return
        decisive = [
            self._format, self._splits, self._types, exec_properties["conversion_fingerprint"],
            self._reading.decisive,
        ]  # fmt: skip
        policy = Policy(settings["missing"], settings["duplicate"])
        if self._log:
            log, logged = divide_files(self._format, self._reading, self._log, window)
            spans = LogSpans(store, log, self._log.log, [*decisive, self._log.to_json()], policy, self._run)
            earlier = spans_before(window, directory, pattern, [Path(file) for file in log.items])
            outcome = spans.convert(logged, earlier, contents, places[EXAMPLES])
            shutil.copytree(places[EXAMPLES] / f"Split-{ITEMS}", places[NEWEST] / f"Split-{ITEMS}")
            checked = [TRAIN, ITEMS]
        else:
            outcome = convert_window(
                window, store, contents, decisive, policy, source, self._convert, has_schema=bool(self._types)
            )
            _link_window(store, outcome, places[EXAMPLES])
            checked = list(splits.names)
        _link_newest(store, outcome, places)
        (newest,) = output_dict[NEWEST]
        newest.split_names = artifact_utils.encode_split_names(
            [*checked, *(entry.name for entry in outcome.unchecked)]
        )

    def _convert(
        self, files: Sequence[Path], destination: Path, file_splits: Mapping[str, str] | None = None
    ) -> tuple[dict[str, int], dict[str, str]]:
        """Makes examples of a table, or, without `file_splits`, of a span; returns rows by split and types by column."""
        column_types = {name: ColumnType[kind] for name, kind in self._types.items()}
        names = [str(file) for file in files]
        table = (names, self._format, str(destination), self._splits, column_types, self._reading)
        # Of whole tables an engine has all work.
        if file_splits is not None or not convert_shard(*table):
            work = sum(file.stat().st_size for file in files)
            processes = count_processes(self._beam_pipeline_args, work, _LEAST)
            self._run(lambda pipeline: convert(pipeline, *table, file_splits, processes))
        rows, columns = (json.loads((destination / name).read_text()) for name in (ROWS, COLUMN_TYPES))
        return rows, columns

    def _convert_log(self, log: LogReading, window: Window, splits: Splits, destination: Path) -> None:
        read, _ = divide_files(self._format, self._reading, log, window)
        now = int(time.time() * 1000)
        self._run(lambda pipeline: convert_log(pipeline, read, str(destination), splits, log.log, now))

    def _run(self, add_steps: Callable[[beam.Pipeline], None]) -> None:
        try:
            with self._make_beam_pipeline() as pipeline:
                add_steps(pipeline)
        except Exception as error:
            raise_conversion_error(error)
            raise


def _link_window(store: Path, outcome: Outcome, examples: Path) -> None:
    """Puts together the window's examples: train of all spans, eval and test of the newest."""
    newest = outcome.entries[-1]
    for entry in outcome.entries:
        for split in newest.rows:
            if split == TRAIN or entry is newest:
                span_store.link_split(store, entry, split, examples / f"Split-{split}")


def _link_newest(store: Path, outcome: Outcome, places: Mapping[str, Path]) -> None:
    """Puts together what is to be checked: the newest span, and each older that nobody has checked, as a split."""
    newest = outcome.entries[-1]
    for split in newest.rows:
        span_store.link_split(store, newest, split, places[NEWEST] / f"Split-{split}")
        for entry in outcome.unchecked:
            span_store.link_split(store, entry, split, places[NEWEST] / f"Split-{entry.name}")
    for place in places.values():
        (place / WINDOW).write_text(json.dumps(outcome.to_json(), indent=1) + "\n")


class _Spec(component_spec.ComponentSpec):
    PARAMETERS: ClassVar = {name: component_spec.ExecutionParameter(type=str) for name in _PARAMETERS}
    INPUTS: ClassVar[dict[str, Any]] = {}
    OUTPUTS: ClassVar = {
        EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        NEWEST: component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }


class ExampleGen(base_beam_component.BaseBeamComponent):
    """Outputs `examples`, and, of a table with spans, `newest`: what statistics and the data gate look at."""

    SPEC_CLASS = _Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        pattern: str,
        splits: Mapping[str, Any],
        column_types: Mapping[str, ColumnType],
        window: Mapping[str, Any],
        reading: Reading,
        log: LogReading | None = None,
        **texts: str | RuntimeParameter,
    ) -> None:
        """Configures the component.

        Args:
          pattern: Which files are the table's, and of which span; see `components.example_gen.spans`.
          splits: The table [splits].
          column_types: The narrowest types that columns may have; see `schema_types`.
          window: How many "spans", and what to do about "missing" and "duplicate" ones.
          reading: Which columns are wanted, and how cells are written.
          log: What the rows are, of a behaviour log.
          texts: `input_base`, the folder of the table's files; `file_format`, a name in `sources/`; `store`, the
            folder of converted spans; `conversion_fingerprint` of the code that converts: where it changes, spans
            are converted again; `window_end`, the name of the window's newest span, or "" for the newest of all;
            `window_fingerprint` of the window's files, where the runner's cache is to know them, or "".
        """
        kinds = {name: kind.name for name, kind in sorted(column_types.items())}
        texts |= {
            "pattern": pattern,
            "splits": json.dumps(dict(splits)),
            "column_types": json.dumps(kinds),
            "window": json.dumps(dict(window), sort_keys=True),
            "reading": reading.to_json(),
            "log": log.to_json() if log else "",
        }
        names = (EXAMPLES, NEWEST) if has_spans(pattern) else (EXAMPLES,)
        outputs = {name: types.Channel(type=standard_artifacts.Examples) for name in names}
        super().__init__(_Spec(**texts, **outputs))


def schema_types(schema_text: str, where: str) -> ColumnTypes:
    """The types that a schema gives its columns.

    Args:
      schema_text: A text proto of a TFMD schema.
      where: Names it in the error.

    Raises:
      ConfigurationError: If it cannot be read.
    """
    try:
        schema = text_format.Parse(schema_text, schema_pb2.Schema())
    except text_format.ParseError as error:
        raise ConfigurationError(f"{where} is not a schema: {error}.") from error
    names = {feature.name: schema_pb2.FeatureType.Name(feature.type) for feature in schema.feature}
    return {name: ColumnType[kind] for name, kind in names.items() if kind in ColumnType.__members__}
