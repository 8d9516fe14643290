"""Vocabularies of many columns in one analyzer and one table: files and ids are those that TFT makes one by one."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.analyzers import get_empy_vocabulary_dummy_value
from tensorflow_transform.tf_metadata import schema_utils

from components.transform.analysis import analyze
from tests.field.tables import write_examples
from trainer_module.inputs import vocabularies
from trainer_module.inputs.raw_columns import texts_of
from trainer_module.inputs.vocabularies import Wanted, look_up

ODD = [
    b"\xff\xfe",
    b"\xc3(",
    "größe".encode(),
    b"a\nb",
    b"c\r",
    b"\r\n",
    b"",
    b" ",
    b"a",
    b"A",
    b"\0",
    b"a\0",
]
LENGTHS = {
    "odd": None,
    "cut": None,
    "list": 3,
    "left": None,
    "right": 2,
    "rare": None,
    "none": None,
    "dense": None,
}
WANTED = (
    Wanted("odd", 100), Wanted("cut", 5, oov_buckets=3), Wanted("list", 7, oov_buckets=20), Wanted("shared", 4),
    Wanted("rare", 9, 3, oov_buckets=3),
    Wanted("none", 3), Wanted("dense", 1000),
)  # fmt: skip
# Left and right share one.
PLACES = {"odd": 0, "cut": 1, "list": 2, "left": 3, "right": 3, "rare": 4, "none": 5, "dense": 6}


def make_row(row: int) -> dict[str, list[Any]]:
    return {
        "odd": [ODD[row % len(ODD)]],
        # As many of each: the limit is reached among equals.
        "cut": [b"t%d" % (row % 8)],
        "list": [b"v%d" % (row % each) for each in range(2, 2 + row % 5)],
        "left": [b"x%d" % (row % 3)] if row % 2 else [],
        "right": [b"x%d" % (row % 5), b"y"],
        "rare": [b"w%d" % (row * row % 31)],
        "none": [],
        "dense": [b"%d" % (row * 7 % 50)],
    }


def both(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Ids by one analyzer's files, and TFT's, whose files lie beside them."""
    widths = [length or 1 for length in LENGTHS.values()]
    texts = texts_of([inputs[name] for name in LENGTHS], [*LENGTHS.values()])
    owners = [owner for owner, width in zip(PLACES.values(), widths) for _ in range(width)]
    parts, ids = (tf.split(each, widths, axis=1) for each in (texts, look_up(texts, owners, WANTED)))
    made = dict(zip(LENGTHS, ids))
    for place, wanted in enumerate(WANTED):
        mine = {name: part for (name, owner), part in zip(PLACES.items(), parts) if owner == place}
        vocabulary = tft.vocabulary(
            tf.concat([tf.reshape(part, [-1]) for part in mine.values()], axis=0),
            top_k=wanted.size,
            frequency_threshold=wanted.min_count,
            vocab_filename=f"tft_{wanted.name}",
        )
        for name, part in mine.items():
            made[f"tft_{name}"] = tft.apply_vocabulary(part, vocabulary, num_oov_buckets=wanted.oov_buckets)
    return made


class _Steps(beam.pipeline.PipelineVisitor):  # type: ignore[misc]  # Beam is untyped
    """Counts Beam's steps by the analyzer that they are of."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def visit_transform(self, node: Any) -> None:
        for kind in ("ptransform", "vocabulary"):
            self.counts[kind] += f"[{kind}" in node.full_label


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[tft.TFTransformOutput, Counter[str]]:
    directory = tmp_path_factory.mktemp("vocabularies")
    rows = [make_row(row) for row in range(240)]
    files = [
        path
        for number, part in enumerate((rows[:100], rows[100:], []))
        for path in write_examples(directory / f"{number}.gz", part)
    ]
    spec: dict[str, Any] = {name: tf.io.VarLenFeature(tf.string) for name in LENGTHS}
    spec["dense"] = tf.io.FixedLenFeature([1], tf.string)
    schema, steps = schema_utils.schema_from_feature_spec(spec), _Steps()
    with beam.Pipeline() as pipeline:
        analyze(pipeline, files, schema, both, str(directory / "graph"), str(directory / "temporary"))
        pipeline.visit(steps)
    return tft.TFTransformOutput(str(directory / "graph")), steps.counts


@pytest.mark.parametrize("name", [wanted.name for wanted in WANTED])
def test_a_vocabulary_is_byte_for_byte_that_of_tft(
    made: tuple[tft.TFTransformOutput, Counter[str]], name: str
) -> None:
    output, _ = made
    ours, theirs = (Path(output.vocabulary_file_by_name(file)) for file in (name, f"tft_{name}"))
    assert ours.name == name and ours.read_bytes() == theirs.read_bytes()
    assert output.vocabulary_size_by_name(name) == output.vocabulary_size_by_name(f"tft_{name}")


def test_ids_are_those_of_a_table_for_each_vocabulary(
    made: tuple[tft.TFTransformOutput, Counter[str]], tmp_path: Path
) -> None:
    """Known terms by their place, others by their hash, also such as are another vocabulary's."""
    output, _ = made
    rows = [make_row(row) for row in range(50)]
    # What another column knows.
    rows += [{name: row[other] for name, other in zip(LENGTHS, [*LENGTHS][::-1])} for row in rows]
    (file,) = write_examples(tmp_path / "rows.gz", [row for row in rows if len(row["dense"]) == 1])
    (batch,) = tf.data.TFRecordDataset(str(file), "GZIP").batch(1000)
    ids = output.transform_features_layer()(tf.io.parse_example(batch, output.raw_feature_spec()))
    for name in LENGTHS:
        ours, theirs = ids[name].numpy(), ids[f"tft_{name}"].numpy()
        assert ours.tolist() == theirs.tolist(), name
    assert len(set(ids["cut"].numpy().ravel())) > 6


def test_the_empty_text_and_line_ends_are_no_terms_and_bytes_that_are_no_text_are(
    made: tuple[tft.TFTransformOutput, Counter[str]],
) -> None:
    output, _ = made
    terms = Path(output.vocabulary_file_by_name("odd")).read_bytes().split(b"\n")[:-1]
    assert set(terms) == {term for term in ODD if term and b"\n" not in term and b"\r" not in term}
    assert output.vocabulary_by_name("none") == [get_empy_vocabulary_dummy_value(tf.string)[1]]
    assert output.vocabulary_by_name("none")[0] == vocabularies._EMPTY


def test_a_vocabulary_more_is_no_step_of_beam_more(
    made: tuple[tft.TFTransformOutput, Counter[str]],
) -> None:
    """A table of 500 columns spent minutes in the construction of Beam's graph."""
    _, steps = made
    assert steps["ptransform"] < 40 < 40 * len(WANTED) < steps["vocabulary"], steps
