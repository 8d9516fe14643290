"""What a profile says of every machine: how Beam runs, what serving may cost, what apps get."""

from dataclasses import dataclass
from typing import Literal

from foundation.sections import require


@dataclass(frozen=True)
class Beam:
    """How Beam runs the data steps; `options` are passed to Beam as they are."""

    runner: str = "DirectRunner"
    direct_running_mode: Literal["in_memory", "multi_threading", "multi_processing"] = "in_memory"
    direct_num_workers: int = 1
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(
            self.direct_num_workers >= 0,
            f"direct_num_workers is {self.direct_num_workers}; it must be 0 (one per core) or more.",
        )

    def arguments(self) -> list[str]:
        """Beam's command-line arguments."""
        direct = (
            [
                f"--direct_running_mode={self.direct_running_mode}",
                f"--direct_num_workers={self.direct_num_workers}",
            ]
            if self.runner == "DirectRunner"
            else []
        )
        # Without a container image or a setup option TFX builds an sdist of itself before every Beam
        # step (trap 6: 2.5 s a step); the DirectRunner never looks at the image.
        return [f"--runner={self.runner}", "--sdk_container_image=unused", *direct, *self.options]


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


@dataclass(frozen=True)
class App:
    """What the model is made into for apps: nothing, TFLite variants, TF.js.

    Off by default: three TFLite variants take 11 s on two cores and TF.js 15 s more, on a run of 60 s.
    `max_quality_drop` is the AUC (accuracy, or r², by task) that a variant may lose.
    """

    formats: tuple[str, ...] = ()
    max_quality_drop: float = 0.005

    def __post_init__(self) -> None:
        known = ("float32", "dynamic", "int8", "tfjs")
        for name in self.formats:
            require(name in known, f"formats has {name!r}; it may have {', '.join(map(repr, known))}.")
        require(
            self.max_quality_drop >= 0, f"max_quality_drop is {self.max_quality_drop}; it must be 0 or more."
        )
