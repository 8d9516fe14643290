"""Numeric precision as a value: what "auto" means, and a policy that ends where training ends."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tf_keras as keras

# From compute capability 8.0 on, float32 matrix products already run as TF32 on the tensor cores. On one
# H200 (TensorFlow 2.21, `benchmarks/gpu_training.py`) mixed_bfloat16 ran at 0.97 of float32's speed with
# an MLP of 128-64 units, at 1.36 with 4096-2048-1024, and at 1.67 with 8192-8192-4096.
_WIDE = 4096


@dataclass(frozen=True)
class Precision:
    """A Keras mixed-precision policy by name, and why it was chosen."""

    policy: str
    reason: str


def choose_precision(asked: str, compute_capabilities: Sequence[tuple[int, int]], width: int) -> Precision:
    """Turns the setting ``precision`` into a policy.

    Args:
      asked: "auto", "float32", "mixed_float16" or "mixed_bfloat16".
      compute_capabilities: Of each visible GPU, for example [(9, 0)]; empty without GPUs.
      width: Units of the model's widest layer.
    """
    if asked != "auto":
        slow = asked == "mixed_float16" and not compute_capabilities
        warning = "; without a GPU it is slower than float32" if slow else ""
        return Precision(asked, f"asked for by name{warning}")
    if not compute_capabilities:
        return Precision("float32", "no GPU")
    major, minor = min(compute_capabilities)
    gpu = f"compute capability {major}.{minor}"
    if width < _WIDE:
        return Precision("float32", f"{gpu}, no layer of {_WIDE} units: too small to gain")
    if major >= 8:
        return Precision("mixed_bfloat16", f"{gpu}, wide layers")
    if major == 7:
        return Precision("mixed_float16", f"{gpu}, wide layers: half-precision tensor cores and no TF32")
    return Precision("float32", f"{gpu} has no tensor cores")


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Makes `name` Keras's global policy inside the block only.

    Whatever is built later, the exported preprocessing above all, must see float32 again (trap 1:
    under mixed_float16 TFT's layer casts its float inputs to half, and every signature fails).
    """
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
