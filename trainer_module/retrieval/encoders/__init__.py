"""How a history becomes a user's vector: one file an encoder, all of them Keras layers on a `History`."""

import importlib
from typing import Any, NamedTuple

import tensorflow as tf

from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval.queries import Moments


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
    """float32 [chunks, queries, memories, moments]: of `trainer_module.retrieval.queries.fading`."""
    moments: Moments | tuple[()] = ()
    """Of the events; without them each is one of its own."""

    def spread(self, of_moments: tf.Tensor) -> tf.Tensor:
        """[chunks, any, queries, events] of what is of moments, [chunks, any, queries, moments]."""
        if not isinstance(self.moments, Moments):
            return of_moments
        return tf.gather(of_moments, self.moments.of_events, axis=3, batch_dims=1)


def make_encoder(settings: TwoTower) -> Any:
    """The layer that the settings name."""
    module = importlib.import_module(f"{__name__}.{settings.encoder}")
    return module.Encoder(settings, name=settings.encoder)


def state_before(states: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Of states after each event the one that each query sees, float [chunks, queries, dimensions]; else zeros."""
    padded = tf.pad(states, [[0, 0], [1, 0], [0, 0]])
    return tf.gather(padded, lengths, axis=1, batch_dims=1)
