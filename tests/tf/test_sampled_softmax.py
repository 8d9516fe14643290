"""The correction of sampled negatives: what is learnt with it, and what without it or with its sign turned."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import trainer_module  # noqa: F401 - before TensorFlow, as it chooses Keras 2
from trainer_module.retrieval.training.sampled_softmax import Asked, Candidates, draw_candidates, losses

COUNT = 40
SHARES = 1 / np.arange(1, COUNT + 1)
SHARES /= SHARES.sum()
TARGETS = 24


def asked(biases: tf.Tensor, candidates: Candidates, targets: tf.Tensor) -> Asked:
    """Users without a history, each of whom wants one item: no score depends on the user."""
    number = tf.shape(targets)[0]
    scores = tf.gather(biases, candidates.ids)[tf.newaxis] + tf.zeros([number, 1])
    return Asked(
        scores - candidates.log_probabilities,
        tf.range(number),
        targets,
        tf.fill([number], -1),
        targets[:0],
        targets[:0],
        None,
    )


def learnt(factor: float) -> np.ndarray:
    """Biases after training on targets of one batch as negatives of each other, in which popular ones are common."""
    biases = tf.Variable(tf.zeros([COUNT]))
    optimizer = keras.optimizers.Adam(0.05, jit_compile=False)
    random = np.random.default_rng(7)
    drawn = tf.constant(random.choice(COUNT, [600, TARGETS], p=SHARES).astype(np.int32))
    frequencies = tf.constant(SHARES, tf.float32)

    @tf.function
    def step(targets: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            ids, logarithms = draw_candidates(targets, targets[:0], frequencies)
            candidates = Candidates(ids, factor * logarithms)
            loss = tf.reduce_mean(losses(asked(biases, candidates, targets), candidates, COUNT))
        optimizer.apply_gradients([(tape.gradient(loss, biases), biases)])

    for number, targets in enumerate(drawn):
        optimizer.learning_rate.assign(0.05 * (1 - number / len(drawn)) + 0.001)
        step(targets)
    return biases.numpy()


@pytest.mark.parametrize(("factor", "is_right"), [(1.0, True), (0.0, False), (-1.0, False)])
def test_the_popularity_is_learnt_only_with_the_correction_and_its_right_sign(
    factor: float, is_right: bool
) -> None:
    biases = learnt(factor)
    # What log p is: 1 with the correction; popular items are learnt to be nothing special without it.
    slope = np.polyfit(np.log(SHARES), biases, 1)[0]
    assert (0.85 < slope < 1.15) == is_right, slope


def test_the_sum_over_candidates_is_on_average_the_sum_over_the_catalogue() -> None:
    random = np.random.default_rng(3)
    scores = random.normal(size=COUNT)
    frequencies = tf.constant(SHARES, tf.float32)
    sums = []
    for drawn in random.choice(COUNT, [1500, 30], p=SHARES).astype(np.int32):
        ids, logarithms = (x.numpy() for x in draw_candidates(drawn[:10], drawn[10:], frequencies))
        assert len(set(ids)) == len(ids)
        sums.append(np.exp(scores[ids] - logarithms).sum())
    error = np.std(sums) / len(sums) ** 0.5
    assert np.mean(sums) == pytest.approx(np.exp(scores).sum(), abs=4 * error)
    assert error < 0.03 * np.exp(scores).sum()


def test_the_gradient_with_even_and_popular_negatives_is_on_average_that_of_all_items() -> None:
    """Nearly: the logarithm of a mean is not the mean of logarithms, by the less the more are drawn."""
    random = np.random.default_rng(5)
    biases = tf.Variable(random.normal(size=COUNT).astype(np.float32))
    frequencies = tf.constant(SHARES, tf.float32)
    target = tf.constant([39], tf.int32)

    @tf.function
    def gradient(candidates: Candidates) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = losses(asked(biases, candidates, target), candidates, COUNT)
        return tf.convert_to_tensor(tape.gradient(loss, biases))

    @tf.function
    def sampled(drawn: tf.Tensor, even: tf.Tensor) -> tf.Tensor:
        # The target is always there, as if by chance: its own score is not corrected.
        ids, logarithms = draw_candidates(drawn, drawn[:0], frequencies, even)
        present = tf.reduce_any(ids == target)
        ids = tf.cond(present, lambda: ids, lambda: tf.concat([ids, target], 0))
        logarithms = tf.cond(present, lambda: logarithms, lambda: tf.concat([logarithms, [0.0]], 0))
        return gradient(Candidates(ids, logarithms))

    everything = gradient(Candidates(tf.range(COUNT), tf.zeros([COUNT]))).numpy()
    popular = random.choice(COUNT, [1500, 12], p=SHARES).astype(np.int32)
    even = random.integers(0, COUNT, [1500, 24]).astype(np.int32)
    seen = np.mean([sampled(*pair).numpy() for pair in zip(popular, even)], axis=0)
    np.testing.assert_allclose(seen, everything, atol=0.01)
    # Without the even ones' share of the probability it is another one.
    assert np.abs(everything).max() > 0.1


@pytest.mark.parametrize("even", [0, 1, 30])
def test_the_probability_of_a_candidate_is_that_of_all_draws_together(even: int) -> None:
    drawn = tf.constant([0, 0, 5], tf.int32)
    ids, logarithms = draw_candidates(
        drawn[:2], drawn[2:], tf.constant(SHARES, tf.float32), tf.fill([even], 7)
    )
    expected = 1 - (1 - SHARES[ids.numpy()]) ** 3 * (1 - 1 / COUNT) ** even
    np.testing.assert_allclose(np.exp(logarithms), expected, rtol=1e-4)
    assert set(ids.numpy()) == ({0, 5, 7} if even else {0, 5})


def test_the_loss_is_what_numpy_says_and_own_items_and_targets_are_no_one_s_negatives() -> None:
    """Two queries of one chunk with a history of items 3, 1, 3: it wants 3 again and the new 0; then 2."""
    candidates = Candidates(tf.constant([0, 2, 1, 3]), tf.constant([-0.5, -1.0, -1.5, -2.0]))
    scores = np.random.default_rng(2).normal(size=(2, 4)).astype(np.float32)
    own = np.random.default_rng(4).normal(size=5).astype(np.float32)
    queries = Asked(
        scores=tf.constant(scores) - candidates.log_probabilities,
        query=tf.constant([0, 0, 1]), target=tf.constant([3, 0, 2]), again=tf.constant([0, -1, -1]),
        own_query=tf.constant([0, 0, 1, 1, 1]), own_item=tf.constant([3, 1, 3, 1, 0]), own=tf.constant(own),
    )  # fmt: skip
    got = losses(queries, candidates, 4).numpy()
    # The first query has 3 and 1; candidate 0 is its target, and of the others only 2 is a negative.
    first = np.exp([*own[:2], scores[0, 0], scores[0, 1] + 1.0])
    # The second one has 3, 1 and 0, and wants candidate 2.
    second = np.exp([*own[2:], scores[1, 1]])
    expected = [
        np.log(first.sum()) - own[0],
        np.log(first.sum()) - scores[0, 0],
        np.log(second.sum()) - scores[1, 1],
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
