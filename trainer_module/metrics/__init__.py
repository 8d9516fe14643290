"""Metrics that neither TFMA nor Keras has: one file a metric, whose name is the ``kind`` of an entry of ``[metrics]``.

Each is a subclass of Keras's `Metric` whose variables are sums over rows of a fixed shape: TFMA adds them up over
batches, workers and slices.
"""

from foundation import project

__path__ = project.extended(__path__, __name__)
