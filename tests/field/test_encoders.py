"""A text becomes the vector of a sentence encoder that was trained elsewhere, and the model carries the encoder."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from components.app_exporter.shipped_code import check_exportable
from foundation.sections import ConfigurationError
from pipeline import config
from pipeline.fingerprint import step_fingerprint
from pipeline.kubeflow.compile import compile_pipeline, require_cluster
from pipeline.kubeflow.documents import executor_label
from pipeline.nodes import STEPS
from pipeline.running import inputs, preflight
from tests.field.encoders import save_encoder, save_keras_encoder, vector_of
from tests.field.signatures import Array, Exported, export
from tests.field.tables import load_dataset
from tests.tf.conftest import Row
from trainer_module.features import read_features
from trainer_module.features.encoder import Encoder
from trainer_module.settings import Settings

SAID = ["red shoes", "red red", "großes Haus", "", "anything"]
ENTRIES: dict[str, dict[str, Any]] = {
    "keras": {"size": 4, "normalise": "none"},
    "length one": {"size": 4, "missing_indicator": True},
    "plain": {"size": 4, "normalise": "none", "signature": "embed"},
    "scaled": {"size": 4, "normalise": "standard"},
}


def make_rows() -> list[Row]:
    rows: list[Row] = [{name: [SAID[row % len(SAID)].encode()] for name in ENTRIES} for row in range(40)]
    rows[7] = {name: [] for name in ENTRIES}
    return rows


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    directory = tmp_path_factory.mktemp("encoders")
    saved = save_encoder(directory / "saved")
    paths = {
        "keras": save_keras_encoder(directory / "saved.keras"),
        "length one": saved,
        "plain": save_encoder(directory / "embed", signature="embed"),
        "scaled": saved,
    }
    features = {
        name: {"kind": "encoder", "path": str(paths[name]), **entry} for name, entry in ENTRIES.items()
    }
    made = export(directory, features, make_rows(), dict.fromkeys(features, tf.string))
    # What serves the model has the model and nothing else.
    for path in set(paths.values()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return made


def columns_of(exported: Exported, name: str, rows: list[Row]) -> Array:
    numbers, start = exported.transformed(rows)["numeric"], 0
    for feature in exported.table.settings.numeric:
        if feature.name == name:
            return numbers[:, start : start + feature.width]
        start += feature.width
    raise KeyError(name)


def test_the_encoders_vector_reaches_the_model(exported: Exported) -> None:
    said = [*SAID[:3], "something training has not seen red"]
    found = columns_of(exported, "plain", [{"plain": [text.encode()]} for text in said])
    np.testing.assert_allclose(found, [vector_of(text) for text in said])
    found = columns_of(exported, "length one", [{"length one": [b"red shoes"]}])
    given = np.array(vector_of("red shoes"))
    np.testing.assert_allclose(found, [[*given / np.linalg.norm(given) * 2, 0]], rtol=1e-5)


def test_a_keras_file_does_what_a_saved_model_does(exported: Exported) -> None:
    rows: list[Row] = [{"keras": [text.encode()]} for text in ("red shoes red", "großes Haus und Hof")]
    # The others come first.
    np.testing.assert_allclose(columns_of(exported, "keras", rows), [[0, 2, 1, 0], [3, 0, 0, 1]])


def test_scaled_places_are_those_of_the_training_split(exported: Exported) -> None:
    found = columns_of(exported, "scaled", make_rows())
    there = [place for place, row in enumerate(make_rows()) if row["scaled"] not in ([], [b""])]
    np.testing.assert_allclose(found[there].mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(found[there].std(axis=0), 1, atol=0.1)


def test_a_missing_text_is_zero_whatever_the_encoder_says_of_it(exported: Exported) -> None:
    for name in ("keras", "plain", "scaled"):
        assert not columns_of(exported, name, [{}, {name: [b""]}]).any()
    found = columns_of(exported, "length one", [{}, {"length one": [b""]}, {"length one": [b"x"]}])
    assert found[:2].tolist() == [[0, 0, 0, 0, 1]] * 2 and found[2, 4] == 0


def test_every_signature_agrees_without_the_encoders_files(exported: Exported) -> None:
    assert exported.refusals(make_rows()) == []


def test_features_with_one_encoder_share_one_copy(exported: Exported) -> None:
    variables = tf.train.list_variables(str(exported.model / "variables" / "variables"))
    # The weights of `saved`, which two features name, and of `embed`; nothing else of the model has this shape.
    assert [shape for _, shape in variables].count([4, 4]) == 2, variables


def test_no_app_can_have_it_and_that_is_said_before_training() -> None:
    settings = Settings.from_json(
        {
            "features": {"title": {"kind": "encoder", "path": "/encoder", "size": 4}},
            "label": {"task": "binary", "column": "y"},
            "training": {"global_batch_size": 8},
        }
    )
    with pytest.raises(
        ConfigurationError, match=r"'title': no app has its encoder: leave the feature out, or"
    ):
        check_exportable(settings, ("float32",))
    assert Settings.from_json(settings.to_json()) == settings


def title(path: Path, **entry: Any) -> Encoder:
    (feature,) = read_features(
        {"title": {"kind": "encoder", "path": str(path), "size": 4, **entry}}, "[features]"
    )
    assert isinstance(feature, Encoder)
    return feature


def test_an_encoder_that_does_not_fit_is_refused_with_what_was_found(tmp_path: Path) -> None:
    saved = save_encoder(tmp_path / "saved")
    title(saved).check_file()
    found = r"has serving_default\(sentences: string \[\?\]\) -> \(pooled: float \[\?, 4\], words: int32 \[2\]\): correct"
    with pytest.raises(
        ConfigurationError, match=rf"'title' path .* to vectors, float \[\?, 5\], and {found} size"
    ):
        title(saved, size=5).check_file()
    with pytest.raises(ConfigurationError, match=rf"needs a signature 'embed' from texts, .* {found}"):
        title(saved, signature="embed").check_file()
    with pytest.raises(ConfigurationError, match=r"path .*/gone is not there: correct it"):
        title(tmp_path / "gone").check_file()
    with pytest.raises(ConfigurationError, match="is neither a SavedModel, which is"):
        title(tmp_path).check_file()
    (saved / "saved_model.pb").write_bytes(b"no message")
    with pytest.raises(ConfigurationError, match="is neither a SavedModel, which is"):
        title(saved).check_file()


def test_a_keras_file_of_another_keras_is_refused_with_the_way_on(tmp_path: Path) -> None:
    file = tmp_path / "new.keras"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.4.1"}))
    with pytest.raises(
        ConfigurationError, match=r"saved by Keras 3\.4\.1, .* with `model\.export\(directory\)`"
    ):
        title(file).check_file()
    file.write_bytes(b"")
    with pytest.raises(ConfigurationError, match=r"is not a \.keras file that Keras saved"):
        title(file).check_file()


def test_an_encoder_of_keras_3_does_after_an_export(tmp_path: Path) -> None:
    script = (
        "import keras\n"
        "layers = keras.layers\n"
        "words = layers.TextVectorization(vocabulary=['red', 'shoes'], output_mode='count', standardize=None)\n"
        "model = keras.Sequential([keras.Input((1,), dtype='string'), words, layers.Rescaling(1.0)])\n"
        f"model.export({str(tmp_path / 'exported')!r}, verbose=False)\n"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    features = {
        "title": {"kind": "encoder", "path": str(tmp_path / "exported"), "size": 3, "normalise": "none"}
    }
    made = export(tmp_path, features, [{"title": [b"red"]}] * 8, {"title": tf.string})
    assert made.transformed([{"title": [b"red red socks"]}])["numeric"].tolist() == [[1, 2, 0]]


def test_what_only_asking_shows_is_one_sentence_too(tmp_path: Path) -> None:
    made = save_keras_encoder(tmp_path / "four.keras")
    features = {"title": {"kind": "encoder", "path": str(made), "size": 3}}
    with pytest.raises(
        ConfigurationError, match=r"answers \[2, 4\] numbers to two texts, and size is 3: correct"
    ):
        export(tmp_path, features, [{"title": [b"red"]}] * 8, {"title": tf.string})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"trainable": True},
            "trainable is true, and an encoder stays as it is here: fine-tune it elsewhere",
        ),
        ({"size": 0}, "size is 0"),
        ({"path": ""}, "path is empty"),
    ],
)
def test_settings_are_checked(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_features({"title": {"kind": "encoder", "path": "x", "size": 4, **entry}}, "[features]")


DATASET = 'title = { kind = "encoder", path = "encoder", size = 4 }'


def test_a_path_is_relative_to_the_dataset_file_and_checked_before_a_run(tmp_path: Path) -> None:
    loaded = load_dataset(tmp_path, 'format = "csv"', DATASET)
    assert loaded.settings.named_files == {"path of [features] 'title'": str(tmp_path / "encoder")}
    with pytest.raises(ConfigurationError, match=rf"path {tmp_path}/encoder is not there"):
        preflight.check_paths(loaded)
    save_encoder(tmp_path / "encoder")
    preflight.check_paths(loaded)


def test_nothing_heavy_is_imported_to_refuse_a_signature(tmp_path: Path) -> None:
    save_encoder(tmp_path / "encoder")
    load_dataset(tmp_path, 'format = "csv"', DATASET.replace("4", "5"))
    script = (
        "import sys\nfrom pipeline import config\nfrom pipeline.running import preflight\n"
        f"loaded = config.load({str(tmp_path / 'orders.toml')!r}, 'laptop')\n"
        "try:\n    preflight.check_paths(loaded)\nexcept ValueError as error:\n    print(error)\n"
        "print([name for name in ('tensorflow', 'numpy', 'pyarrow') if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "float [?, 5], and has serving_default" in said and said.endswith("\n[]\n")


def test_another_encoder_at_the_path_repeats_transform_and_has_a_scheduler_train(tmp_path: Path) -> None:
    loaded = load_dataset(tmp_path, 'format = "csv"', DATASET)

    def state() -> tuple[str, str]:
        return (
            step_fingerprint(STEPS["Transform"], loaded),
            inputs.read_without_data(loaded)["configuration"],
        )

    save_encoder(tmp_path / "encoder")
    before = state()
    shutil.copytree(tmp_path / "encoder", tmp_path / "copy")
    shutil.rmtree(tmp_path / "encoder")
    shutil.move(tmp_path / "copy", tmp_path / "encoder")
    assert state() == before
    shutil.rmtree(tmp_path / "encoder")
    save_encoder(tmp_path / "encoder", factor=2.0)
    after = state()
    assert after[0] != before[0] and after[1] != before[1]


def test_on_a_cluster_transform_mounts_the_encoders_volume_and_is_never_cached(tmp_path: Path) -> None:
    dataset = str(tmp_path / "orders.toml")
    load_dataset(tmp_path, 'format = "csv"', DATASET.replace('"encoder", size', '"/mnt/encoders/one", size'))
    volumes = 'kubeflow.volumes={data="/mnt/data", models="/mnt/models", encoders="/mnt/encoders"}'
    loaded = config.load(dataset, "cluster", [volumes])
    spec, platform = yaml.safe_load_all(compile_pipeline(loaded))
    tasks = spec["root"]["dag"]["tasks"]
    assert "cachingOptions" not in tasks["Transform"] and tasks["Trainer"]["cachingOptions"]["enableCache"]
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    (mount,) = executors[executor_label("Transform")]["pvcMount"]
    assert (mount["constant"], mount["mountPath"]) == ("encoders", "/mnt/encoders")
    with pytest.raises(
        ConfigurationError, match=r"path of \[features\] 'title' /mnt/encoders/one is on none of"
    ):
        require_cluster(config.load(dataset, "cluster"))
