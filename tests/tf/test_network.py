"""A recommender's network against numpy: what queries see, what the loss and the scores are, and who comes first."""

import numpy as np
import pytest
import tensorflow as tf

import trainer_module  # noqa: F401 - before TensorFlow, as it chooses Keras 2
from trainer_module.log import Log
from trainer_module.models.two_tower import TwoTower
from trainer_module.retrieval import scores as catalogue
from trainer_module.retrieval.items import Features
from trainer_module.retrieval.network import Network
from trainer_module.retrieval.queries import AFTER_ALL, Queries, ages, basket_weights, find_queries
from trainer_module.retrieval.repeats import Repeats, count_by_item, first_places
from trainer_module.retrieval.training.comparison import Sequences

DAY = 86_400_000
COUNT = 6
COUNTS = np.array([9, 4, 3, 2, 1, 1])
FEATURES = Features(
    {"category": (np.array([[0], [0], [1], [1], [2], [2]], np.int32), 4)}, np.zeros((6, 0), np.float32)
)
# Two users; the second one's chunk carries two events as context, and ends with a place without an event.
ITEMS = np.array([[0, 1, 0, 2, 3], [4, 1, 4, 5, COUNT]], np.int32)
TIMES = np.array([[0, 0, 3, 3, 9], [1, 2, 5, 5, 0]], np.int64) * DAY
TIMES[1, 4] = AFTER_ALL
FIRST = np.array([0, 2])
ENCODERS = ("average", "attention", "gru", "transformer")


def inputs(
    items: np.ndarray = ITEMS, times: np.ndarray = TIMES, first: np.ndarray = FIRST
) -> dict[str, tf.Tensor]:
    return {"items": tf.constant(items), "times": tf.constant(times), "first_target": tf.constant(first)}


def losses_of(made: Network, given: dict[str, tf.Tensor]) -> tuple[tf.Tensor, Queries]:
    sequences = Sequences(given["items"], given["times"], given["times"])
    return made.losses(sequences, given["first_target"], training=False)


def network(repeats: bool = True, **options: object) -> Network:
    tf.random.set_seed(3)
    model = TwoTower(**{"dimensions": 4, "softmax": "full", **options})  # type: ignore[arg-type]
    made = Network(model, Log(user="u", item="i", time="t", repeats=repeats), COUNTS, FEATURES)
    losses_of(made, inputs())
    # Away from where training begins, so that every part counts.
    random = np.random.default_rng(5)
    for variable in made.trainable_variables:
        variable.assign(variable + random.normal(0, 0.3, variable.shape))
    made.freeze()
    return made


def users(made: Network, items: np.ndarray, times: np.ndarray, lengths: list[list[int]]) -> np.ndarray:
    return made.users(tf.constant(items), tf.constant(times), tf.constant(times), tf.constant(lengths))[
        0
    ].numpy()


def test_a_query_sees_what_is_strictly_earlier_and_events_of_one_time_share_one() -> None:
    asked = find_queries(*(tf.constant(x) for x in (ITEMS, TIMES, FIRST)), padding=COUNT)
    # At days 0, 3 and 9 of the first user; at day 5 of the second, whose days 1 and 2 are context.
    assert asked.lengths.numpy().tolist() == [[0, 2, 4], [2, 0, 0]]
    assert asked.rows.numpy().tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert asked.positions.numpy().tolist() == [0, 1, 2, 3, 4, 2, 3]
    assert asked.queries.numpy().tolist() == [0, 0, 1, 1, 2, 0, 0]


def test_a_basket_counts_as_one_or_as_its_events() -> None:
    asked = find_queries(*(tf.constant(x) for x in (ITEMS, TIMES, FIRST)), padding=COUNT)
    np.testing.assert_allclose(basket_weights(asked, 1.0), [0.5, 0.5, 0.5, 0.5, 1, 0.5, 0.5])
    np.testing.assert_allclose(basket_weights(asked, 0.0), np.ones(7))


def test_a_context_that_ends_amid_a_basket_does_not_show_its_beginning() -> None:
    asked = find_queries(*(tf.constant(x) for x in (ITEMS, TIMES, np.array([1, 3]))), padding=COUNT)
    assert asked.lengths.numpy().tolist() == [[0, 2, 4], [2, 0, 0]]
    assert list(zip(asked.rows.numpy(), asked.positions.numpy())) == [
        (0, 1), (0, 2), (0, 3), (0, 4), (1, 3)
    ]  # fmt: skip


def test_ages_keep_seconds_of_today_and_begin_at_the_last_event_seen() -> None:
    times = tf.constant([[1_700_000_000, 1_700_000_001, 1_700_086_401]], tf.int64) * 1000
    measured = ages(times, tf.constant([[2, 3]])).numpy()[0]
    np.testing.assert_allclose(measured[0, :2], [1000 / DAY, 0], rtol=1e-6)
    np.testing.assert_allclose(measured[1], [1 + 1000 / DAY, 1, 0], rtol=1e-6)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_no_encoder_sees_a_basket_that_it_is_to_predict_or_what_comes_later(encoder: str) -> None:
    made = network(encoder=encoder)
    seen = users(made, ITEMS, TIMES, [[0, 2], [2, 2]])
    changed = ITEMS.copy()
    # Day 3 and what follows, and day 5.
    changed[0, 2:], changed[1, 2:4] = 5, 0
    later = TIMES.copy()
    later[0, 4] += 100 * DAY
    np.testing.assert_allclose(users(made, changed, later, [[0, 2], [2, 2]]), seen, rtol=1e-5, atol=1e-6)
    # While what is earlier counts.
    changed = ITEMS.copy()
    changed[:, 0] = 3
    assert np.abs(users(made, changed, TIMES, [[0, 2], [2, 2]]) - seen)[:, 1].max() > 1e-3


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_empty_history_and_places_without_an_event_change_nothing(encoder: str) -> None:
    made = network(encoder=encoder)
    seen = users(made, ITEMS, TIMES, [[0, 2], [0, 4]])
    assert np.isfinite(seen).all()
    np.testing.assert_allclose(seen[0, 0], seen[1, 0], rtol=1e-5)
    wider = np.pad(ITEMS, [(0, 0), (0, 3)], constant_values=COUNT)
    longer = np.pad(TIMES, [(0, 0), (0, 3)], constant_values=AFTER_ALL)
    np.testing.assert_allclose(users(made, wider, longer, [[0, 2], [0, 4]]), seen, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_history_cut_into_chunks_with_their_context_has_the_losses_of_the_whole(encoder: str) -> None:
    made = network(encoder=encoder)
    whole, _ = losses_of(made, inputs(ITEMS[:1], TIMES[:1], np.array([0])))
    # The first four events, and then the fifth with the four as its context.
    items, times = np.repeat(ITEMS[:1], 2, axis=0), np.repeat(TIMES[:1], 2, axis=0)
    items[0, 4], times[0, 4] = COUNT, AFTER_ALL
    parts, _ = losses_of(made, inputs(items, times, np.array([0, 4])))
    np.testing.assert_allclose(parts, whole, rtol=1e-4)


def test_counts_fade_by_item_as_numpy_says() -> None:
    left = np.random.default_rng(1).random((2, 3, 2, 5), np.float32)
    places = first_places(tf.constant(ITEMS))
    assert places.numpy().tolist() == [[0, 1, 0, 3, 4], [0, 1, 0, 3, 4]]
    counted = count_by_item(places, tf.constant(left)).numpy()
    for chunk, first in np.ndindex(2, 5):
        same = ITEMS[chunk] == ITEMS[chunk, first]
        expected = left[chunk][..., same].sum(-1) if same[:first].sum() == 0 else 0
        np.testing.assert_allclose(counted[chunk, :, first], expected, rtol=1e-5)


def test_an_item_of_the_history_has_two_chances_and_their_sum_is_its_score() -> None:
    repeats = Repeats([1.0])
    repeats(tf.ones([1, 1, 2, 2]))
    own, as_new = np.array([[[0.5, -40.0, 100.0]]], np.float32), np.array([[[1.0, 3.0, -200.0]]], np.float32)
    # At the beginning the second counts next to nothing.
    np.testing.assert_allclose(repeats.mix(own, as_new)[0, 0], [0.5006, -5.0, 100.0], atol=1e-3)
    repeats._share_as_new.assign(0.0)
    expected = np.logaddexp(own.astype(float), as_new.astype(float))
    np.testing.assert_allclose(repeats.mix(own, as_new), expected, rtol=1e-6)


@pytest.mark.parametrize("repeats", [True, False])
def test_the_loss_is_the_softmax_of_the_scores_that_are_served(repeats: bool) -> None:
    """The loss of each target from numpy, out of what `scores` says of the history before it."""
    made = network(repeats=repeats)
    losses, asked = losses_of(made, inputs())
    for loss, row, position, query in zip(losses.numpy(), *(x.numpy() for x in asked[1:])):
        length = int(asked.lengths[row, query])
        items = np.pad(ITEMS[row, :length], (0, 1), constant_values=COUNT)[np.newaxis]
        times = np.pad(TIMES[row, :length], (0, 1), constant_values=AFTER_ALL)[np.newaxis]
        scores = made.scores(tf.constant(items), tf.constant(times)).numpy()[0].astype(float)
        target = ITEMS[row, position]
        if not repeats and target in items:
            assert loss == 0
            continue
        assert loss == pytest.approx(np.log(np.exp(scores).sum()) - scores[target], rel=1e-4)


def test_without_repeats_no_item_of_the_history_is_served_and_with_them_counting_is_the_beginning() -> None:
    scores = network(repeats=False).scores(tf.constant(ITEMS), tf.constant(TIMES)).numpy()
    assert (scores[0, [0, 1, 2, 3]] == catalogue.UNWANTED).all() and scores[0, 4] > catalogue.UNWANTED
    made = Network(TwoTower(memory_days=(1000.0,)), Log(user="u", item="i", time="t"), COUNTS, FEATURES)
    made.freeze()
    scores = made.scores(tf.constant(ITEMS), tf.constant(TIMES)).numpy()
    assert scores[0, 0] - scores[0, 1] == pytest.approx(np.log(2), abs=0.01)
    assert scores[1, 4] - scores[1, 5] == pytest.approx(np.log(2), abs=0.01)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_scores_convert_to_built_ins_of_tflite(encoder: str) -> None:
    made = network(encoder=encoder)
    items, times = tf.constant(ITEMS[:1]), tf.constant(TIMES[:1])
    signature = [tf.TensorSpec(given.shape, given.dtype) for given in (items, times)]
    function = tf.function(made.scores, input_signature=signature).get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], made).convert()
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for given in interpreter.get_input_details():
        interpreter.set_tensor(given["index"], (items if given["dtype"] == np.int32 else times).numpy())
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(got, made.scores(items, times), rtol=1e-4, atol=1e-5)


def test_excluded_items_and_those_that_do_not_exist_are_never_recommended() -> None:
    scores = catalogue.exclude(tf.constant([[0.5, 0.4, 0.9]]), tf.constant([[2, 7, -1]]))
    np.testing.assert_allclose(scores, [[0.5, 0.4, catalogue.UNWANTED]])
