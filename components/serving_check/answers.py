"""Whether a model's answers are what its signatures promise, and agree with one another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from components.serving_check.requests import Replay, SignatureDef
from trainer_module.label import TRANSFORMED_LABEL

# Kernels may add in another order for another batch size: float32 rounding, measured at 1e-7.
_TOLERANCE = 1e-4

Answer = Mapping[str, np.ndarray[Any, Any]]
"""Output name → array."""


def read_answer(response: predict_pb2.PredictResponse) -> Answer:
    """The arrays of a PredictResponse."""
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def check_answers(
    replays: Sequence[Replay], answers: Sequence[Answer], signatures: Mapping[str, SignatureDef]
) -> list[str]:
    """One sentence for each thing that is wrong; none for a model that can be served.

    Args:
      replays: The requests, with their inputs.
      answers: To each request.
      signatures: What the model promises.
    """
    sentences = []
    for replay, answer in zip(replays, answers, strict=True):
        sentences += _broken_promises(replay, answer, signatures[replay.signature])
    return sentences or _disagreements(replays, answers, signatures)


def compare_served(
    protocol: str, replays: Sequence[Replay], expected: Sequence[Answer], served: Sequence[Answer]
) -> list[str]:
    """One sentence for each request that a model server answers differently over `protocol`.

    REST leaves out the name of a single output, so that its answer is under "".
    """
    sentences = []
    for replay, ours, theirs in zip(replays, expected, served, strict=True):
        for name, values in ours.items():
            answered = theirs.get(name, theirs.get(""))
            if answered is None or answered.shape != values.shape:
                sentences.append(f"A model server answers {replay} over {protocol} without a whole '{name}'.")
            elif np.issubdtype(values.dtype, np.number) and not np.allclose(
                answered, values, rtol=0, atol=_TOLERANCE, equal_nan=True
            ):
                sentences.append(f"A model server answers {replay} over {protocol} with another '{name}'.")
    return sentences


def _broken_promises(replay: Replay, answer: Answer, signature: SignatureDef) -> list[str]:
    sentences = []
    rows = {tensor.tensor_shape.dim[0].size for tensor in replay.request.inputs.values()}
    for name, promised in signature.outputs.items():
        if name not in answer:
            sentences.append(f"{replay} does not answer '{name}', which its signature promises.")
            continue
        values, dtype = answer[name], tf.dtypes.as_dtype(promised.dtype)
        if values.dtype != dtype.as_numpy_dtype and dtype != tf.string:
            sentences.append(
                f"{replay} answers {values.dtype} for '{name}', its signature says {dtype.name}."
            )
        shape = tf.TensorShape(promised.tensor_shape)
        if not shape.is_compatible_with(values.shape) or {values.shape[:1]} != {(row,) for row in rows}:
            asked = " or ".join(map(str, sorted(rows)))
            sentences.append(
                f"{replay} answers shape {list(values.shape)} for '{name}' to {asked} row(s), its signature says "
                f"{shape}."
            )
        # A serving request need not hold what the label is made of.
        elif name != TRANSFORMED_LABEL and dtype.is_floating and not np.isfinite(values).all():
            wrong = int(np.count_nonzero(~np.isfinite(values)))
            sentences.append(
                f"{replay} answers NaN or infinity in {wrong} of {values.size} values of '{name}'."
            )
    return sentences


def _disagreements(
    replays: Sequence[Replay], answers: Sequence[Answer], signatures: Mapping[str, SignatureDef]
) -> list[str]:
    """Signatures with the same outputs must answer the same to the same rows."""
    promised = {name: frozenset(signature.outputs) for name, signature in signatures.items()}
    first: dict[tuple[str, frozenset[str]], tuple[Replay, Answer]] = {}
    sentences = []
    for replay, answer in zip(replays, answers, strict=True):
        outputs = promised[replay.signature]
        reference, expected = first.setdefault((replay.case, outputs), (replay, answer))
        for name in outputs:
            if not np.issubdtype(answer[name].dtype, np.number):
                continue
            difference = float(np.max(np.abs(answer[name] - expected[name]), initial=0.0))
            if difference > _TOLERANCE:
                sentences.append(
                    f"{replay.signature} and {reference.signature} differ by {difference:.3g} in '{name}' "
                    f"on the same rows ({replay.case})."
                )
    return sentences
