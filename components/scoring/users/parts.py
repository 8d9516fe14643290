"""Recommends to a log's users on Beam: grouped as ExampleGen groups them, each part of them into a file of its own.

A file appears whole or not at all, and a run that was stopped goes on where it was: a part whose file is there is not
asked for again, so that each user is asked about once however often the command is given.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from components.example_gen.behaviour_log.events import Events, keep
from components.example_gen.behaviour_log.gathering import GatherByUser
from components.example_gen.behaviour_log.items import read_block
from components.example_gen.behaviour_log.sequences import latest_events
from components.example_gen.behaviour_log.worker import by_part, read_part
from components.example_gen.column_types import ColumnType
from components.example_gen.columnar_examples import add_counts, find_typed_blocks
from components.example_gen.reading.dialect import Reading
from components.example_gen.source_format import Block, source_format
from components.scoring.blocks import VERSION_COLUMN, join, write
from components.scoring.settings import Form
from components.scoring.texts import readable
from components.scoring.users.model import Lists, Recommender
from components.scoring.users.rows import read_rows
from foundation.replacing import replace_file, reveal
from trainer_module.log import Log

ROWS, EVENTS, USERS, RECOMMENDATIONS, UNKNOWN = "rows", "events", "users", "recommendations", "unknown"
LEFT_OUT, REASON = "left out: ", "rejected: "
"""What names of counts begin with, before the reason."""
_TOGETHER = 1 << 17
"""Rows of a file that are written at once."""


@dataclass(frozen=True)
class UserScorer:
    """What each worker needs to know.

    Attributes:
      model: That recommends.
      file_format: A name in `components/example_gen/sources/`.
      reading: Of the log's columns.
      log: Which columns say what; its `history` is the model's.
      k: How many items.
      version: Of the model, written as `VERSION_COLUMN`.
      destination: Gets ``part-<part>.<form>`` and, where rows were rejected, ``rejected-<file>-<block>.csv``.
      form: Of the parts.
      now: Milliseconds since 1970: what is dated later has not happened.
      parts: Into how many the users are divided.
      done: Those whose files are there.
    """

    model: Recommender
    file_format: str
    reading: Reading
    log: Log
    k: int
    version: str
    destination: str
    form: Form
    now: int
    parts: int
    done: frozenset[int]

    def read_block(self, block: Block, types: Mapping[str, ColumnType]) -> Iterator[Any]:
        """The events of a block, (part of the users, events), but for those of parts that are done; and counts of rows."""
        source = source_format(self.file_format, self.reading)
        # Of its first row: in the order of files, blocks and rows, whoever reads them.
        place = (block.file_number << 44) + (block.number << 28)
        counts: Counter[str] = Counter()
        rejected = []
        for columns in read_block(source, block, types):
            rows = read_rows(block.file, columns, place, self.log, self.now, self.reading.dialect)
            size = len(columns[self.log.user])
            place += size
            counts.update({ROWS: size, EVENTS: len(rows.events.times)})
            counts.update({LEFT_OUT + reason: count for reason, count in rows.left_out.items()})
            counts.update({REASON + reason: count for reason, count in rows.reasons.items()})
            if rows.rejected.num_rows:
                rejected.append(rows.rejected)
            for number, of_part in by_part(rows.events, self.parts):
                if number not in self.done:
                    yield number, (0, of_part)
        if rejected:
            name = f"rejected-{block.file_number:05d}-{block.number:05d}.csv"
            write(join(rejected), Path(self.destination, name), "csv")
        yield beam.pvalue.TaggedOutput("counts", counts)

    def recommend_part(
        self, part: tuple[int, Iterable[tuple[int, str]]], types: Mapping[str, ColumnType]
    ) -> None:
        """Asks for some users and writes what they are recommended."""
        number, files = part
        done = done_file(self.destination, number)
        if done.is_file():
            return
        events = read_part(files)
        is_known = pc.is_in(events.items, value_set=self.model.items).to_numpy(zero_copy_only=False)
        known = latest_events(keep(events, is_known), self.log)
        users, lengths = _with_all(known, pc.unique(events.users))
        counts = Counter({USERS: len(users), RECOMMENDATIONS: 0, UNKNOWN: int((~is_known).sum())})
        names = _as_logged(users, types.get(self.log.user))
        is_number = types.get(self.log.item) == ColumnType.INT and _are_whole(self.model.items)
        item_type = pa.int64() if is_number else pa.string()
        schema = pa.schema(
            [
                ("user", names.type), ("place", pa.int64()), ("item", item_type), ("score", pa.float32()),
                (VERSION_COLUMN, pa.string()),
            ]
        )  # fmt: skip
        kinds = self.log.events.names if self.log.events else ()
        with _file(Path(self.destination, f"part-{number:05d}.{self.form}"), schema, self.form) as append:
            for lists in self.model.recommend(known, lengths, kinds, self.k):
                counts[RECOMMENDATIONS] += len(lists.places)
                append(self._table(lists, names, schema))
        # Last of all: with it the part is done.
        replace_file(done, json.dumps(counts))

    def _table(self, lists: Lists, names: pa.Array, schema: pa.Schema) -> pa.Table:
        items = readable(lists.items)
        columns = [
            names.take(pa.array(lists.users)), pa.array(lists.places), items.cast(schema.field("item").type),
            pa.array(lists.scores), pa.repeat(pa.scalar(self.version), len(items)),
        ]  # fmt: skip
        return pa.Table.from_arrays(columns, schema=schema)


def recommend(pipeline: beam.Pipeline, files: Sequence[str], scorer: UserScorer, summary: str) -> None:
    """Adds what asks for all users of `files` to a Beam pipeline; counts of rows go to the file `summary`, others to `done_file`s.

    Raises:
      ConversionError: When the pipeline runs, if the files cannot be read.
    """
    blocks, types = find_typed_blocks(pipeline, "Log", files, scorer.file_format, scorer.reading, {})
    kinds = beam.pvalue.AsSingleton(types)
    read = blocks | "ReadEvents" >> beam.ParDo(scorer.read_block, kinds).with_outputs("counts", main="events")
    _ = (
        read.events
        | "ByUser" >> GatherByUser(scorer.destination)
        | "Recommend" >> beam.Map(scorer.recommend_part, kinds)
    )
    _ = (
        read.counts
        | "CountRows" >> beam.CombineGlobally(add_counts)
        | "WriteCounts" >> beam.Map(lambda counts: replace_file(Path(summary), json.dumps(counts)))
    )


def done_file(destination: str | Path, number: int) -> Path:
    """That says that a part is done, and has its counts."""
    return Path(destination, f".{number:05d}.json")


def _with_all(known: Events, users: pa.Array) -> tuple[pa.Array, Any]:
    """All users, those with a history first and in its order, and the length of each history, int64."""
    encoded = known.users.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    lengths = np.bincount(codes, minlength=len(encoded.dictionary)).astype(np.int64)
    others = users.filter(pc.invert(pc.is_in(users, value_set=encoded.dictionary)))
    return pa.concat_arrays([encoded.dictionary, others]), np.append(lengths, np.zeros(len(others), np.int64))


def _as_logged(users: pa.Array, kind: ColumnType | None) -> pa.Array:
    """Numbers where the log has numbers."""
    texts = readable(users)
    return texts.cast(pa.int64()) if kind == ColumnType.INT else texts


def _are_whole(items: pa.Array) -> bool:
    """Whether all are whole numbers as they are written by themselves."""
    try:
        texts = items.cast(pa.string())
        return bool(pc.all(pc.equal(texts.cast(pa.int64()).cast(pa.string()), texts)).as_py())
    except pa.ArrowInvalid:
        return False


@contextlib.contextmanager
def _file(path: Path, schema: pa.Schema, form: Form) -> Iterator[Callable[[pa.Table], None]]:
    """Gives what adds rows to a file, which appears whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    held: list[pa.Table] = []

    def flush() -> None:
        if held:
            writer.write_table(pa.concat_tables(held))
            held.clear()

    def append(rows: pa.Table) -> None:
        held.append(rows)
        if sum(map(len, held)) >= _TOGETHER:
            flush()

    try:
        opened = pq.ParquetWriter if form == "parquet" else pa.csv.CSVWriter
        with opened(str(unfinished), schema) as writer:
            yield append
            flush()
        reveal(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
