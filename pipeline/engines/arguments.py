"""Beam's arguments by way of the environment, so that where a step runs is no part of its cache key.

TFX hashes a step's Beam arguments with its executor: another address, parallelism or name of a job would convert and
count everything again, with the same result. Of a placeholder it hashes the variable's name, and reads the value when
the step runs.
"""

from collections.abc import Sequence
from typing import Any

from pipeline.engines.options import MOST

PLACES = MOST + 8
"""As many for every run, as their number is part of the key; some are not the profile's."""

_VARIABLE = "TFX_PIPELINE_BEAM_ARGUMENT_{:02}"


def as_environment(arguments: Sequence[str]) -> dict[str, str]:
    """The variables that hold `arguments`, of which the first is repeated where there are fewer than `PLACES`."""
    assert 0 < len(arguments) <= PLACES
    padding = [arguments[0]] * (PLACES - len(arguments))
    return {_VARIABLE.format(place): text for place, text in enumerate([*padding, *arguments])}


def placeholders() -> list[Any]:
    """What TFX is given instead of the arguments."""
    from tfx.dsl.placeholder.runtime_placeholders import environment_variable

    return [environment_variable(_VARIABLE.format(place)) for place in range(PLACES)]
