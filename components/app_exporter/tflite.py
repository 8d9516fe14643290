"""TFLite variants of the app signature, with built-in operations only, and how well they agree."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

Inputs = Mapping[str, np.ndarray[Any, Any]]

VARIANTS = ("float32", "dynamic", "int8")
"""As trained; weights in 8 bits; weights and arithmetic in 8 bits, inputs and output as they were."""

_CALIBRATION_ROWS = 500
_CHUNK = 1000
_TIMED_CALLS = 200


def convert(loaded: Any, variant: str, inputs: Inputs) -> bytes:
    """One TFLite model.

    Args:
      loaded: A SavedModel with the signature ``app``.
      variant: One of `VARIANTS`.
      inputs: Real inputs, of which the first rows calibrate the int8 variant.

    Raises:
      tf.lite.ConverterError: If an operation has no TFLite built-in.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([loaded.signatures["app"]], loaded)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _calibration(inputs)
    return bytes(converter.convert())


def _calibration(inputs: Inputs) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    rows = len(next(iter(inputs.values())))
    for row in range(min(rows, _CALIBRATION_ROWS)):
        yield {name: values[row : row + 1] for name, values in inputs.items()}


class TFLiteModel:
    """A TFLite model on this machine's CPU, one thread."""

    def __init__(self, model: Path) -> None:
        self._interpreter = tf.lite.Interpreter(str(model), num_threads=1)
        self._rows = 0
        # Several heads are outputs of a column each: side by side in the order of their names.
        (signature,) = self._interpreter.get_signature_list()
        outputs = self._interpreter.get_signature_runner(signature).get_output_details()
        self._outputs = [outputs[name]["index"] for name in sorted(outputs)]

    def predict(self, inputs: Inputs) -> np.ndarray[Any, Any]:
        """Predictions, [rows, outputs], for any number of rows."""
        rows = len(next(iter(inputs.values())))
        parts = [
            self._invoke({name: values[at : at + _CHUNK] for name, values in inputs.items()})
            for at in range(0, rows, _CHUNK)
        ]
        return np.concatenate(parts)

    def milliseconds(self, inputs: Inputs) -> float:
        """Median time of a batch of 1."""
        return median_milliseconds(lambda: self._invoke({name: v[:1] for name, v in inputs.items()}))

    def _invoke(self, inputs: Inputs) -> np.ndarray[Any, Any]:
        rows = len(next(iter(inputs.values())))
        places = {_name(detail): detail["index"] for detail in self._interpreter.get_input_details()}
        if rows != self._rows:
            for name, values in inputs.items():
                self._interpreter.resize_tensor_input(places[name], values.shape)
            self._interpreter.allocate_tensors()
            self._rows = rows
        for name, values in inputs.items():
            self._interpreter.set_tensor(places[name], values)
        self._interpreter.invoke()
        return np.concatenate([self._interpreter.get_tensor(place) for place in self._outputs], axis=1)


def _name(detail: Mapping[str, Any]) -> str:
    # "app_numeric:0" is the tensor of the input "numeric".
    return str(detail["name"]).removesuffix(":0").removeprefix("app_").removeprefix("serving_default_")


def median_milliseconds(call: Any) -> float:
    """The median of many calls, after some that are not counted."""
    for _ in range(10):
        call()
    times = []
    for _ in range(_TIMED_CALLS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000
