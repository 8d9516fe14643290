"""What apps get; standard library only."""

from dataclasses import dataclass

from foundation.sections import require


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
