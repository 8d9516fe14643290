"""Vocabularies of many columns in one pass over the data.

`tft.vocabulary` adds some fifty steps to Beam's pipeline, and three values to those that TFT waits for, of each of which
it asks several times which columns it depends on. Of 250 columns that took minutes, while their values are counted in
seconds. Here all vocabularies are one value, and one table: a table for each is three functions that are traced, written,
read again, and written with every model.
"""

import itertools
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.beam.experimental import PTransformAnalyzer

_Term: TypeAlias = tuple[int, bytes]
"""The place of a vocabulary, and a term of it."""

_EMPTY = b"49d0cd50-04bb-48c0-bc6f-5b575dce351a"
"""The only line of a vocabulary without terms, as no table can be made of an empty file: TFT's, of which a test says
that it is still the same."""


@dataclass(frozen=True)
class Wanted:
    """A vocabulary: the name of its file, how many terms it has at most, and how often each is there at least.

    Terms that are not in it share `oov_buckets` ids by hash, which follow those of its terms.
    """

    name: str
    size: int
    min_count: int = 1
    oov_buckets: int = 1


def look_up(texts: tf.Tensor, owners: Sequence[int], wanted: Sequence[Wanted]) -> tf.Tensor:
    """Ids of terms, by vocabularies that are byte for byte those of `tft.vocabulary`.

    The limits are its `top_k` and `frequency_threshold`: the most frequent terms come first, and of terms as frequent
    the greatest. Empty texts and those with a line feed or a carriage return are left out. The files are assets with
    the names of the vocabularies; beside them is one of all their terms, of which the table is made.

    Args:
      texts: string [batch, columns].
      owners: For each column the place of its vocabulary in `wanted`; several may have the same.
      wanted: Each with a name of its own.

    Returns:
      int64 [batch, columns]: what `tft.apply_vocabulary` makes of each column.
    """
    for vocabulary in wanted:
        tft.annotate_asset(vocabulary.name, vocabulary.name)
    (found,) = tft.experimental.ptransform_analyzer(
        [texts], _Vocabularies(tuple(owners), tuple(wanted)), [tf.string], [[]]
    )
    if tf.is_symbolic_tensor(found):
        # TFT traces what is not learned yet only to know that the ids depend on it.
        return tf.zeros_like(texts, tf.int64) + tf.cast(0 * tf.strings.length(found), tf.int64)
    return _look_up(texts, owners, wanted, **json.loads(found.numpy()))


def _look_up(
    texts: tf.Tensor, owners: Sequence[int], wanted: Sequence[Wanted], directory: str, sizes: Sequence[int]
) -> tf.Tensor:
    for vocabulary in wanted:
        # TFT makes assets of what this collection has. A table has its own already.
        tf.compat.v1.add_to_collection(
            tf.compat.v1.GraphKeys.ASSET_FILEPATHS, os.path.join(directory, vocabulary.name)
        )
    with tf.init_scope():
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                os.path.join(directory, _joined_name(wanted)),
                *(
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                ),
            ),
            default_value=-1,
        )
    marks = tf.broadcast_to(tf.constant([_mark(owner) for owner in owners]), tf.shape(texts))
    lines = table.lookup(tf.strings.join([marks, texts]))
    starts = [0, *itertools.accumulate(sizes)]
    unknown = tf.constant([sizes[owner] for owner in owners], tf.int64) + _buckets(
        texts, [wanted[owner].oov_buckets for owner in owners]
    )
    known = lines - tf.constant([starts[owner] for owner in owners], tf.int64)
    return tf.where(lines < 0, unknown, known)


def _buckets(texts: tf.Tensor, counts: Sequence[int]) -> tf.Tensor:
    """The bucket of each text, int64 [batch, columns], of as many as its column has: as TensorFlow's tables do it."""
    buckets = tf.zeros([1, len(counts)], tf.int64)
    for count in sorted(set(counts) - {1}):
        hashed = tf.strings.to_hash_bucket_fast(texts, count)
        buckets = tf.where([each == count for each in counts], hashed, buckets)
    return buckets


def _mark(place: int) -> bytes:
    """Before each term of a vocabulary, where the terms of all are together."""
    return b"%d\t" % place


def _joined_name(wanted: Sequence[Wanted]) -> str:
    # No `request_name` has a dot.
    return f"{wanted[0].name}.joined"


class _Vocabularies(PTransformAnalyzer):  # type: ignore[misc]  # Beam is untyped
    def __init__(self, owners: Sequence[int], wanted: Sequence[Wanted]) -> None:
        super().__init__()
        self._owners, self._wanted = owners, wanted

    def expand(self, batches: Any) -> Any:
        # A vocabulary without terms has a file, too. The empty text comes last and is not written.
        each: list[tuple[_Term, int]] = [((place, b""), 0) for place in range(len(self._wanted))]
        counts = batches | "Count" >> beam.ParDo(_CountTerms(self._owners))
        return (
            (counts, batches.pipeline | "Each" >> beam.Create(each))
            | beam.Flatten()
            # By term, so that no worker holds all terms of a column.
            | "Sum" >> beam.CombinePerKey(sum).with_output_types(tuple[_Term, int])
            | "Frequent" >> beam.ParDo(_LeaveOutRare([vocabulary.min_count for vocabulary in self._wanted]))
            | "Largest" >> beam.combiners.Top.LargestPerKey(max(each.size for each in self._wanted))
            | "Write" >> beam.ParDo(_Write(self._wanted, self.base_temp_dir))
            # Once all are written.
            | "Sizes" >> beam.combiners.ToDict()
            | "Join" >> beam.Map(_join, self._wanted, self.base_temp_dir).with_output_types(np.ndarray)
        )


@beam.typehints.with_output_types(tuple[_Term, int])
class _CountTerms(beam.DoFn):  # type: ignore[misc]
    """A batch, a tuple of bytes [batch, columns], to the terms in it."""

    def __init__(self, owners: Sequence[int]) -> None:
        self._columns: dict[int, list[int]] = {}
        for column, place in enumerate(owners):
            self._columns.setdefault(place, []).append(column)

    def process(self, batch: Any) -> Iterator[tuple[_Term, int]]:
        (texts,) = batch
        for place, columns in self._columns.items():
            for term, count in Counter(texts[:, columns].ravel().tolist()).items():
                if term and b"\n" not in term and b"\r" not in term:
                    yield (place, term), count


@beam.typehints.with_output_types(tuple[int, tuple[int, bytes]])
class _LeaveOutRare(beam.DoFn):  # type: ignore[misc]
    """Sums of terms to those that are frequent enough, by vocabulary and in the order of the file."""

    def __init__(self, least: Sequence[int]) -> None:
        self._least = least

    def process(self, summed: tuple[_Term, int]) -> Iterator[tuple[int, tuple[int, bytes]]]:
        (place, term), count = summed
        if not term or count >= self._least[place]:
            yield place, (count, term)


@beam.typehints.with_output_types(tuple[int, int])
class _Write(beam.DoFn):  # type: ignore[misc]
    """The most frequent terms of a vocabulary to its file; the place of the vocabulary, and how many terms it has."""

    def __init__(self, wanted: Sequence[Wanted], directory: str) -> None:
        self._wanted, self._directory = wanted, directory

    def process(self, largest: tuple[int, list[tuple[int, bytes]]]) -> Iterator[tuple[int, int]]:
        place, counts = largest
        vocabulary = self._wanted[place]
        terms = [term for _, term in counts[: vocabulary.size] if term] or [_EMPTY]
        _write_lines(os.path.join(self._directory, vocabulary.name), terms)
        yield place, len(terms)


def _join(sizes: Mapping[int, int], wanted: Sequence[Wanted], directory: str) -> Any:
    """Writes the terms of all vocabularies to one file; returns where it is and how many each has, as JSON."""

    def marked() -> Iterator[bytes]:
        for place, vocabulary in enumerate(wanted):
            mark = _mark(place)
            with tf.io.gfile.GFile(os.path.join(directory, vocabulary.name), "rb") as stream:
                # Not `readlines`: each line would be a call of TensorFlow's.
                for term in stream.read().split(b"\n")[:-1]:
                    yield mark + term

    _write_lines(os.path.join(directory, _joined_name(wanted)), marked())
    found = {"directory": directory, "sizes": [sizes[place] for place in range(len(wanted))]}
    return np.array(json.dumps(found))


def _write_lines(path: str, lines: Iterable[bytes]) -> None:
    tf.io.gfile.makedirs(os.path.dirname(path))
    # A runner may write the same twice at once.
    unfinished = f"{path}.{uuid.uuid4().hex}"
    with tf.io.gfile.GFile(unfinished, "wb") as stream:
        stream.write(b"".join(line + b"\n" for line in lines))
    tf.io.gfile.rename(unfinished, path, overwrite=True)
