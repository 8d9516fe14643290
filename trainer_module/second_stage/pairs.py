"""What is known of a user and an item together: the numbers that the second stage reads."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from trainer_module.retrieval.kinds import UNKNOWN_KIND
from trainer_module.retrieval.queries import ages, fading, is_seen

_BASKETS = (1.5, 4.0, 12.0)
"""Baskets after which 1/e of an event is left: the same as `memory_days`, for those who come often and for those who
come seldom."""

_NEVER = 1e6
"""Days, or baskets: since what is no event."""


class Moment(NamedTuple):
    """Users as they are asked about, and what retrieval says of them."""

    items: tf.Tensor
    """int32 [users, events]: as `Network.scores` is given them."""
    times: tf.Tensor
    """int64 [users, events], the same."""
    kinds: tf.Tensor | None
    """int64 [users, events], negative for unknown; None of a network that is not told them."""
    vectors: tf.Tensor
    """float32 [users, dimensions]: of `Network.embed_users`."""
    total: tf.Tensor
    """float32 [users, 1]: the logarithm of the sum of `exp(score)` over all items that retrieval scores."""


def observe(network: Any, items: tf.Tensor, times: tf.Tensor, *more: tf.Tensor) -> tuple[Moment, tf.Tensor]:
    """The moment after whole histories, which are as `Network.scores` is given them, and these scores, float32 [users, items]."""
    users, own = network.ask(items, times, *more)
    kinds, _ = network.told(*more)
    scores = network.score_all(users, own)
    total = tf.reduce_logsumexp(scores, axis=1, keepdims=True)
    return Moment(items, times, kinds, users, total), scores


class Found(NamedTuple):
    """The best items of users, by retrieval."""

    moment: Moment
    scores: tf.Tensor
    """float32 [users, places], the best first; `UNWANTED` behind the last item that may be recommended."""
    items: tf.Tensor
    """int32 [users, places]; behind the last item any number, also that of no item."""


Find = Callable[[tuple[tf.Tensor, ...], int], Found]
"""Of histories, as `Network.scores` is given them, the best items; as many as are asked for, or more."""


class Pair(NamedTuple):
    """What the second stage reads of users and candidates."""

    log_chance: tf.Tensor
    """float32 [users, candidates]: the logarithm of the probability that retrieval gives each."""
    numbers: tf.Tensor
    """float32 [users, candidates, numbers]: logarithms of counts and of days, mostly."""
    cross: tf.Tensor
    """float32 [users, candidates, dimensions]: the user's vector times the item's, before it is summed."""
    item: tf.Tensor
    """float32 [users, candidates, dimensions]: the item's vector, which has that of its features in it."""


def describe(network: Any, in_order: bool, moment: Moment, candidates: tf.Tensor, scores: tf.Tensor) -> Pair:
    """What is known of each candidate.

    Everything is of the history, of the training split's counts and of the tables: nothing is of what the user took next.

    Args:
      network: `trainer_module.retrieval.network.Network`.
      in_order: Whether each event is a basket of its own, as `Log.same_time` has it.
      moment: The users.
      candidates: int32 [users, candidates], each an item of the catalogue.
      scores: float32 [users, candidates]: retrieval's.
    """
    items = network.items
    # What may not be recommended has the least score that there is; the network is to read a number.
    log_chance = tf.maximum(scores - moment.total, -50.0)
    vectors = tf.cast(items(candidates), tf.float32)
    cross = vectors * moment.vectors[:, tf.newaxis]
    as_new = tf.reduce_sum(cross, axis=2) + items.biases(candidates)
    of_item = [log_chance, as_new, items.repeat_biases(candidates), items.popularity(candidates)]
    history = _look_back(network, in_order, moment)
    sums = len(network.memory_days) + 1 + len(_BASKETS)
    told = 0 if network.kinds is None else len(network.kinds.names)
    # User by user, as a thousand users' candidates by their events would fill the memory.
    of_history = tf.map_fn(
        lambda row: tf.concat(_of_user(*row), axis=1),
        (history, candidates, items.values(candidates)),
        fn_output_signature=tf.TensorSpec([None, sums * (1 + told + len(history.values)) + 6], tf.float32),
    )
    of_user = history.of_user[:, tf.newaxis] + tf.zeros_like(of_history[:, :, :1])
    return Pair(
        log_chance, tf.concat([tf.stack(of_item, axis=2), of_history, of_user], axis=2), cross, vectors
    )


class _History(NamedTuple):
    """Users' events; float32 [users, events] unless said otherwise."""

    items: tf.Tensor
    """int32, filled up with the number of items."""
    values: list[tf.Tensor]
    """int32: of features."""
    is_event: tf.Tensor
    """bool."""
    days: tf.Tensor
    """Before the last event."""
    baskets: tf.Tensor
    """Before the last basket."""
    left: tf.Tensor
    """[users, memories, events]: of each event, in memories by days and by baskets."""
    of_kinds: tf.Tensor
    """[users, kinds * memories, events]: the same of the events of each kind that the network is told."""
    of_user: tf.Tensor
    """[users, numbers]: how long the history is."""


def _look_back(network: Any, in_order: bool, moment: Moment) -> _History:
    is_event = tf.not_equal(moment.items, network.items.count)
    lengths = tf.reduce_sum(tf.cast(is_event, tf.int32), axis=1, keepdims=True)
    seen = is_seen(lengths, tf.shape(moment.items)[1])
    days = ages(moment.times, lengths)
    begins = tf.not_equal(moment.times[:, 1:], moment.times[:, :-1])
    if in_order:
        begins = tf.ones_like(begins)
    basket = tf.cumsum(tf.pad(tf.cast(begins, tf.int32), [[0, 0], [1, 0]]), axis=1)
    last = tf.gather(basket, tf.maximum(lengths - 1, 0), batch_dims=1)
    since = tf.cast(tf.maximum(last - basket, 0), tf.float32)
    by_days = fading(days, seen, network.memory_days)[:, 0]
    by_baskets = fading(since[:, tf.newaxis], seen, _BASKETS)[:, 0, :-1]
    baskets = tf.where(lengths > 0, tf.cast(last + 1, tf.float32), 0.0)
    oldest = tf.reduce_max(tf.where(is_event, days[:, 0], 0.0), axis=1, keepdims=True)
    sizes = [tf.cast(lengths, tf.float32), baskets, oldest, oldest / tf.maximum(baskets, 1.0)]
    left = tf.concat([by_days, by_baskets], axis=1)
    return _History(
        items=moment.items,
        values=network.items.values(moment.items),
        is_event=is_event,
        days=days[:, 0],
        baskets=since,
        left=left,
        of_kinds=_by_kind(network, left, moment),
        of_user=tf.math.log1p(tf.concat(sizes, axis=1)),
    )


def _by_kind(network: Any, left: tf.Tensor, moment: Moment) -> tf.Tensor:
    """[users, kinds * memories, events]: an event of an unknown kind is of none of them."""
    told = () if network.kinds is None else range(len(network.kinds.names))
    kinds = tf.fill(tf.shape(moment.times), UNKNOWN_KIND) if moment.kinds is None else moment.kinds
    by_kind = [left * tf.cast(tf.equal(kinds, kind), tf.float32)[:, tf.newaxis] for kind in told]
    return tf.concat([left[:, :0], *by_kind], axis=1)


def _of_user(history: _History, candidates: tf.Tensor, values: list[tf.Tensor]) -> list[tf.Tensor]:
    """[candidates, numbers] of one user: how much is left of events of the item, when it was taken, and of its like."""
    same = tf.logical_and(tf.equal(candidates[:, tf.newaxis], history.items), history.is_event)
    number = tf.reduce_sum(tf.cast(same, tf.float32), axis=1)
    newest, baskets = (
        tf.reduce_min(tf.where(same, each, _NEVER), axis=1) for each in (history.days, history.baskets)
    )
    oldest = tf.reduce_max(tf.where(same, history.days, 0.0), axis=1)
    gap = tf.maximum(oldest - newest, 0.0) / tf.maximum(number - 1, 1.0)
    due = tf.math.log1p(newest) - tf.math.log1p(gap)
    is_own = number > 0
    times = [tf.math.log1p(newest), tf.math.log1p(gap), due, tf.math.log1p(baskets)]
    taken = [tf.where(is_own, each, 0.0) for each in times]
    flags = [tf.cast(each, tf.float32) for each in (is_own, number > 1)]
    alike = [tf.equal(theirs[:, tf.newaxis], known) for theirs, known in zip(values, history.values)]
    of_item, of_kinds, *of_values = [
        tf.math.log1p(tf.matmul(tf.cast(each, tf.float32), left, transpose_b=True))
        for each, left in (
            (same, history.left),
            (same, history.of_kinds),
            *((each, history.left) for each in alike),
        )
    ]
    return [of_item, tf.stack([*taken, *flags], axis=1), *of_values, of_kinds]
