"""The TF.js variant: converted in an environment of its own, and asked in Node.

The converter's pins clash with those of TFX, so that it has its own lock, `converter/uv.lock`; `uv`
makes the environment at the first use, `npm` the runtime's from `runtime/package-lock.json`. Both lie
in `.tfjs/` of the checkout or the project, and not among the sources.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.app_exporter.parity import Answers
from foundation import project
from foundation.sections import UserError

_HERE = Path(__file__).parent
_CONVERTER = _HERE / "converter"
_RUNTIME = _HERE / "runtime"
_REPOSITORY_UV = project.ROOT / ".uv" / "bin" / "uv"
_INSTALLED = project.ROOT / ".tfjs"


class ToolError(UserError, RuntimeError):
    """A tool that is missing or failed; the message is one sentence."""


def convert_and_ask(loaded: Any, inputs: Mapping[str, np.ndarray[Any, Any]], directory: Path) -> Answers:
    """Writes the TF.js graph model of the signature ``app`` and asks it in Node.

    Args:
      loaded: A SavedModel.
      inputs: Encoded rows.
      directory: Gets ``model.json`` and the weights.

    Raises:
      ToolError: If uv, node or npm is missing, or the conversion fails.
    """
    convert(loaded, directory)
    size = sum(path.stat().st_size for path in directory.iterdir())
    predictions, milliseconds = ask(directory, inputs)
    return Answers(predictions, size, milliseconds)


def convert(loaded: Any, directory: Path) -> None:
    """Writes the TF.js graph model of the signature ``app`` into `directory`."""
    uv = shutil.which("uv") or (str(_REPOSITORY_UV) if _REPOSITORY_UV.is_file() else None)
    if uv is None:
        raise ToolError("TF.js needs `uv` for its converter: install it, or leave tfjs out of [app] formats.")
    with tempfile.TemporaryDirectory() as scratch:
        # The converter stumbles over tables that the signature does not use: it gets the signature alone.
        alone = tf.Module()
        alone.variables_of_model = [*loaded.model_variables, *getattr(loaded, "app_variables", ())]
        tf.saved_model.save(alone, scratch, signatures={"serving_default": loaded.signatures["app"]})
        flags = ["--input_format=tf_saved_model", "--output_format=tfjs_graph_model"]
        flags += ["--use_structured_outputs_names=true", scratch, str(directory)]
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        environment["UV_PROJECT_ENVIRONMENT"] = str(_INSTALLED / "converter")
        _require_python(uv, environment)
        # Where oneDNN knows the processor (one with AMX, for example), it puts operations of its own into the graph,
        # which TF.js does not have: "_MklLayerNorm".
        environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
        _run(
            [uv, "run", "--frozen", "--project", str(_CONVERTER), "tensorflowjs_converter", *flags],
            "The TF.js converter",
            {**environment, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    _order_outputs(directory / "model.json")


def _order_outputs(description: Path) -> None:
    """Puts the outputs Identity, Identity_1, Identity_2 in the order of their numbers, which is that of their names.

    The converter writes them in any order, TF.js answers in that one, and gives the first answer the first name: of
    heads it said click where it meant leave.
    """
    model = json.loads(description.read_text())
    outputs = model["signature"]["outputs"]
    model["signature"]["outputs"] = {name: outputs[name] for name in sorted(outputs, key=_number)}
    description.write_text(json.dumps(model, separators=(",", ":")))


def _number(output: str) -> int:
    """3 of "Identity_3:0", and 0 of the first, which has none."""
    number = output.partition(":")[0].rpartition("_")[2]
    return int(number) if number.isdecimal() else 0


def _require_python(uv: str, environment: Mapping[str, str]) -> None:
    """The converter's TensorFlow has no wheel for Python 3.13, where the pipeline itself may run."""
    find = [uv, "python", "find", "--project", str(_CONVERTER)]
    if subprocess.run(find, env=environment, capture_output=True, check=False).returncode == 0:
        return
    install = [uv, "python", "install", "--no-bin", "3.12"]
    if subprocess.run(install, env=environment, capture_output=True, check=False).returncode:
        raise ToolError(
            "TF.js needs Python 3.10, 3.11 or 3.12 for its converter, and uv could not fetch one: install one, "
            "or leave tfjs out of [app] formats."
        )


def install_runtime() -> tuple[str, Path]:
    """TF.js for Node, from the lock; does nothing where it is there.

    Returns:
      The `node` to run, and the directory with `predict.mjs` and TF.js.

    Raises:
      ToolError: If node or npm is missing, or npm fails.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise ToolError("TF.js needs Node and npm: install them, or leave tfjs out of [app] formats.")
    directory = _INSTALLED / "runtime"
    directory.mkdir(parents=True, exist_ok=True)
    for source in _RUNTIME.iterdir():
        # Whole or not at all, and not while it is the same: another run may be reading it.
        target, content = directory / source.name, source.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            temporary = target.with_name(f"{target.name}.{os.getpid()}")
            temporary.write_bytes(content)
            os.replace(temporary, target)
    lock, installed = (_RUNTIME / "package-lock.json").read_bytes(), directory / "installed"
    if not installed.is_file() or installed.read_bytes() != lock:
        _run([npm, "ci", "--no-audit", "--no-fund", "--prefix", str(directory)], "npm", dict(os.environ))
        installed.write_bytes(lock)
    return node, directory


def ask(directory: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> tuple[np.ndarray[Any, Any], float]:
    """Predictions of the model in `directory`, [rows, outputs], and milliseconds of a batch of 1."""
    answers = _ask_script("predict.mjs", directory, inputs)
    return np.asarray(answers["predictions"], np.float32), float(answers["milliseconds"])


def ask_recommender(
    directory: Path, inputs: Mapping[str, np.ndarray[Any, Any]]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], float]:
    """Item numbers and scores, [histories, k], and the median milliseconds of a history."""
    answers = _ask_script("recommend.mjs", directory, inputs)
    numbers, scores = np.asarray(answers["numbers"], np.int32), np.asarray(answers["scores"], np.float32)
    return numbers, scores, float(answers["milliseconds"])


def _ask_script(script: str, directory: Path, inputs: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    node, runtime = install_runtime()
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch, "inputs.json"), Path(scratch, "answers.json")
        asked.write_text(json.dumps({name: values.tolist() for name, values in inputs.items()}))
        _run(
            [node, str(runtime / script), str(directory), str(asked), str(answered)],
            "TF.js in Node",
            dict(os.environ),
        )
        return dict(json.loads(answered.read_text()))


def _run(command: Sequence[str], what: str, environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ToolError(f"{what} failed: {lines[-1] if lines else 'no message'}")
