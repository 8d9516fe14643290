"""What leaves for apps: variants that agree with the SavedModel, and features in words."""

import dataclasses
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.app_exporter import farmhash, tfjs
from components.app_exporter.component import AppExporter, AppExportError, refuse_losses
from components.app_exporter.encoding import encode
from components.app_exporter.farmhash import fingerprint64
from components.app_exporter.metadata import EncodingError, describe
from components.app_exporter.probe import transform_of
from tests.debian import program
from trainer_module.tasks import find_task
from trainer_module.tasks.binary import area_under_curve

FARMHASH = Path(farmhash.__file__).with_suffix(".mjs")


def report_of(export: Path) -> dict:
    return json.loads((export / "parity.json").read_text())


def test_every_variant_agrees_on_the_whole_eval_split(export, release) -> None:
    report = report_of(export)
    assert report["rows"] == len(release.rows)
    assert report["quality"] == "auc"
    assert report["saved_model"]["quality"] > 0.8
    variants = report["variants"]
    assert variants["float32"]["max_difference"] < 1e-5
    # Quantised: a real difference, and a small one.
    for name in ("dynamic", "int8"):
        assert 0 < variants[name]["max_difference"] < 0.15
        assert abs(variants[name]["quality"] - report["saved_model"]["quality"]) < 0.02
    assert variants["dynamic"]["bytes"] < variants["float32"]["bytes"]
    assert all(variant["milliseconds"] > 0 for variant in variants.values())


def test_tfjs_agrees_on_the_whole_eval_split(tfjs_export) -> None:
    assert report_of(tfjs_export)["variants"]["tfjs"]["max_difference"] < 1e-5


def test_tfjs_answers_where_the_project_lies_behind_a_link_with_a_space(tfjs_export, tmp_path) -> None:
    node, runtime = tfjs.install_runtime()
    (tmp_path / "a link").symlink_to(runtime)
    features = json.loads((tfjs_export / "features.json").read_text())
    rows = {kind: [[0] * len(features[kind])] for kind in ("numeric", "categorical")}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    script, answers = tmp_path / "a link" / "predict.mjs", tmp_path / "answers.json"
    subprocess.run([node, script, tfjs_export / "tfjs", tmp_path / "rows.json", answers], check=True)
    assert len(json.loads(answers.read_text())["predictions"]) == 1


def test_tfjs_without_a_python_for_its_converter_says_so(tmp_path) -> None:
    # A stand-in for the one tool that would fetch a Python: a refusal of it, whatever it is asked.
    (tmp_path / "uv").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "uv").chmod(0o755)
    with pytest.raises(tfjs.ToolError, match=r"needs Python 3\.10, 3\.11 or 3\.12 .* leave tfjs out"):
        tfjs._require_python(str(tmp_path / "uv"), {})


def test_trap_4_tflite_uses_builtin_operations_only(export) -> None:
    for name in ("float32", "dynamic", "int8"):
        interpreter = tf.lite.Interpreter(str(export / f"model_{name}.tflite"))
        operations = {detail["op_name"] for detail in interpreter._get_ops_details()}
        assert operations, name
        assert not {each for each in operations if each.startswith(("Flex", "CUSTOM"))}
        types = {detail["dtype"] for detail in interpreter.get_input_details()}
        assert types == {np.float32, np.int32}


def test_int8_computes_in_eight_bits(export) -> None:
    interpreter = tf.lite.Interpreter(str(export / "model_int8.tflite"))
    dense = [each for each in interpreter._get_ops_details() if each["op_name"] == "FULLY_CONNECTED"]
    tensors = {each["index"]: each["dtype"] for each in interpreter.get_tensor_details()}
    assert dense
    for operation in dense:
        assert {tensors[index] for index in operation["outputs"]} == {np.int8}


def test_raw_rows_are_encoded_as_the_model_does(export, release, plain_rows) -> None:
    features = json.loads((export / "features.json").read_text())
    by_name = {entry["name"]: entry for entry in features["categorical"]}
    assert "Größe & Söhne" in by_name["company"]["values"]
    assert len(by_name["latitude"]["boundaries"]) == 3
    unusual = {"company": "unseen", "hour": 99, "tract": -5, "miles": float("nan")}
    infinite = [{"miles": float(text), "latitude": float(text)} for text in ("inf", "-inf")]
    rows = [*plain_rows, {}, unusual, *infinite]
    raw = [{k: [v.encode() if isinstance(v, str) else v] for k, v in row.items()} for row in rows]
    theirs = transform_of(tf.saved_model.load(str(release.model)))(raw)
    ours = encode(features, rows)
    np.testing.assert_array_equal(ours["categorical"], theirs["categorical"])
    np.testing.assert_allclose(ours["numeric"], theirs["numeric"], atol=1e-5)


def test_a_number_that_is_not_finite_is_missing_in_javascript_too(export, tmp_path) -> None:
    script = tmp_path / "check.mjs"
    script.write_text(
        f'import {{ encode }} from "{export / "encoding.mjs"}";\n'
        f"const features = {(export / 'features.json').read_text()};\n"
        "const values = [Infinity, -Infinity, 1e39, NaN];\n"
        "const rows = [{}, ...values.map((value) => ({ miles: value, latitude: value }))];\n"
        "console.log(JSON.stringify(encode(features, rows)));\n"
    )
    done = subprocess.run(
        [program("node", "nodejs"), str(script)], capture_output=True, text=True, check=True
    )
    for matrix in json.loads(done.stdout).values():
        assert matrix == [matrix[0]] * 5


def test_a_value_on_a_bucket_boundary_falls_as_in_the_model(export, release) -> None:
    features = json.loads((export / "features.json").read_text())
    (entry,) = [each for each in features["categorical"] if each["kind"] == "bucketized"]
    column = features["categorical"].index(entry)
    at = [np.float32(boundary) for boundary in entry["boundaries"]]
    values = [
        float(v) for b in at for v in (b, np.nextafter(b, np.float32(0)), np.nextafter(b, np.float32(99)))
    ]
    transform = transform_of(tf.saved_model.load(str(release.model)))
    theirs = transform([{"latitude": [value]} for value in values])["categorical"][:, column]
    ours = np.asarray(encode(features, [{"latitude": value} for value in values])["categorical"])[:, column]
    np.testing.assert_array_equal(ours, theirs)


def test_the_order_of_the_features_in_a_dataset_file_means_nothing(release) -> None:
    # TFX sorts the features on their way to the Trainer; an export that did not would mix up columns.
    other = dataclasses.replace(release.settings, features=tuple(reversed(release.settings.features)))
    transform = transform_of(tf.saved_model.load(str(release.model)))
    described = [
        describe(release.model, transform, each, release.rows[:50]) for each in (release.settings, other)
    ]
    assert described[0] == described[1]


def test_an_encoding_that_differs_from_the_models_is_noticed(release) -> None:
    transform = transform_of(tf.saved_model.load(str(release.model)))

    def of_another_model(rows: Any) -> Any:
        made = dict(transform(rows))
        if len(rows) == 50:
            made["categorical"] = made["categorical"] + 1
        return made

    with pytest.raises(EncodingError, match="could not encode the feature"):
        describe(release.model, of_another_model, release.settings, release.rows[:50])


def test_fingerprints_are_tensorflows_in_python_and_in_javascript(tmp_path) -> None:
    chance = random.Random(3)
    words = [bytes(chance.randrange(256) for _ in range(size)) for size in range(200)]
    buckets = (1 << 61) - 1
    theirs = tf.strings.to_hash_bucket_fast(words, buckets).numpy().tolist()
    ours = [fingerprint64(word) for word in words]
    assert [value % buckets for value in ours] == theirs
    script = tmp_path / "check.mjs"
    script.write_text(
        f'import {{ fingerprint64 }} from "{FARMHASH}";\n'
        f"const words = {json.dumps([list(word) for word in words])};\n"
        "console.log(JSON.stringify(words.map((word) => String(fingerprint64(Uint8Array.from(word))))));\n"
    )
    done = subprocess.run(
        [program("node", "nodejs"), str(script)], capture_output=True, text=True, check=True
    )
    assert [int(value) for value in json.loads(done.stdout)] == ours


def test_a_variant_that_loses_too_much_fails_the_step(export) -> None:
    report = report_of(export)
    refuse_losses(report, 0.05)
    report["variants"]["int8"]["quality"] = report["saved_model"]["quality"] - 0.1
    with pytest.raises(AppExportError, match=r"The int8 variant loses 0\.1000 auc .* leave int8 out"):
        refuse_losses(report, 0.05)


def test_nothing_is_exported_of_a_model_that_was_not_pushed(release, tmp_path) -> None:
    pushed, examples = standard_artifacts.PushedModel(), standard_artifacts.Examples()
    pushed.uri, examples.uri, examples.split_names = str(tmp_path), str(release.examples), '["eval"]'
    output = standard_artifacts.Model()
    output.uri = str(tmp_path / "app")
    AppExporter.EXECUTOR_SPEC.executor_class().Do(
        {"pushed_model": [pushed], "examples": [examples]},
        {"app_model": [output]},
        {
            "settings": json.dumps(release.settings.to_json()),
            "formats": "float32",
            "max_quality_drop": 0.01,
            "min_overlap": 0.98,
        },
    )
    assert not Path(output.uri).exists() or not list(Path(output.uri).iterdir())


def test_the_area_under_the_curve_counts_ties_half() -> None:
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.9])
    # Pairs (negative, positive): three are right, one is a tie.
    assert area_under_curve(labels, scores) == pytest.approx(3.5 / 4)
    assert area_under_curve(np.zeros(3), np.ones(3)) == 0.5
    assert find_task("multiclass").quality(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])) == 0.5
    assert find_task("regression").quality(np.array([1.0, 3.0]), np.array([[1.0], [3.0]])) == 1.0
