"""The heads that an evaluation asks about."""

import tensorflow_model_analysis as tfma

UNWEIGHTED = " without weights"
"""What follows a head's name where its rows all count the same although they have weights."""


def heads_of(config: tfma.EvalConfig) -> list[str]:
    """The heads that an evaluation asks about, in the order of the labels' columns."""
    outputs = {name for specs in config.metrics_specs for name in specs.output_names}
    return sorted(name for name in outputs if not name.endswith(UNWEIGHTED))
