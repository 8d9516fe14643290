"""The words of a text are looked up in a vocabulary of the train split, where the dataset file asks for one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.app_exporter.encoding import encode
from components.app_exporter.farmhash import fingerprint64
from components.app_exporter.metadata import describe
from components.app_exporter.probe import transform_of
from foundation.sections import ConfigurationError
from tests.field.signatures import Exported, export
from tests.tf.conftest import Row
from trainer_module.features import read_features
from trainer_module.features.vocabulary import read_terms
from trainer_module.model import build_model
from trainer_module.settings import Settings
from trainer_module.warm_start.carry_over import start_from

FEATURES: dict[str, Any] = {
    "hashed": {"kind": "text", "buckets": 100, "max_length": 3},
    "pairs": {"kind": "text", "size": 50, "min_count": 20, "max_length": 6, "ngrams": 2},
    "title": {"kind": "text", "size": 3, "oov_buckets": 2, "max_length": 4},
}
SAID = ["Red SHOES", "red shoes, red größe", "Red boots", "shoes", "größe\nred!", "", "... !"]


def make_rows(said: list[str] = SAID) -> list[Row]:
    return [
        {name: [said[row % len(said)].encode()] if row else [] for name in FEATURES}
        for row in range(1 + 10 * len(said))
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("words"), FEATURES, make_rows(), dict.fromkeys(FEATURES, tf.string))


def ids_of(exported: Exported, name: str, text: str) -> list[int]:
    columns = exported.transformed([{name: [text.encode()]}])["categorical"]
    start = {"hashed": 0, "pairs": 3, "title": 9}[name]
    return columns[0, start : start + FEATURES[name]["max_length"]].tolist()


def test_words_are_numbered_by_how_often_they_are_read(exported: Exported) -> None:
    words = read_terms(exported.model / "assets" / "title")
    # Red in 50 places, shoes in 30, größe in 20; boots, in 10, is not among the three.
    assert words == [b"red", b"shoes", "größe".encode()]
    assert ids_of(exported, "title", "GRÖSSE größe, Shoes RED") == [
        3 + fingerprint64("grösse".encode()) % 2, 2, 1, 0,
    ]  # fmt: skip
    assert ids_of(exported, "title", "boots") == [3 + fingerprint64(b"boots") % 2, 5, 5, 5]
    assert ids_of(exported, "title", "?!") == [5] * 4


def test_rare_words_and_pairs_are_not_in_the_vocabulary(exported: Exported) -> None:
    words = read_terms(exported.model / "assets" / "pairs")
    assert set(words) == {b"red", b"shoes", "größe".encode(), b"red shoes"}
    place = {word.decode(): place for place, word in enumerate(words)}
    # Behind the terms that were found; missing is the last of the 50 and two.
    others = len(words)
    assert ids_of(exported, "pairs", "red shoes boots") == [
        place["red"], place["shoes"], others, place["red shoes"], others, 51,
    ]  # fmt: skip


def test_hashed_words_beside_them_stay_hashed(exported: Exported) -> None:
    assert ids_of(exported, "hashed", "Red shoes") == [
        fingerprint64(b"red") % 100, fingerprint64(b"shoes") % 100, 100,
    ]  # fmt: skip
    assert not (exported.model / "assets" / "hashed").exists()


def test_every_signature_and_an_app_agree(exported: Exported, tmp_path: Path) -> None:
    rows = make_rows()
    assert exported.refusals(rows) == []
    transform = transform_of(tf.saved_model.load(str(exported.model)))
    described = describe(exported.model, transform, exported.table.settings, rows)
    said = [*SAID, "new words, red", "Größe " * 9, "red"]
    plain = [*({name: text for name in FEATURES} for text in said), {}]
    theirs = transform([*({name: [text.encode()] for name in FEATURES} for text in said), {}])["categorical"]
    np.testing.assert_array_equal(encode(described, plain)["categorical"], theirs)
    javascript = exported.encode_in_javascript(described, plain, "categorical", tmp_path)
    np.testing.assert_array_equal(javascript, theirs)


def test_a_vocabulary_that_has_grown_keeps_the_rows_of_its_words(exported: Exported, tmp_path: Path) -> None:
    features = {**FEATURES, "title": {**FEATURES["title"], "size": 6}}
    said = ["boots boots", "boots shoes", "sandals", "red"]
    later = export(tmp_path, features, make_rows(said), dict.fromkeys(features, tf.string)).table
    keras.utils.set_random_seed(7)
    model = build_model(later.settings)
    (fresh,) = (rows.copy() for rows in model.get_layer("categories").get_weights())
    started = start_from(str(exported.model), model, later.settings, later.output)
    (rows,) = model.get_layer("categories").get_weights()
    keys = "model_variables/{}/.ATTRIBUTES/VARIABLE_VALUE"
    checkpoint = tf.train.load_checkpoint(str(exported.model / "variables" / "variables"))
    old = next(
        found
        for number in range(9)
        if len(found := checkpoint.get_tensor(keys.format(number))) == 101 + 52 + 6
    )
    was = [b"red", b"shoes", "größe".encode()]
    now = read_terms(Path(later.graph) / "transform_fn" / "assets" / "title")
    assert set(now) == {b"boots", b"shoes", b"sandals", b"red"} and now[0] == b"boots"
    start = 101 + 52
    for place, word in enumerate(now):
        expected = old[start + was.index(word)] if word in was else fresh[start + place]
        np.testing.assert_array_equal(rows[start + place], expected, err_msg=word.decode())
    # The out-of-vocabulary ids follow the words, missing is last.
    np.testing.assert_array_equal(rows[start + 4 : start + 6], old[start + 3 : start + 5])
    np.testing.assert_array_equal(rows[-1], old[-1])
    (title,) = [group for group in started.groups if group.name == "title"]
    assert (title.carried, title.new, title.dropped) == (5, 2, 1)


def test_settings_survive_the_journey_as_json(exported: Exported) -> None:
    settings = exported.table.settings
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"size": 9, "buckets": 9}, "has both buckets, for hashed words, and size, for a vocabulary: remove"),
        ({"size": 0}, "size is 0; it must be at least 1"),
        ({"buckets": 1}, "buckets is 1; it must be at least 2"),
        ({"size": 9, "oov_buckets": 0}, "oov_buckets is 0; it must be at least 1"),
        ({"size": 9, "min_count": 0}, "min_count is 0; it must be at least 1"),
        ({"min_count": 2}, "min_count is of a vocabulary: add size"),
    ],
)
def test_settings_are_checked(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_features({"x": {"kind": "text", **entry}}, "[features]")
