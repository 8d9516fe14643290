"""A small table, trained on for real, and what each signature of the exported model says of its rows."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_transform.tf_metadata import schema_utils

from components.app_exporter.shipped_code import ship_code
from components.serving_check.component import check_model
from components.serving_check.requests import make_replays, read_signatures, serialize
from components.serving_check.settings import Serving
from tests.debian import program
from tests.tf.conftest import Row, Transformed, transform
from trainer_module.export import export_model
from trainer_module.model import build_model

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Exported:
    """A model that knows the table's preprocessing and has learned nothing."""

    table: Transformed
    model: Path
    types: Mapping[str, Any]
    required: frozenset[str] = frozenset()

    def _ask(self, signature: str, rows: Sequence[Row]) -> dict[str, Array]:
        asked = tf.saved_model.load(str(self.model)).signatures[signature]
        (examples,) = asked.structured_input_signature[1]
        answer = asked(**{examples: tf.constant([serialize(row) for row in rows])})
        return {name: values.numpy() for name, values in answer.items()}

    def transformed(self, rows: Sequence[Row]) -> dict[str, Array]:
        """What the signature `transform_features` answers."""
        return self._ask("transform_features", rows)

    def predict_raw(self, columns: Mapping[str, Any]) -> Array:
        """What the signature `predict_raw` answers to lists, by the names of its inputs."""
        signature = tf.saved_model.load(str(self.model)).signatures["predict_raw"]
        asked = {
            name: tf.constant(columns[name], spec.dtype)
            for name, spec in signature.structured_input_signature[1].items()
        }
        return np.asarray(signature(**asked)["predictions"].numpy())

    def predict(self, rows: Sequence[Row]) -> Array:
        """What the signature `serving_default` answers."""
        return self._ask("serving_default", rows)["predictions"]

    def refusals(self, rows: Sequence[Row]) -> list[str]:
        """What the serving check has against the model, after asking all signatures with `rows`."""
        replays = make_replays(
            "model", read_signatures(self.model), rows, self.table.settings, self.required, len(rows)
        )
        return check_model(self.model, replays, Serving(memory_mib=8192))[1]

    def encode_in_javascript(
        self, described: Mapping[str, Any], rows: Sequence[Any], output: str, directory: Path
    ) -> Any:
        """What an app's JavaScript makes of plain rows for one of the model's inputs, by `features.json`."""
        ship_code(self.table.settings.features, directory)
        (directory / "data.json").write_text(json.dumps([described, rows]))
        (directory / "check.mjs").write_text(
            'import { readFileSync } from "node:fs";\nimport { encode } from "./encoding.mjs";\n'
            f'const [features, rows] = JSON.parse(readFileSync("{directory}/data.json", "utf8"));\n'
            f"console.log(JSON.stringify(encode(features, rows).{output}));\n"
        )
        node = [program("node", "nodejs"), str(directory / "check.mjs")]
        return json.loads(subprocess.run(node, capture_output=True, check=True).stdout)

    @property
    def schema(self) -> str:
        """Of the raw rows, as text."""
        spec = {name: tf.io.VarLenFeature(dtype) for name, dtype in self.types.items()}
        return str(schema_utils.schema_from_feature_spec(spec))


def export(
    directory: Path,
    features: Mapping[str, Any],
    rows: Sequence[Row],
    types: Mapping[str, Any],
    fixed: Mapping[str, tf.io.FixedLenFeature] | None = None,
) -> Exported:
    """The model of a table whose label is the column "y", 0 or 1, which is added where it is not there.

    `fixed` is what a schema says of columns all of whose rows have as many values.
    """
    rows = [{"y": [place % 2], **row} for place, row in enumerate(rows)]
    types = {"y": tf.int64, **types}
    tables = {
        "features": dict(features),
        "label": {"task": "binary", "column": "y"},
        "model": {"embedding_dim": 2, "hidden_units": [4]},
        "training": {"epochs": 1, "global_batch_size": 8},
    }
    table = transform(tables, rows, types=dict(types), fixed=fixed or {})
    export_model(build_model(table.settings), table.settings, table.output, str(directory / "model"))
    return Exported(table, directory / "model", types, frozenset(fixed or ()))
