"""Trains the second stage on candidates of a retrieval that has been trained."""

import functools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from trainer_module.log import Log
from trainer_module.retrieval.scores import UNWANTED
from trainer_module.second_stage.pairs import Find, Found, Pair, observe
from trainer_module.second_stage.samples import (
    Array,
    Baskets,
    Lists,
    draw_lists,
    mark_objectives,
    read_baskets,
)
from trainer_module.second_stage.settings import SecondStage
from trainer_module.second_stage.stage import Stage

_LOG = logging.getLogger(__name__)

_MOST_TARGETS = 24
_TENTH = 10
_BATCH = 32
"""Baskets that are looked at together: 32 rows of scores of a million items take 128 MB."""


@dataclass(frozen=True)
class _Examples:
    """Lists, and what is known of their pairs but for the vectors of items, which the network has."""

    lists: Lists
    is_objective: Array
    """bool [baskets, places, objectives]: of `mark_objectives`."""
    users: Array
    """float32 [baskets, dimensions]."""
    log_chance: Array
    """float32 [baskets, places]."""
    numbers: Array
    """float32 [baskets, places, numbers]."""

    def __len__(self) -> int:
        return len(self.users)

    def batch(self, places: Any) -> tuple[Array, ...]:
        """What `_pair` and `loss_of` want of some of the lists."""
        arrays = (self.lists.items, self.users, self.log_chance, self.numbers)
        return tuple(each[places] for each in (*arrays, self.is_objective, self.lists.log_expected))


def fit_stage(
    settings: SecondStage,
    network: Any,
    log: Log,
    files: Sequence[str],
    seed: int,
    find: Find | None = None,
) -> Stage:
    """The second stage of a retrieval.

    Args:
      settings: What it is to be like.
      network: `trainer_module.retrieval.network.Network`, trained and frozen.
      log: What its sequences are of.
      files: Transformed sequences of the training split.
      seed: Of whatever is drawn.
      find: What finds the candidates that will be served; without it the scores of all items do.
    """
    find = find or functools.partial(_find, network)
    started = time.monotonic()
    stage = Stage(settings, network, log, seed, name="second_stage")
    baskets = read_baskets(files, log, network.items.count, settings.queries, seed, stage.kinds)
    is_held = baskets.sequences % _TENTH == _TENTH - 1
    learned = _make_examples(stage, network, find, baskets, ~is_held, settings.negatives, seed)
    # Of these all candidates count, so that nothing is drawn of what decides.
    held = _make_examples(stage, network, find, baskets, is_held, settings.candidates, seed)
    if not len(learned):
        _LOG.info("second stage: no basket has a target among the candidates: it keeps retrieval's order")
    _standardise(stage, network, learned)
    _LOG.info(
        "second stage: %d baskets, and %d to choose the epoch by, in %.0f s",
        len(learned), len(held), time.monotonic() - started,
    )  # fmt: skip
    if len(learned):
        _train(stage, network, learned, held, seed)
    return stage


def _make_examples(
    stage: Stage, network: Any, find: Find, baskets: Baskets, wanted: Array, negatives: int, seed: int
) -> _Examples:
    """Of the wanted baskets those that have a target among their candidates."""
    look = tf.function(lambda *history: find(history, stage.limit), reduce_retracing=True)
    know = tf.function(stage.describe, reduce_retracing=True)
    random = np.random.default_rng(seed)
    chosen, parts = np.flatnonzero(wanted), []
    for start in range(0, len(chosen), _BATCH):
        places = chosen[start : start + _BATCH]
        told = [] if network.kinds is None else [baskets.kinds[places]]
        told += [] if network.context is None else [baskets.context[places]]
        found = look(baskets.items[places], baskets.times[places], *told)
        items, scores = (each.numpy()[:, : stage.limit] for each in (found.items, found.scores))
        lists = draw_lists(
            items, scores > UNWANTED, [baskets.targets[place] for place in places],
            negatives, _MOST_TARGETS, random,
        )  # fmt: skip
        of_lists = tf.constant(np.take_along_axis(scores, lists.ranks, axis=1))
        pair = know(found.moment, tf.constant(lists.items), of_lists)
        has = lists.is_target.any(axis=1)
        arrays = (
            lists.items,
            lists.is_target,
            lists.log_expected,
            lists.ranks,
            mark_objectives(
                lists, *([each[place] for place in places] for each in (baskets.targets, baskets.is_of))
            ),
            found.moment.vectors,
            pair.log_chance,
            pair.numbers,
        )
        parts.append([np.asarray(each)[has] for each in arrays])
    if not parts:
        # As many places and numbers as there would be.
        nothing = _nothing(stage, network)
        return _make_examples(stage, network, find, nothing, np.ones(1, bool), negatives, seed)
    joined = [np.concatenate(each) for each in zip(*parts)]
    return _Examples(Lists(*joined[:4]), *joined[4:])


def _nothing(stage: Stage, network: Any) -> Baskets:
    return Baskets(
        np.full((1, 1), network.items.count, np.int32), np.full((1, 1), np.iinfo(np.int64).max), np.full((1, 1), -1),
        np.zeros((1, 0 if network.context is None else len(network.context.features)), np.int32),
        [np.zeros(0, np.int64)], [np.zeros([0, len(stage.settings.shares)], bool)], np.zeros(1, np.int64),
    )  # fmt: skip


def _find(network: Any, history: tuple[tf.Tensor, ...], count: int) -> Found:
    """Of all items."""
    moment, scores = observe(network, *history)
    return Found(moment, *tf.math.top_k(scores, count))


def _pair(
    network: Any, items: tf.Tensor, users: tf.Tensor, log_chance: tf.Tensor, numbers: tf.Tensor
) -> Pair:
    vectors = tf.stop_gradient(tf.cast(network.items(items), tf.float32))
    return Pair(log_chance, numbers, vectors * users[:, tf.newaxis], vectors)


def _standardise(stage: Stage, network: Any, examples: _Examples) -> None:
    """By the pairs of some lists; those that only fill up do not count."""
    some = slice(0, 1000)
    items, users, log_chance, numbers, _, log_expected = examples.batch(some)
    read = np.concatenate(
        [np.asarray(each) for each in _pair(network, items, users, log_chance, numbers)[1:]], -1
    )
    stage(_pair(network, *(tf.constant(each) for each in (items, users, log_chance, numbers))))
    there = read[np.isfinite(log_expected)].astype(np.float64)
    if len(there):
        stage.standardise(there.mean(axis=0), there.std(axis=0))


def loss_of(scores: tf.Tensor, is_target: tf.Tensor, log_expected: tf.Tensor) -> tf.Tensor:
    """float32 [lists, objectives]: the sum of its targets' losses, of a softmax over all candidates, for which a sample stands.

    All targets of an objective count the same: on a grocery log, weighed by their baskets, as retrieval has it, they gave
    half the gain. What was taken for another objective only is among what a target is told apart from.

    Args:
      scores: float32 [lists, places, objectives].
      is_target: bool of the same shape.
      log_expected: Of `Lists`.
    """
    there = tf.math.is_finite(log_expected)[..., tf.newaxis]
    expected = tf.where(there, log_expected[..., tf.newaxis], 0.0)
    total = tf.reduce_logsumexp(tf.where(there, scores - expected, -1e9), axis=1, keepdims=True)
    return tf.reduce_sum(tf.cast(is_target, tf.float32) * (total - scores), axis=1)


def _train(stage: Stage, network: Any, learned: _Examples, held: _Examples, seed: int) -> None:
    settings = stage.settings
    steps = -(-len(learned) // settings.batch_size) * settings.epochs
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps))
    random, shares = np.random.default_rng(seed), tf.constant(settings.shares, tf.float32)

    @tf.function(reduce_retracing=True)
    def step(*batch: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            by_network = stage.by_network(_pair(network, *batch[:4]), training=True)
            losses = tf.add_n([loss_of(scores, *batch[4:]) for scores in by_network]) / len(by_network)
            loss = tf.reduce_mean(tf.linalg.matvec(losses, shares))
        variables = stage.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    @tf.function(reduce_retracing=True)
    def judge(*batch: tf.Tensor) -> tf.Tensor:
        scores = stage(_pair(network, *batch[:4]), training=False)
        return tf.linalg.matvec(loss_of(scores, *batch[4:]), shares)

    best, weights = _judge(judge, held), stage.get_weights()
    _LOG.info("second stage: loss %.4f as retrieval orders the candidates", best)
    for epoch in range(settings.epochs):
        order = random.permutation(len(learned))
        losses = [
            float(step(*learned.batch(order[start : start + settings.batch_size])))
            for start in range(0, len(order), settings.batch_size)
        ]
        loss = _judge(judge, held)
        _LOG.info("second stage: epoch %d: loss %.4f, of others %.4f", epoch + 1, np.mean(losses), loss)
        # Where there are too few sequences to choose by, the last.
        if loss < best or not len(held):
            best, weights = loss, stage.get_weights()
    stage.set_weights(weights)


def _judge(judge: Any, held: _Examples) -> float:
    losses = [judge(*held.batch(slice(start, start + 64))).numpy() for start in range(0, len(held), 64)]
    return float(np.concatenate(losses).mean()) if losses else float("nan")
