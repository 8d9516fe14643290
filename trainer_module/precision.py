"""Numeric precision as a value: what "auto" means, and a policy that ends where training ends."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import tf_keras as keras


@dataclass(frozen=True)
class Precision:
    """A Keras mixed-precision policy by name, and why it was chosen."""

    policy: str
    reason: str


def choose_precision(asked: str, compute_capabilities: list[tuple[int, int]]) -> Precision:
    """Turns the setting ``precision`` into a policy.

    Args:
      asked: "auto", "float32", "mixed_float16" or "mixed_bfloat16".
      compute_capabilities: Of each visible GPU, for example [(9, 0)]; empty without GPUs.
    """
    if asked != "auto":
        slow = asked == "mixed_float16" and not compute_capabilities
        warning = "; without a GPU it is slower than float32" if slow else ""
        return Precision(asked, f"asked for by name{warning}")
    return Precision("float32", "no GPU" if not compute_capabilities else "the safe default")


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
