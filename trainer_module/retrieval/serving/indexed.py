"""What the signatures answer where an index finds the items: the same rules, on some of the items instead of all."""

import tensorflow as tf

from trainer_module.export import Tensors
from trainer_module.log import EVENT_KIND, FIRST_TARGET, ITEM
from trainer_module.retrieval import signatures
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.retrieval.serving.answers import Answers, measured, ranks_of
from trainer_module.retrieval.serving.search import Search
from trainer_module.second_stage.order import sort
from trainer_module.second_stage.pairs import Found


class IndexedAnswers(Answers):
    """See the module."""

    def __init__(self, exact: Answers, search: Search) -> None:
        """Takes what answers without an index, and what finds items by one."""
        self.__dict__.update(exact.__dict__)
        self._search = search

    def recommend(self, request: Tensors) -> Tensors:
        """See the base class."""
        excluded, among = (tf.cast(self.lookup(request[name]), tf.int32) for name in ("exclude", "among"))
        found = self._search.find(self.history(request), self._order.limit, excluded, among)
        return self._first(sort(found, self._order.judge(found)), request["k"])

    def rank(self, request: Tensors) -> Tensors:
        """See the base class: of the items that are asked about alone."""
        asked = self.lookup(request[signatures.CANDIDATES])
        moment, scores = self._search.score(self.history(request), asked)
        return {signatures.SCORES: self._order.rank(moment, asked, scores)}

    def of_examples(self, examples: tf.Tensor) -> Tensors:
        """See the base class."""
        found = self._search.find(self._of_example(self.parse(examples)), self._order.limit)
        return self._first(sort(found, self._order.judge(found)), tf.constant(self._k_max))

    def ranks(self, examples: tf.Tensor) -> Tensors:
        """As of the base class, but for what the index loses: its rank is the first that is not served.

        `signatures.INDEX_RECALL` is how much of retrieval's exact list the index finds, whatever a second stage makes of it; not
        a number for an empty list.
        """
        parsed = self.parse(examples)
        ids, first = self.lookup(parsed[ITEM]), parsed[FIRST_TARGET]
        history = self._before_targets(parsed)
        _, exact = self._order.observe(*history)
        scores, items = tf.math.top_k(exact, self._k_max)
        found = self._search.find(history, self._order.limit)
        is_there = tf.cast(scores > UNWANTED, tf.float32)
        is_found = tf.cast(self._is_found(items, found), tf.float32) * is_there
        chosen = self._order.judge(found)
        served = sort(found, chosen)
        of_retrieval = ranks_of(exact, ids, first)
        is_lost = (of_retrieval <= self._k_max) & ~self._is_found(tf.cast(ids, tf.int32), found)
        unserved = tf.constant(self._k_max + 1, tf.int64)
        of_retrieval = tf.where((of_retrieval > 0) & is_lost, unserved, of_retrieval)
        answer = {
            **self._first(served, tf.constant(self._k_max)),
            signatures.INDEX_RECALL: tf.reduce_sum(is_found, axis=1) / tf.reduce_sum(is_there, axis=1),
        }
        if chosen is None:
            return {**answer, **measured(ids, first, of_retrieval)}
        return {
            **answer,
            **measured(ids, first, _served_ranks(served, of_retrieval, ids)),
            signatures.FIRST_STAGE_RANKS: of_retrieval,
            **self._of_candidates(chosen, ids, first, parsed[EVENT_KIND]),
        }

    def _first(self, served: Found, k: tf.Tensor) -> Tensors:
        return self._name(served.scores[:, : self._k_max], served.items[:, : self._k_max], k)

    def _is_found(self, items: tf.Tensor, found: Found) -> tf.Tensor:
        """bool [users, any]: which of `items`, int32, retrieval has among the first `k_max`."""
        wanted = found.scores[:, tf.newaxis, : self._k_max] > UNWANTED
        is_same = tf.equal(items[:, :, tf.newaxis], found.items[:, tf.newaxis, : self._k_max])
        return tf.reduce_any(is_same & wanted, axis=2)


def _served_ranks(served: Found, of_retrieval: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """int64 [users, events]: of targets how many served items have their score or more; behind these retrieval's ranks.

    Args:
      served: In the order that is served.
      of_retrieval: int64 [users, events], 0 for no target.
      ids: int64 [users, events].
    """
    width = tf.shape(served.scores, tf.int64)[1]

    def of_row(row: tuple[tf.Tensor, ...]) -> tf.Tensor:
        scores, items, ranks, numbers = row
        wanted = ranks > 0
        is_same = tf.equal(tf.cast(tf.boolean_mask(numbers, wanted), tf.int32)[:, tf.newaxis], items)
        own = tf.reduce_max(tf.where(is_same, scores, UNWANTED), axis=1)
        at_least = tf.reduce_sum(tf.cast(scores >= own[:, tf.newaxis], tf.int64), axis=1)
        behind = tf.maximum(tf.boolean_mask(ranks, wanted), width + 1)
        found = tf.where(own > UNWANTED, at_least, behind)
        return tf.scatter_nd(tf.where(wanted), found, tf.shape(wanted, tf.int64))

    given = served.scores, served.items, of_retrieval, ids
    return tf.map_fn(of_row, given, fn_output_signature=tf.TensorSpec([None], tf.int64))
