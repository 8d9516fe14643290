"""How a history becomes a user's vector: one file an encoder, all of them Keras layers on a `History`."""

import importlib
from typing import Any, NamedTuple

import tensorflow as tf

from trainer_module.models.two_tower import TwoTower


class History(NamedTuple):
    """What an encoder is given. It returns float [chunks, queries, dimensions].

    No event that a query does not see may change the query's vector, and a query that sees none has a vector too.
    """

    vectors: tf.Tensor
    """float [chunks, events, dimensions]."""
    order: tf.Tensor
    """int64 [chunks, events], ascending: equal for events of which none is known when another is predicted."""
    lengths: tf.Tensor
    """int32 [chunks, queries]: how many events each query sees."""
    left: tf.Tensor
    """float32 [chunks, queries, memories, events]: of `trainer_module.retrieval.queries.fading`."""


def make_encoder(settings: TwoTower) -> Any:
    """The layer that the settings name."""
    module = importlib.import_module(f"{__name__}.{settings.encoder}")
    return module.Encoder(settings, name=settings.encoder)


def state_before(states: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Of states after each event the one that each query sees, float [chunks, queries, dimensions]; else zeros."""
    padded = tf.pad(states, [[0, 0], [1, 0], [0, 0]])
    return tf.gather(padded, lengths, axis=1, batch_dims=1)
