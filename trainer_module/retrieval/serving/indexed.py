"""What the signatures answer where an index finds the items: the same rules, on some of the items instead of all."""

from typing import Any

import tensorflow as tf

from trainer_module.export import Tensors
from trainer_module.log import FIRST_TARGET, ITEM
from trainer_module.retrieval import signatures
from trainer_module.retrieval.preprocessing import PADDING
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.retrieval.serving.answers import Answers, measured, parse
from trainer_module.retrieval.serving.candidates import choose_among
from trainer_module.retrieval.serving.inverted_file import InvertedFile


class IndexedAnswers(Answers):
    """See the module. What a request names in `among` is scored exactly, and so is all where the index finds too few."""

    def __init__(self, exact: Answers, network: Any, catalogue: tf.Variable, index: InvertedFile) -> None:
        """Takes what answers without an index, the frozen network, what `freeze` returned, and the index."""
        self.__dict__.update(exact.__dict__)
        self._frozen, self._catalogue, self._index = network, catalogue, index

    def recommend(self, request: Tensors) -> Tensors:
        """See the base class."""
        excluded, among = (tf.cast(self.lookup(request[name]), tf.int32) for name in ("exclude", "among"))
        values, numbers = self._best(self.history(request), excluded, among)
        return self._name(values, numbers, request["k"])

    def of_examples(self, examples: tf.Tensor) -> Tensors:
        """See the base class."""
        parsed = parse(examples)
        values, numbers = self._best(self._of_example(parsed))
        return self._name(values, numbers, tf.constant(self._k_max))

    def ranks(self, examples: tf.Tensor) -> Tensors:
        """As of the base class, but for what the index loses: its rank is the first that is not served.

        `signatures.INDEX_RECALL` is how much of the exact list the index finds; not a number for an empty list.
        """
        exact, parsed = super().ranks(examples), parse(examples)
        ids, first = self.lookup(parsed[ITEM]), parsed[FIRST_TARGET]
        values, numbers = self._best(self._before_targets(parsed))
        served = self._name(values, numbers, tf.constant(self._k_max))
        of_exact = tf.equal(
            exact[signatures.RECOMMENDED][:, :, tf.newaxis], served[signatures.RECOMMENDED][:, tf.newaxis]
        )
        is_there = tf.not_equal(exact[signatures.RECOMMENDED], "")
        found = tf.reduce_sum(tf.cast(tf.reduce_any(of_exact, axis=2) & is_there, tf.float32), axis=1)
        is_served = tf.reduce_any(
            tf.equal(tf.cast(ids, tf.int32)[:, :, tf.newaxis], numbers[:, tf.newaxis]), axis=2
        )
        ranks = exact[signatures.RANKS]
        is_lost = (ranks > 0) & (ranks <= self._k_max) & ~is_served
        ranks = tf.where(is_lost, tf.constant(self._k_max + 1, tf.int64), ranks)
        return {
            **exact,
            **measured(ids, first, ranks),
            **served,
            signatures.INDEX_RECALL: found / tf.reduce_sum(tf.cast(is_there, tf.float32), axis=1),
        }

    def _best(
        self,
        history: tuple[tf.Tensor, ...],
        excluded: tf.Tensor | None = None,
        among: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and item numbers, [users, k_max]."""
        users, own = self._frozen.ask(*history)
        nothing = tf.fill([tf.shape(users)[0], 1], PADDING)
        excluded = nothing if excluded is None else excluded
        among = tf.zeros([0], tf.int32) if among is None else among

        def choose(items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # In here, as most requests do not come here: a million biases take a millisecond.
            biases = self._frozen.items.biases(tf.range(self._items))
            # What is not available is no choice.
            may_be = tf.gather(tf.constant(self._frozen.items.available), tf.maximum(items, 0))
            chosen = choose_among(self._catalogue, biases, tf.where(may_be, items, PADDING), users)
            return chosen.best(own, excluded, self._k_max)

        is_free = tf.equal(tf.size(among), 0)
        values, numbers = tf.cond(
            is_free,
            lambda: self._index.search(users).best(own, excluded, self._k_max),
            lambda: choose(among),
        )
        # Who excludes most of what the cells have gets the best of the others, at the price of scoring all.
        is_short = is_free & tf.reduce_any(values[:, -1] <= UNWANTED)
        return tf.cond(is_short, lambda: choose(tf.range(self._items)), lambda: (values, numbers))
