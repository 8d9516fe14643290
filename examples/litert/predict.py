"""Asks a TFLite model with raw values, in an environment without TensorFlow.

    uv run --project examples/litert examples/litert/predict.py EXPORT examples/rows.json

EXPORT is the directory that AppExporter wrote. Prints one prediction a row, as JSON. This is what a
phone's app does in Kotlin or Swift: read `features.json`, encode, invoke.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main() -> None:
    """Encodes, invokes, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export", type=Path, help="the directory that AppExporter wrote")
    parser.add_argument("rows", type=Path, help="a JSON list of rows: column name → value")
    parser.add_argument("--variant", default="float32", help="float32, dynamic or int8 (%(default)s)")
    options = parser.parse_args()
    features = json.loads((options.export / "features.json").read_text())
    rows = json.loads(options.rows.read_text())
    encoded = load_encoding(options.export / "encoding.py").encode(features, rows)
    inputs = {"numeric": np.float32, "categorical": np.int32}
    arrays = {name: np.array(encoded[name], dtype) for name, dtype in inputs.items() if name in encoded}
    print(json.dumps(predict(options.export / f"model_{options.variant}.tflite", arrays).tolist()))


def load_encoding(path: Path):
    """The encoding that was shipped with the model."""
    specification = importlib.util.spec_from_file_location("encoding", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def predict(model: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Predictions, [rows, outputs]; of several heads a column for each, in the order of `heads` in features.json."""
    answers = Interpreter(str(model)).get_signature_runner()(**inputs)
    return np.concatenate([answers[name] for name in sorted(answers)], axis=1)


if __name__ == "__main__":
    main()
