"""What a recommender's signatures answer, all from the same scores and the same mask."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from foundation.request_names import request_name
from trainer_module.export import Tensors
from trainer_module.features.vocabulary import escape
from trainer_module.log import BASKET, EVENT_KIND, FIRST_TARGET, ITEM, TIME, Log
from trainer_module.retrieval import signatures
from trainer_module.retrieval.kinds import UNKNOWN_KIND, number_kinds
from trainer_module.retrieval.measures import measure_rows
from trainer_module.retrieval.preprocessing import PADDING
from trainer_module.retrieval.queries import AFTER_ALL
from trainer_module.retrieval.scores import UNWANTED, exclude
from trainer_module.second_stage.order import Order, serve
from trainer_module.second_stage.stage import Candidates, Stage


class Answers:
    """What all signatures have in common: a history as the network takes it, the scores, and the best of them."""

    def __init__(
        self,
        network: Any,
        log: Log,
        numbers: Callable[..., Any],
        names: Callable[..., Any],
        items: int,
        stage: Stage | None = None,
        encode: Callable[[Tensors], tf.Tensor] | None = None,
    ) -> None:
        """Takes the network, what it was trained on, names to numbers and back, how many items there are, and a second stage.

        And, of a log whose requests have columns, what makes ids, int32 [users, columns], of texts, [users] by column.
        """
        self._log, self._numbers, self._names, self._items = log, numbers, names, items
        self._order, self._encode = Order(network, stage), encode
        self._k_max = min(signatures.K_MAX, items)

    def lookup(self, names: tf.Tensor) -> tf.Tensor:
        """int64: item numbers; `PADDING` for the empty text, `UNKNOWN` for what the catalogue lacks."""
        numbers = self._numbers(escape(names))
        return tf.where(tf.equal(names, ""), tf.constant(PADDING, tf.int64), numbers)

    def history(self, request: Tensors) -> tuple[tf.Tensor, ...]:
        """The latest `Log.history` events of the catalogue's items, as `Network.scores` is given them."""
        kinds = None
        if self._log.told_kinds:
            kinds = number_kinds(request[signatures.KINDS], self._log.told_kinds)
        events = self._latest(self.lookup(request["items"]), request["times"], kinds)
        return (*events, *self._context({name: request[request_name(name)] for name in self._log.context}))

    def _context(self, texts: Tensors) -> tuple[tf.Tensor, ...]:
        """With what is asked, as the last of what `Network.scores` is given; nothing of a log that has no such columns."""
        return () if self._encode is None else (self._encode(texts),)

    def parse(self, examples: tf.Tensor) -> Tensors:
        """See the function; with the columns of requests."""
        return parse(examples, tuple(self._log.context))

    def _latest(self, ids: tf.Tensor, times: tf.Tensor, kinds: tf.Tensor | None) -> tuple[tf.Tensor, ...]:
        # One place more, as nothing can be looked for among none.
        ids = tf.pad(ids, [[0, 0], [0, 1]], constant_values=PADDING)
        times = tf.pad(times, [[0, 0], [0, 1]])
        there = ids >= 0
        items = tf.where(there, tf.cast(ids, tf.int32), self._items)
        times = tf.where(there, times, AFTER_ALL)
        # The last of those that are there come last, and then, among the latest, first.
        latest = tf.argsort(tf.cast(there, tf.int32), axis=1, stable=True)[:, -self._log.history :]
        events = [items, times]
        if self._log.told_kinds and kinds is not None:
            events.append(tf.pad(kinds, [[0, 0], [0, 1]], constant_values=UNKNOWN_KIND))
        there, *events = (tf.gather(each, latest, batch_dims=1) for each in (there, *events))
        order = tf.argsort(tf.cast(~there, tf.int32), axis=1, stable=True)
        return tuple(tf.gather(each, order, batch_dims=1) for each in events)

    def _top(self, scores: tf.Tensor, k: tf.Tensor) -> Tensors:
        values, numbers = tf.math.top_k(scores, self._k_max)
        return self._name(values, numbers, k)

    def _name(self, values: tf.Tensor, numbers: tf.Tensor, k: tf.Tensor) -> Tensors:
        values, numbers = values[:, :k], tf.cast(numbers[:, :k], tf.int64)
        names = tf.where(values > UNWANTED, _unescape(self._names(numbers)), "")
        return {signatures.RECOMMENDED: names, signatures.SCORES: values}

    def recommend(self, request: Tensors) -> Tensors:
        """The best `k` items, at most `K_MAX`, but for what the request excludes, or among those that it names."""
        unwanted = tf.cast(self.lookup(request["exclude"]), tf.int32)
        moment, scores = self._order.observe(*self.history(request))
        scores = exclude(scores, unwanted)
        among = self.lookup(request["among"])
        chosen = tf.scatter_nd(
            tf.boolean_mask(among, among >= 0)[:, tf.newaxis],
            tf.ones([tf.reduce_sum(tf.cast(among >= 0, tf.int32))]),
            tf.constant([self._items], tf.int64),
        )
        is_free = tf.equal(tf.size(among), 0)
        scores = tf.where(is_free | (chosen > 0), scores, UNWANTED)
        return self._top(serve(scores, self._order.choose(moment, scores)), request["k"])

    def rank(self, request: Tensors) -> Tensors:
        """A score of each item that is asked about."""
        asked = self.lookup(request[signatures.CANDIDATES])
        moment, scores = self._order.observe(*self.history(request))
        known = tf.gather(scores, tf.maximum(asked, 0), batch_dims=1)
        known = tf.where(asked >= 0, known, UNWANTED)
        return {signatures.SCORES: self._order.rank(moment, asked, known)}

    def of_examples(self, examples: tf.Tensor) -> Tensors:
        """What follows all events of each example."""
        parsed = self.parse(examples)
        moment, scores = self._order.observe(*self._of_example(parsed))
        return self._top(serve(scores, self._order.choose(moment, scores)), tf.constant(self._k_max))

    def _of_example(self, parsed: Tensors) -> tuple[tf.Tensor, ...]:
        """All events of each example as a history; what a column of requests has first is what is asked with."""
        events = self._latest(self.lookup(parsed[ITEM]), parsed[TIME], parsed[EVENT_KIND])
        return (*events, *self._context({name: parsed[name][:, 0] for name in self._log.context}))

    def _before_targets(self, parsed: Tensors) -> tuple[tf.Tensor, ...]:
        """What is known of each sequence when its first target is asked for."""
        ids, first = self.lookup(parsed[ITEM]), parsed[FIRST_TARGET]
        basket = tf.gather(parsed[BASKET], first, batch_dims=1)
        is_context = (tf.range(tf.shape(ids, tf.int64)[1]) < first) & (parsed[BASKET] < basket)
        events = self._latest(tf.where(is_context, ids, PADDING), parsed[TIME], parsed[EVENT_KIND])
        asked_with = {name: tf.gather(parsed[name], first, batch_dims=1)[:, 0] for name in self._log.context}
        return (*events, *self._context(asked_with))

    def ranks(self, examples: tf.Tensor) -> Tensors:
        """int64 [batch, events]: ranks of targets from 1, ties counted against them; 0 for what is none or has none."""
        parsed = self.parse(examples)
        ids, first = self.lookup(parsed[ITEM]), parsed[FIRST_TARGET]
        moment, scores = self._order.observe(*self._before_targets(parsed))
        chosen = self._order.choose(moment, scores)
        served = serve(scores, chosen)
        answer = {
            **measured(ids, first, ranks_of(served, ids, first)),
            **self._top(served, tf.constant(self._k_max)),
        }
        if chosen is None:
            return answer
        of_retrieval = {signatures.FIRST_STAGE_RANKS: ranks_of(scores, ids, first)}
        return {**answer, **of_retrieval, **self._of_candidates(chosen, ids, first, parsed[EVENT_KIND])}

    def _of_candidates(
        self, chosen: Candidates, ids: tf.Tensor, first: tf.Tensor, kinds: tf.Tensor
    ) -> Tensors:
        judged = self._order.compare(chosen, tf.where(_is_target(ids, first), ids, PADDING), kinds)
        answer = {
            signatures.CANDIDATE_SCORES: judged.scores,
            signatures.CANDIDATE_TARGETS: judged.is_target,
        }
        if self._order.objectives:
            names = tf.constant([self._order.objectives])
            answer[signatures.OBJECTIVES] = tf.tile(names, [tf.shape(ids)[0], 1])
            answer[signatures.OBJECTIVE_SCORES] = judged.by_objective
            answer[signatures.OBJECTIVE_TARGETS] = judged.is_objective
        return answer


def measured(ids: tf.Tensor, first: tf.Tensor, ranks: tf.Tensor) -> Tensors:
    """The ranks of targets, int64 [batch, events], and what they come to in each example."""
    place = tf.range(tf.shape(ids, tf.int64)[1])
    # What may not be recommended again is none either; what the catalogue lacks is a miss.
    counts = (place >= first) & (ids != PADDING) & ((ids < 0) | (ranks > 0))
    return {signatures.RANKS: ranks, **measure_rows(ids, ranks, counts)}


def _is_target(ids: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """bool [batch, events]: which events are items of the catalogue that are to be found."""
    return (tf.range(tf.shape(ids, tf.int64)[1]) >= first) & (ids >= 0)


def ranks_of(scores: tf.Tensor, ids: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """int64 [batch, events]: how many items have the score of the event's or more; 0 for no target, or one unwanted."""

    def of_row(row: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        of_items, numbers, wanted = row
        own = tf.gather(of_items, tf.boolean_mask(numbers, wanted))
        at_least = tf.reduce_sum(tf.cast(of_items >= own[:, tf.newaxis], tf.int64), axis=1)
        at_least = tf.where(own > UNWANTED, at_least, 0)
        return tf.scatter_nd(tf.where(wanted), at_least, tf.shape(wanted, tf.int64))

    given = scores, ids, _is_target(ids, first)
    return tf.map_fn(of_row, given, fn_output_signature=tf.TensorSpec([None], tf.int64))


def parse(examples: tf.Tensor, columns: Sequence[str] = ()) -> dict[str, tf.Tensor]:
    """Dense [batch, events] of each feature, and `FIRST_TARGET` as [batch, 1]; of `columns` of requests one place more."""
    kinds = {
        ITEM: tf.string,
        **dict.fromkeys(columns, tf.string),
        **dict.fromkeys((TIME, BASKET, EVENT_KIND, FIRST_TARGET), tf.int64),
    }
    parsed = tf.io.parse_example(examples, {name: tf.io.VarLenFeature(kind) for name, kind in kinds.items()})
    nothing = {EVENT_KIND: tf.constant(UNKNOWN_KIND, tf.int64)}
    dense = {name: tf.sparse.to_dense(column, nothing.get(name)) for name, column in parsed.items()}
    width = tf.shape(dense[ITEM])[1]
    for name in (TIME, BASKET, EVENT_KIND):
        missing = tf.maximum(width - tf.shape(dense[name])[1], 0)
        dense[name] = tf.pad(dense[name], [[0, 0], [0, missing]], constant_values=nothing.get(name, 0))
    for name in columns:
        missing = tf.maximum(width + 1 - tf.shape(dense[name])[1], 0)
        dense[name] = tf.pad(dense[name], [[0, 0], [0, missing]], constant_values="")
    dense[FIRST_TARGET] = tf.reduce_sum(dense[FIRST_TARGET], axis=1, keepdims=True)
    return dense


def _unescape(names: tf.Tensor) -> tf.Tensor:
    """The opposite of `escape`: an escaped backslash is set aside, so that what follows it is not taken for a sign."""
    aside = "\x00"
    for written, meant in ((r"\\\\", aside), (r"\\n", "\n"), (r"\\r", "\r"), (aside, r"\\")):
        names = tf.strings.regex_replace(names, written, meant)
    return names
