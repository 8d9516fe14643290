"""Vocabularies of many columns in one pass over the data.

`tft.vocabulary` adds some fifty steps to Beam's pipeline, and three values to those that TFT waits for, of each of which
it asks several times which columns it depends on. Of 250 columns that took minutes, while their values are counted in
seconds. Here all vocabularies are one value: the directory that their files are in.
"""

import os
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
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


def look_up(parts: Sequence[tf.Tensor], owners: Sequence[int], wanted: Sequence[Wanted]) -> list[tf.Tensor]:
    """Ids of terms, by vocabularies that are byte for byte those of `tft.vocabulary`.

    The limits are its `top_k` and `frequency_threshold`: the most frequent terms come first, and of terms as frequent
    the greatest. Empty texts and those with a line feed or a carriage return are left out. The files are assets with
    the names of the vocabularies.

    Args:
      parts: string [batch, columns], each of one vocabulary.
      owners: For each part the place of its vocabulary in `wanted`; several may have the same.
      wanted: Each with a name of its own.

    Returns:
      int64 of the shape of each part: what `tft.apply_vocabulary` makes of it.
    """
    for vocabulary in wanted:
        tft.annotate_asset(vocabulary.name, vocabulary.name)
    columns = [owner for part, owner in zip(parts, owners) for _ in range(part.shape[1])]
    (directory,) = tft.experimental.ptransform_analyzer(
        [tf.concat(parts, axis=1)], _Vocabularies(columns, tuple(wanted)), [tf.string], [[]]
    )
    if tf.is_symbolic_tensor(directory):
        # TFT traces what is not learned yet only to know that the ids depend on it: a table for each took a fifth of
        # the step.
        nothing = tf.cast(0 * tf.strings.length(directory), tf.int64)
        return [tf.zeros_like(part, tf.int64) + nothing for part in parts]
    with tf.init_scope():
        files = [tf.strings.join([directory, "/", vocabulary.name]) for vocabulary in wanted]
    return [
        tft.apply_vocabulary(part, files[owner], num_oov_buckets=wanted[owner].oov_buckets)
        for part, owner in zip(parts, owners)
    ]


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
            | "Count files" >> beam.combiners.Count.Globally()
            | "Directory" >> beam.Map(_directory_of, self.base_temp_dir).with_output_types(np.ndarray)
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


class _Write(beam.DoFn):  # type: ignore[misc]
    """The most frequent terms of a vocabulary to its file."""

    def __init__(self, wanted: Sequence[Wanted], directory: str) -> None:
        self._wanted, self._directory = wanted, directory

    def process(self, largest: tuple[int, list[tuple[int, bytes]]]) -> Iterator[str]:
        place, counts = largest
        vocabulary = self._wanted[place]
        terms = [term for _, term in counts[: vocabulary.size] if term] or [_EMPTY]
        path = os.path.join(self._directory, vocabulary.name)
        tf.io.gfile.makedirs(self._directory)
        # A runner may write the same twice at once.
        unfinished = f"{path}.{uuid.uuid4().hex}"
        with tf.io.gfile.GFile(unfinished, "wb") as stream:
            stream.write(b"".join(term + b"\n" for term in terms))
        tf.io.gfile.rename(unfinished, path, overwrite=True)
        yield vocabulary.name


def _directory_of(files: int, directory: str) -> Any:
    del files
    return np.array(directory)
