"""Two columns of the same things have one vocabulary and one embedding for each."""

from typing import Any

import pytest
import tensorflow as tf

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
    "away": {"kind": "vocabulary", "share": "home"},
    "home": {"kind": "vocabulary", "size": 9, "oov_buckets": 2},
    "others": {"kind": "vocabulary", "share": "home", "multi": True, "max_length": 3},
    "buyer": {"kind": "hashed", "buckets": 50},
    "seller": {"kind": "hashed", "share": "buyer"},
}
TYPES = {name: tf.string for name in FEATURES}


def make_rows() -> list[Row]:
    return [
        {
            "home": [b"h%d" % (row % 3)],
            "away": [b"a%d" % (row % 2)] if row % 5 else [],
            "others": [b"o", b"h1"][: row % 3],
            "buyer": [b"%d" % row],
            "seller": [b"%d" % (row + 1)],
        }
        for row in range(40)
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(tmp_path_factory.mktemp("shared"), FEATURES, make_rows(), TYPES)


def test_a_value_has_one_id_in_all_columns(exported: Exported) -> None:
    order = [feature.name for feature in exported.table.settings.categorical]
    assert order == ["away", "home", "others", "buyer", "seller"]
    for value in (b"h0", b"a1", b"o"):
        row: Row = {
            "home": [value],
            "away": [value],
            "others": [value, value],
            "buyer": [value],
            "seller": [value],
        }
        away, home, first, second, _, buyer, seller = exported.transformed([row])["categorical"][0].tolist()
        assert away == home == first == second < 9 and buyer == seller
    terms = set(read_terms(exported.model / "assets" / "home"))
    assert terms == {b"h0", b"h1", b"h2", b"a0", b"a1", b"o"}


def test_they_have_one_block_of_embeddings(exported: Exported) -> None:
    (table,) = build_model(exported.table.settings).get_layer("categories").get_weights()
    assert len(table) == (9 + 2 + 1) + (50 + 1)


def test_every_signature_and_an_app_agree(exported: Exported) -> None:
    assert exported.refusals(make_rows()) == []
    # It raises where an encoded row differs.
    transform = transform_of(tf.saved_model.load(str(exported.model)))
    describe(exported.model, transform, exported.table.settings, make_rows())


def test_a_warm_start_carries_the_block_over_once(exported: Exported) -> None:
    settings, output = exported.table.settings, exported.table.output
    started = start_from(str(exported.model), build_model(settings), settings, output)
    groups = {group.name: group for group in started.groups}
    assert groups["home"].carried == 6 + 2 + 1 and "away" not in groups
    assert all(group.new == group.dropped == 0 for group in started.groups if group.unit == "values")


def test_settings_survive_the_journey_as_json(exported: Exported) -> None:
    settings = exported.table.settings
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"kind": "vocabulary", "share": "gone"},
            "share is 'gone'; it must name a feature of kind vocabulary",
        ),
        ({"kind": "hashed", "share": "home"}, "share is 'home'; it must name a feature of kind hashed"),
        ({"kind": "vocabulary", "share": "away"}, "that shares no other"),
        (
            {"kind": "vocabulary", "share": "home", "size": 5},
            "size is that of 'home', which it shares: remove it",
        ),
        ({"kind": "vocabulary", "share": 3}, "share is 3"),
    ],
)
def test_what_cannot_be_shared_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_features({**FEATURES, "x": entry}, "[features]")
