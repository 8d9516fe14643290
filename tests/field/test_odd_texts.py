"""Each text is a value of its own in a vocabulary, whatever characters it has."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.app_exporter.encoding import encode
from components.app_exporter.metadata import describe
from components.app_exporter.probe import transform_of
from tests.field.signatures import Exported, export
from tests.tf.conftest import Row
from trainer_module.features.vocabulary import read_terms, unescape

TEXTS = [
    b"plain", b"two\nlines", b"two\\nlines", b"two\rlines", b"two\r\nlines", b"\n", b"\r", b"\\", b"\\\\n", b" ", b"  ",
    b" plain", b"plain ", b"plain\t", b"\t", b"a\x00b", b"a\x00", b"\x00", b"\xe2\x80\xa8", b"\x0b\x0c\x85".decode("latin1").encode(),
    "Größe".encode(), "Gro\u0308\u00dfe".encode(), b"NaN", b"null", b"<UNK>", b"-1", b"x" * 200_000,
]  # fmt: skip
NOT_UTF8 = [b"\xff\xfe", b"\xff\n"]
FEATURES: dict[str, Any] = {
    "text": {"kind": "vocabulary", "size": 40, "oov_buckets": 3},
    "bytes": {"kind": "vocabulary", "size": 40, "oov_buckets": 3},
}
TYPES = {"text": tf.string, "bytes": tf.string}
UNSEEN = [b"new", b"a\\b", b"new\n", b"new\r", b"new\\n", "neu\n\u00fc".encode()]


def make_rows() -> list[Row]:
    values = [*TEXTS, *NOT_UTF8]
    rows: list[Row] = [
        {"text": [TEXTS[row % len(TEXTS)]], "bytes": [values[row % len(values)]]} for row in range(90)
    ]
    return [*rows, {"text": [b""], "bytes": [b""]}]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("texts"), dict(sorted(FEATURES.items())), make_rows(), TYPES)


def test_each_has_an_id_of_its_own_and_the_empty_text_is_missing(exported: Exported) -> None:
    ids = exported.transformed([{"bytes": [value]} for value in [*TEXTS, *NOT_UTF8, b""]])["categorical"][
        :, 0
    ]
    assert len(set(ids[:-1].tolist())) == len(TEXTS) + len(NOT_UTF8) and max(ids[:-1]) < len(ids) - 1
    assert ids[-1] == 43


def test_the_vocabulary_tells_which_value_each_id_is(exported: Exported) -> None:
    terms = [unescape(line) for line in read_terms(exported.model / "assets" / "bytes")]
    ids = exported.transformed([{"bytes": [term]} for term in terms])["categorical"][:, 0]
    assert sorted(terms) == sorted([*TEXTS, *NOT_UTF8])
    assert ids.tolist() == list(range(len(terms)))
    (feature,) = (each for each in exported.table.settings.categorical if each.name == "bytes")
    keys = feature.id_keys(read_terms(exported.model / "assets" / "bytes"))
    assert ("bytes", "vocabulary", "term", b"two\nlines") in keys


def test_every_signature_agrees(exported: Exported) -> None:
    assert exported.refusals(make_rows()) == []


def test_an_app_agrees_in_python_and_in_javascript(exported: Exported, tmp_path: Path) -> None:
    transform = transform_of(tf.saved_model.load(str(exported.model)))
    rows = [{**row, "bytes": row["text"]} for row in make_rows()]
    described = describe(exported.model, transform, exported.table.settings, rows)
    asked = [*TEXTS, *UNSEEN, b""]
    theirs = transform([{"text": [text], "bytes": [text]} for text in asked])["categorical"]
    plain = [{"text": text.decode(), "bytes": text.decode()} for text in asked]
    np.testing.assert_array_equal(encode(described, plain)["categorical"], theirs)
    javascript = exported.encode_in_javascript(described, plain, "categorical", tmp_path)
    np.testing.assert_array_equal(javascript, theirs)
