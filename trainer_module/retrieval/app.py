"""The best items of a history for phones and browsers: numbers in and out, one user at a time.

The scores are those of `Network.scores`, from less: item vectors stand once, in the catalogue, and not a second time as
their parts; there are no 64-bit integers, which TF.js lacks, and only operations that it and TFLite have built in.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from trainer_module.log import Log
from trainer_module.retrieval import signatures
from trainer_module.retrieval.encoders import History
from trainer_module.retrieval.queries import fading, is_seen
from trainer_module.retrieval.scores import UNWANTED, exclude, offer, put_own

_FAR = 1e9
"""Days: the place in the order of what is no event, which no event comes after."""


class AppRecommender:
    """What the signature `trainer_module.retrieval.signatures.APP` answers with.

    Attributes:
      variables: All that the signature reads besides the network's own. The product of the first and the second are the
        items' vectors: who converts the model to eight bits gives the second the lengths, and the first what is left.
    """

    def __init__(self, network: Any, log: Log, catalogue: tf.Variable, k: int) -> None:
        """Takes the network, what it was trained on, what its `freeze` returned, and how many items to answer."""
        self._network, self._log, self._k = network, log, k
        self._normalisations = [
            layer for layer in network.submodules if isinstance(layer, keras.layers.LayerNormalization)
        ]
        self._count = int(catalogue.shape[0])
        self._vectors = catalogue
        self._lengths = tf.Variable(tf.ones([self._count]), trainable=False, name="lengths")
        self.variables = [self._vectors, self._lengths]
        if network.repeats is not None:
            biases = network.items.repeat_biases(tf.range(self._count))
            self._repeat_biases = tf.Variable(biases, trainable=False, name="repeat_biases_of_items")
            self.variables.append(self._repeat_biases)

    @property
    def signature(self) -> dict[str, tf.TensorSpec]:
        """Of `recommend`: of one shape, as phones reserve their memory once."""
        shape = [1, self._log.history]
        return {
            signatures.ITEM_NUMBERS: tf.TensorSpec(shape, tf.int32, signatures.ITEM_NUMBERS),
            signatures.AGES: tf.TensorSpec(shape, tf.float32, signatures.AGES),
        }

    def recommend(self, request: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The best items.

        Args:
          request: `ITEM_NUMBERS`: the latest events, oldest first, filled up with -1 behind them. `AGES`: how many days
            ago each was; only differences count, so that ago may be since now or since the last event.

        Returns:
          `ITEM_NUMBERS`, int32 [1, k], and `SCORES`, float32 [1, k]; `UNWANTED` is no item.
        """
        with _in_parts(self._normalisations):
            scores = self._scores(request[signatures.ITEM_NUMBERS], request[signatures.AGES])
        values, numbers = tf.math.top_k(scores, self._k)
        return {signatures.ITEM_NUMBERS: numbers, signatures.SCORES: values}

    def _scores(self, given: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        lengths = tf.reduce_sum(tf.cast(given >= 0, tf.int32), axis=1, keepdims=True)
        # As long as this history is: less to do, and the converter cannot keep what it knows of the longest in advance.
        events = tf.maximum(lengths[0, 0], 1)
        given, ages = given[:, :events], ages[:, :events]
        is_event = given >= 0
        items, known = tf.where(is_event, given, self._count), tf.maximum(given, 0)
        days = tf.where(is_event, ages, _FAR)
        days -= tf.reduce_min(days, axis=1, keepdims=True)
        left = fading(days[:, tf.newaxis], is_seen(lengths, events), self._network.memory_days)
        order = tf.where(is_event, -days, _FAR)
        if self._log.same_time == "in_order":
            order = tf.range(events)[tf.newaxis]
        # The converter would take numbers that are looked up in eight bits, were they not computed here.
        zero = tf.reduce_min(days)
        # Of places without an event the vectors are those of some item, and nothing depends on them.
        vectors = tf.gather(self._vectors, known) * tf.gather(self._lengths + zero, known)[..., tf.newaxis]
        users = self._network.encoder(History(vectors, order, lengths, left), training=False)
        # The maximum is the product: it keeps the converter from folding the lengths into a second table.
        alike = tf.maximum(tf.matmul(users[:, 0], self._vectors, transpose_b=True), UNWANTED)
        scores = alike * self._lengths + self._network.items.biases(tf.range(self._count))
        if self._network.repeats is None:
            return offer(exclude(scores, items), self._network.items.available)
        # By comparison of all with all: TF.js can neither find what is unique nor sum over segments.
        is_same = tf.equal(items[:, :, tf.newaxis], items[:, tf.newaxis, :])
        places = tf.argmax(tf.cast(is_same, tf.int32), axis=2, output_type=tf.int32)
        counts = tf.matmul(tf.cast(is_same, tf.float32), left[:, 0], transpose_b=True)
        own = self._network.repeats(counts) + tf.gather(self._repeat_biases + zero, known)
        own = self._network.repeats.mix(own, tf.gather(scores[0], known))
        is_first = tf.equal(places, tf.range(events))
        return offer(
            put_own(scores, items, tf.logical_and(is_event, is_first), own), self._network.items.available
        )


@contextlib.contextmanager
def _in_parts(layers: Sequence[Any]) -> Iterator[None]:
    """Normalises by means and not by one operation for training batches, which TF.js takes for one with given means.

    It answers NaN then, and says nothing.
    """
    fused = [layer._fused for layer in layers]
    for layer in layers:
        layer._fused = False
    try:
        yield
    finally:
        for layer, value in zip(layers, fused):
            layer._fused = value
