"""A moment, as its place in the day, the week and the year, and how long ago it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trainer_module.features import Feature

_SECONDS = {"day": 86400.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DAY, _YEAR = 86400.0, 365.2425 * 86400
# 1970 began on a Thursday.
_MONDAY = 3 * _DAY


@dataclass(frozen=True)
class Time(Feature):
    """A time since 1970 in `unit`, or with the unit "iso" a text such as 2026-11-27T04:35:00+01:00; in UTC.

    It becomes the time itself, scaled as a numeric feature, and sine and cosine of its place in the day (not of
    unit "day"), the week, which begins on Monday, and the year, of 365.2425 days. Missing is all 0.
    """

    unit: Literal["s", "ms", "us", "ns", "day", "iso"]

    app_obstacle = "no app reads times yet: give it numbers that you made of the time"

    @property
    def types(self) -> tuple[str, ...]:  # type: ignore[override]
        """Texts or whole numbers."""
        return ("text",) if self.unit == "iso" else ("integer",)

    @property
    def is_quantity(self) -> bool:  # type: ignore[override]
        """A text is none."""
        return self.unit != "iso"

    @property
    def text_pattern(self) -> str | None:
        """Of the texts that are times."""
        from trainer_module.inputs.iso_times import PATTERN

        return PATTERN if self.unit == "iso" else None

    @property
    def width(self) -> int:
        """The time, and two numbers for each cycle."""
        return 1 + 2 * len(self._cycles)

    @property
    def _cycles(self) -> tuple[tuple[float, float], ...]:
        """Length and begin of each, in seconds."""
        longer = ((7 * _DAY, -_MONDAY), (_YEAR, 0.0))
        return longer if self.unit == "day" else ((_DAY, 0.0), *longer)

    @classmethod
    def transform(cls, features: Sequence["Time"], columns: Sequence[Any]) -> Any:
        import tensorflow as tf

        from trainer_module.features.numeric import measure, scale
        from trainer_module.inputs.iso_times import seconds_of
        from trainer_module.inputs.raw_columns import numbers_of, texts_of

        parts = []
        for feature, column in zip(features, columns):
            if feature.unit == "iso":
                seconds = seconds_of(texts_of([column]))
            else:
                seconds = numbers_of([column]) * _SECONDS[feature.unit]
            turns = [(seconds - begin) / length * (2 * math.pi) for length, begin in feature._cycles]
            numbers = [
                scale(seconds, measure(seconds)),
                *(wave(turn) for turn in turns for wave in (tf.sin, tf.cos)),
            ]
            parts.append(tf.concat(numbers, axis=1))
        together = tf.concat(parts, axis=1)
        return tf.where(tf.math.is_nan(together), tf.zeros_like(together), together)
