"""Predicts a table's blocks on Beam, each into a file of its own that appears whole or not at all.

A run that was stopped goes on where it was: a block whose file is there is not predicted again, so that each row is
predicted exactly once however often the command is given.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from components.example_gen.column_types import ColumnType
from components.example_gen.columnar_examples import add_counts
from components.example_gen.reading.dialect import Reading
from components.example_gen.reading.typed_blocks import find_typed_blocks
from components.example_gen.source_format import Block, source_format
from components.scoring.examples import decode_rows
from components.scoring.fitting import Fitted, fit_columns
from components.scoring.model import ServedModel
from components.scoring.request_log import RequestLog
from components.scoring.settings import Form
from components.scoring.texts import readable
from foundation.replacing import replace_file
from foundation.sections import require

PREDICTED, REJECTED, BEFORE = "predicted", "rejected", "predicted before"
VERSION_COLUMN = "model_version"


@dataclass(frozen=True)
class BlockScorer:
    """What each worker needs to know.

    Attributes:
      model: That predicts.
      file_format: A name in `components/example_gen/sources/`.
      reading: Of the model's features and of `keys`.
      keys: Columns that are written beside the predictions.
      version: Of the model, written as `VERSION_COLUMN`.
      destination: Gets ``part-<file>-<block>.<form>`` and, where rows were rejected, ``rejected-<file>-<block>.csv``.
      form: Of the parts.
      log: Gets some of the rows as requests; None for no log.
    """

    model: ServedModel
    file_format: str
    reading: Reading
    keys: tuple[str, ...]
    version: str
    destination: str
    form: Form
    log: RequestLog | None = None

    def __post_init__(self) -> None:
        taken = next((key for key in self.keys if key in (*self.model.columns, VERSION_COLUMN)), None)
        require(
            taken is None,
            f"keys names '{taken}', and the predictions have a column of that name: rename it in the table.",
        )

    def score_block(self, block: Block, types: Mapping[str, ColumnType]) -> Counter[str]:
        """Predicts a block's rows; returns how many were, by what became of them."""
        name = f"{block.file_number:05d}-{block.number:05d}"
        done = Path(self.destination, f".{name}.json")
        if done.is_file():
            counts: Counter[str] = Counter(json.loads(done.read_text()))
            return counts + Counter({BEFORE: counts[PREDICTED]})
        parts, rejects, logged = [], [], []
        chance = np.random.default_rng((block.file_number, block.number))
        for columns in self._read(block, types):
            fitted = fit_columns(columns, self.model.types, self.reading.dialect)
            part, rejected = self._score(columns, fitted)
            parts.append(part)
            rejects.append(rejected)
            if self.log:
                chosen = pc.and_(fitted.fits, self.log.choose(chance, len(fitted.fits)))
                logged.append(_filter(fitted.columns, chosen))
        if not parts:
            return Counter()
        table, left_out = join(parts), join(rejects)
        write(table, Path(self.destination, f"part-{name}.{self.form}"), self.form)
        if left_out.num_rows:
            write(left_out, Path(self.destination, f"rejected-{name}.csv"), "csv")
        if self.log:
            self.log.write(name, logged)
        counts = Counter({PREDICTED: table.num_rows, REJECTED: left_out.num_rows})
        # Last of all: with it the block is done.
        replace_file(done, json.dumps(counts))
        return counts

    def _read(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[Mapping[str, pa.Array]]:
        """The block's columns, some ten thousand rows at a time."""
        source = source_format(self.file_format, self.reading)
        pieces = source.read_columns(block, types)
        if pieces is not None:
            yield from pieces
            return
        lists = self.model.types.keys() - self.model.scalars.keys()
        for rows in source.read_examples(block, types):
            yield decode_rows(block.file, rows, (*self.model.types, *self.keys), lists)

    def _score(
        self, columns: Mapping[str, pa.Array], fitted: Fitted
    ) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        """Predictions of the rows that fit, and the others with the reason."""
        fits = fitted.fits
        # Not `true_count`, with which pyarrow 10 crashes where nothing is null.
        rows = pc.sum(fits).as_py() or 0
        read = fitted.columns if rows == len(fits) else _filter(fitted.columns, fits)
        # As ExampleGen writes a table's examples: a missing value has its column's kind in CSV only.
        typed = self.file_format == "csv"
        predictions = self.model.predict(read, typed) if rows else _nothing(self.model)
        keys = {key: readable(columns[key]) for key in self.keys}
        version = pa.repeat(pa.scalar(self.version), rows)
        kept = _filter(keys, fits)
        part = pa.RecordBatch.from_pydict({**kept, **predictions, VERSION_COLUMN: version})
        is_left_out = pc.invert(fits)
        left_out = _filter(keys, is_left_out)
        reasons = fitted.reasons.filter(is_left_out)
        return part, pa.RecordBatch.from_pydict({**left_out, "reason": reasons})


def score(pipeline: beam.Pipeline, files: Sequence[str], scorer: BlockScorer, summary: str) -> None:
    """Adds the prediction of `files` to a Beam pipeline; the counts of `BlockScorer.score_block` go to the file `summary`.

    Raises:
      ConversionError: When the pipeline runs, if the files cannot be read.
    """
    # At least the types that the model takes: a column without any value is missing in every row, and of its type.
    blocks, types = find_typed_blocks(
        pipeline, "", files, scorer.file_format, scorer.reading, scorer.model.types
    )
    _ = (
        blocks
        | "ScoreBlocks" >> beam.Map(scorer.score_block, beam.pvalue.AsSingleton(types))
        | "CountRows" >> beam.CombineGlobally(add_counts)
        | "WriteCounts" >> beam.Map(lambda counts: replace_file(Path(summary), json.dumps(counts)))
    )


def _filter(columns: Mapping[str, pa.Array], mask: pa.Array) -> dict[str, pa.Array]:
    return {name: column.filter(mask) for name, column in columns.items()}


def join(parts: Sequence[pa.RecordBatch]) -> pa.Table:
    """One table; a key that one part has no value of is of the type that it has in another."""
    schema = pa.unify_schemas([part.schema for part in parts])
    return pa.concat_tables([pa.Table.from_batches([part]).cast(schema) for part in parts])


def write(table: pa.Table, path: Path, form: Form) -> None:
    """Writes a file of rows, which appears whole or not at all."""
    sink = pa.BufferOutputStream()
    if form == "parquet":
        pq.write_table(table, sink)
    else:
        pa.csv.write_csv(table, sink)
    replace_file(path, sink.getvalue().to_pybytes())


def _nothing(model: ServedModel) -> dict[str, pa.Array]:
    texts = {"prediction"} if model.classes else set()
    return {name: pa.array([], pa.string() if name in texts else pa.float32()) for name in model.columns}
