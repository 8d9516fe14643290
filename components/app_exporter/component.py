"""Makes the model into what apps load: TFLite and TF.js, with its features described in JSON.

Every variant is held against the SavedModel on the whole eval split, and the step fails when one
loses more quality than allowed. What leaves is one directory: the variants, `features.json`, the code
that reads it, and `parity.json`.
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.app_exporter import tfjs, tflite
from components.app_exporter.metadata import describe
from components.app_exporter.parity import Answers, compare
from components.app_exporter.probe import transform_of
from components.app_exporter.recommender import export_recommender_app
from components.app_exporter.settings import App
from components.app_exporter.shipped_code import check_exportable, ship_code
from components.evaluator.ranking.histories import name_items, read_features
from components.serving_check.requests import read_rows
from foundation.sections import UserError
from trainer_module.features import CATEGORICAL, NUMERIC
from trainer_module.label import TRANSFORMED_LABEL
from trainer_module.log import ITEM, ITEMS
from trainer_module.settings import Settings

_LOG = logging.getLogger(__name__)
_MOST_ROWS = 10**9

PARITY = "parity.json"
"""Name of the report in the output."""


class AppExportError(UserError, RuntimeError):
    """A variant that must not be shipped; the message is one sentence."""


@component
def AppExporterStep(
    examples: InputArtifact[standard_artifacts.Examples],
    app_model: OutputArtifact[standard_artifacts.Model],
    settings: Parameter[str],
    formats: Parameter[str],
    max_quality_drop: Parameter[float],
    min_overlap: Parameter[float],
    item_name: Parameter[str] = "",
    pushed_model: InputArtifact[standard_artifacts.PushedModel] = None,
) -> None:
    """Writes the app's files into `app_model`, or nothing where no model was pushed.

    Args:
      examples: Raw, whose whole eval split the variants are compared on.
      app_model: A directory; see `export_app`.
      settings: `Settings.to_json` as JSON text, in the order that TFX gave them to the Trainer.
      formats: Space-separated: "float32", "dynamic" and "int8" are TFLite variants, "tfjs" is TF.js.
      max_quality_drop: How much worse a variant may be.
      min_overlap: How much of a recommender's list a variant must answer.
      item_name: Column of the item table with what people call an item; "" for none.
      pushed_model: From the Pusher: what was not good enough for a server is not for an app either. None
        where a cluster hands on no directory, because nothing is in it.

    Raises:
      AppExportError: If a variant loses too much.
    """
    if pushed_model is None or not pushed_model.get_int_custom_property("pushed"):
        _LOG.info("nothing is exported: the model was not pushed")
        return
    files = tf.io.gfile.glob(os.path.join(artifact_utils.get_split_uri([examples], "eval"), "*"))
    learned, names = Settings.from_json(json.loads(settings)), tuple(formats.split())
    model, directory = Path(pushed_model.uri), Path(app_model.uri)
    if learned.log:
        titles = _read_titles(examples, item_name) if item_name else None
        report = export_recommender_app(model, files, learned.log, names, directory, titles)
        (directory / PARITY).write_text(json.dumps(report, indent=2) + "\n")
    else:
        report = export_app(model, files, learned, names, directory)
    for name, variant in report["variants"].items():
        _LOG.info(
            "%s: %d kB, %.2f ms, greatest difference %.2g, %s %.4f",
            name, variant["bytes"] // 1000, variant["milliseconds"], variant["max_difference"],
            report["quality"], variant["quality"],
        )  # fmt: skip
    if learned.log:
        refuse_other_lists(report, min_overlap)
    else:
        refuse_losses(report, max_quality_drop)


class AppExporter(AppExporterStep):  # type: ignore[misc, valid-type]  # the decorator makes a class
    """See `AppExporterStep`."""

    def __init__(self, settings: Settings, app: App, item_name: str = "", **inputs: Any) -> None:
        """Takes the sections for `settings`, `formats`, `max_quality_drop` and `min_overlap`, and all else as `AppExporterStep` does.

        Raises:
          ConfigurationError: If nothing could be made for apps; see `check_exportable`.
        """
        check_exportable(settings, app.formats)
        super().__init__(
            # TFX sorts the keys of what it hands to Transform and Trainer, and with them the model's columns.
            settings=json.dumps(settings.to_json(), sort_keys=True),
            formats=" ".join(app.formats),
            max_quality_drop=app.max_quality_drop,
            min_overlap=app.min_overlap,
            item_name=item_name,
            **inputs,
        )


def _read_titles(examples: Any, item_name: str) -> dict[str, str]:
    files = tf.io.gfile.glob(os.path.join(artifact_utils.get_split_uri([examples], ITEMS), "*"))
    columns = read_features(files, (ITEM, item_name))
    names = [item.decode(errors="replace") for item in columns[ITEM].to_pylist()]
    return dict(zip(names, name_items(columns[ITEM], columns[item_name])))


def export_app(
    model: Path, files: list[str], settings: Settings, formats: tuple[str, ...], directory: Path
) -> dict[str, Any]:
    """Converts `model`, describes its features, and compares every variant with it.

    Args:
      model: A SavedModel with the signatures ``app`` and ``transform_features``.
      files: TFRecord files of raw examples: the whole eval split.
      settings: What the model was built from, features in the model's order.
      formats: `tflite.VARIANTS` and "tfjs".
      directory: Gets ``model_<variant>.tflite``, ``tfjs/``, ``features.json``, the code that reads it
        (`ship_code`) and ``parity.json``.

    Returns:
      The contents of ``parity.json``.

    Raises:
      EncodingError: If `features.json` would not say what the model does.
    """
    directory.mkdir(parents=True, exist_ok=True)
    loaded = tf.saved_model.load(str(model))
    transform = transform_of(loaded)
    rows = read_rows(files, _MOST_ROWS)
    features = describe(model, transform, settings, rows)
    (directory / "features.json").write_text(json.dumps(features, ensure_ascii=False, indent=1) + "\n")
    ship_code(settings.features, directory)
    transformed = transform(rows)
    types = {NUMERIC: np.float32, CATEGORICAL: np.int32}
    inputs = {
        name: transformed[name].astype(types[name], copy=False) for name in types if name in transformed
    }
    original = _ask(loaded, inputs)
    answers = {}
    for name in formats:
        if name == "tfjs":
            answers[name] = tfjs.convert_and_ask(loaded, inputs, directory / "tfjs")
        else:
            path = directory / f"model_{name}.tflite"
            path.write_bytes(tflite.convert(loaded, name, inputs))
            variant = tflite.TFLiteModel(path)
            answers[name] = Answers(
                variant.predict(inputs), path.stat().st_size, variant.milliseconds(inputs)
            )
    report = compare(settings.label.rules, transformed[TRANSFORMED_LABEL], original, answers)
    (directory / PARITY).write_text(json.dumps(report, indent=2) + "\n")
    return report


def refuse_losses(report: Mapping[str, Any], max_quality_drop: float) -> None:
    """Raises AppExportError if a variant's quality is further below the SavedModel's than allowed."""
    before = report["saved_model"]["quality"]
    for name, variant in report["variants"].items():
        if before - variant["quality"] > max_quality_drop:
            raise AppExportError(
                f"The {name} variant loses {before - variant['quality']:.4f} {report['quality']} on the eval "
                f"split ({before:.4f} to {variant['quality']:.4f}), and [app] max_quality_drop allows "
                f"{max_quality_drop:g}: leave {name} out of [app] formats, or allow more."
            )


def refuse_other_lists(report: Mapping[str, Any], min_overlap: float) -> None:
    """Raises AppExportError if a recommender's variant answers less of the server's list than wanted."""
    for name, variant in report["variants"].items():
        if variant["quality"] < min_overlap:
            raise AppExportError(
                f"The {name} variant answers {variant['quality']:.4f} of the server's first 50 items to "
                f"{report['rows']} users of the eval split, and [app] min_overlap wants {min_overlap:g}: leave {name} "
                "out of [app] formats, or want less."
            )


def _ask(loaded: Any, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Answers:
    signature = loaded.signatures["app"]
    one = {name: tf.constant(values[:1]) for name, values in inputs.items()}
    answers = signature(**{name: tf.constant(values) for name, values in inputs.items()})
    predictions = np.concatenate([answers[name].numpy() for name in sorted(answers)], axis=1)
    return Answers(predictions, 0, tflite.median_milliseconds(lambda: signature(**one)))
