"""Infers a dataset's schema, and shows how it differs from the committed one.

    make schema DATASET=my_table              # shows the difference
    make schema DATASET=my_table ARGS=--write # accepts it: read the diff before committing

Drift and skew comparators, which cannot be inferred from data, stay as they were committed.

Exit status: 0 no difference (or written), 1 there is a difference, 2 wrong configuration.
"""

import dataclasses
import difflib
import sys
from pathlib import Path
from typing import Any

from foundation.arguments import Parser
from foundation.replacing import replace_file
from foundation.sections import ConfigurationError
from pipeline import config, workspace
from pipeline.running import local
from pipeline.running.request import Request


def main(arguments: list[str] | None = None) -> int:
    """Parses, infers, compares; returns the exit status."""
    parser = Parser(description=__doc__)
    parser.add_argument("--dataset", default="taxi", help="name in datasets/, or a TOML file (%(default)s)")
    parser.add_argument("--workdir", default="runs", help="where everything is written (%(default)s)")
    parser.add_argument("--write", action="store_true", help="replace the committed schema")
    options = parser.parse_args(arguments)
    try:
        loaded = config.load(options.dataset, "laptop")
        committed = loaded.schema_file or loaded.dataset_file.with_suffix(".schema.pbtxt")
        before = _read_schema(committed) if committed.is_file() else ""
        inferred = _infer(loaded, options.workdir, before)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    if inferred is None:
        return 1
    inferred = keep_comparators(inferred, before)
    difference = difflib.unified_diff(
        before.splitlines(True), inferred.splitlines(True), str(committed), "inferred from the data"
    )
    text = "".join(difference)
    print(text or f"{committed} is what the data says.")
    if not text:
        return 0
    if not options.write:
        print(f"To accept this as {committed}: make schema DATASET={options.dataset} ARGS=--write")
        return 1
    replace_file(committed, inferred)
    print(f"Wrote {committed}: review it, and name it in [source] schema.")
    return 0


def keep_comparators(inferred: str, committed: str) -> str:
    """The inferred schema with the committed one's comparators, for the columns that it still has.

    Args:
      inferred: A schema as text.
      committed: Another, or "".
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = text_format.Parse(inferred, schema_pb2.Schema())
    inferred_features = {feature.name: feature for feature in schema.feature}
    for reviewed in text_format.Parse(committed, schema_pb2.Schema()).feature:
        for comparator in ("drift_comparator", "skew_comparator"):
            if reviewed.name in inferred_features and reviewed.HasField(comparator):
                getattr(inferred_features[reviewed.name], comparator).CopyFrom(getattr(reviewed, comparator))
    return text_format.MessageToString(schema)


def _read_schema(path: Path) -> str:
    """The file's text, before any node runs for it.

    Raises:
      ConfigurationError: If it is no schema.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        text = path.read_text(encoding="utf-8")
        text_format.Parse(text, schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        first = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"{path} is no schema ({first}): correct it, or move it away.") from error
    return text


def _infer(loaded: config.Config, workdir: str, committed: str) -> str | None:
    """The schema that the first nodes of the graph infer, as text; None if a node failed.

    It is of the columns that the dataset file names, and of those that the committed schema has.
    """
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    compared = text_format.Parse(committed, schema_pb2.Schema()).feature
    without_schema = dataclasses.replace(
        loaded,
        source=dataclasses.replace(loaded.source, schema=None),
        # Without a schema, spans may disagree about a column's type: one of them cannot.
        window=dataclasses.replace(loaded.window, spans=1),
        name=f"{loaded.name}-schema",
        compared_columns=tuple(feature.name for feature in compared),
    )
    files = workspace.workspace_of(workdir, without_schema.name, loaded.metadata)
    summary = local.run(without_schema, files, Request(to_node="SchemaGen"))
    if summary.error:
        print(summary.error, file=sys.stderr)
        return None
    from absl import logging

    from pipeline.runs import metadata

    logging.set_verbosity(logging.WARNING)
    nodes = metadata.read_run(metadata.open_store(files), summary.metadata_run)
    schema: Any = nodes["SchemaGen"].outputs["schema"]
    return (Path(schema.uri) / "schema.pbtxt").read_text()


if __name__ == "__main__":
    sys.exit(main())
