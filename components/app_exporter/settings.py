"""What apps get; standard library only."""

from dataclasses import dataclass

from foundation.sections import require, require_distinct


@dataclass(frozen=True)
class App:
    """What the model is made into for apps: nothing, TFLite variants, TF.js. "tflite" is "dynamic", the smallest.

    Off by default: three TFLite variants take 11 s on two cores and TF.js 15 s more, on a run of 60 s.
    `max_quality_drop` is the AUC (accuracy, or r², by task) that a variant may lose. Of a recommender a variant has to
    answer `min_overlap` of the server's first 50 items.
    """

    formats: tuple[str, ...] = ()
    max_quality_drop: float = 0.005
    min_overlap: float = 0.98

    def __post_init__(self) -> None:
        plain = tuple("dynamic" if name == "tflite" else name for name in self.formats)
        require_distinct(plain, "formats")
        object.__setattr__(self, "formats", plain)
        known = ("tflite", "float32", "dynamic", "int8", "tfjs")
        for name in self.formats:
            require(name in known, f"formats has {name!r}; it may have {', '.join(map(repr, known))}.")
        require(
            self.max_quality_drop >= 0, f"max_quality_drop is {self.max_quality_drop}; it must be 0 or more."
        )
        require(0 <= self.min_overlap <= 1, f"min_overlap is {self.min_overlap}; it must be from 0 to 1.")
