"""What serving a model may cost; standard library only."""

from dataclasses import dataclass

from foundation.sections import require


@dataclass(frozen=True)
class Serving:
    """What a model may take to be loaded and to answer; ServingCheck refuses one that takes more.

    Seconds to load (starting TensorFlow included) and for each answer, MiB of memory of the whole
    process, rows of the largest request. `keep_versions` is how many pushed versions stay.
    """

    load_seconds: float = 120
    answer_seconds: float = 30
    memory_mib: int = 4096
    large_batch: int = 1000
    keep_versions: int = 5

    def __post_init__(self) -> None:
        for name in ("load_seconds", "answer_seconds", "memory_mib", "large_batch", "keep_versions"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}; it must be above 0.")
