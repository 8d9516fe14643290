"""Raw columns become one matrix: the first value of each row, whatever else a row has."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from trainer_module.inputs.raw_columns import first_values, numbers_of, texts_of


def column(rows: list[list[Any]], kind: tf.DType) -> tf.SparseTensor:
    places = [(row, place) for row, values in enumerate(rows) for place in range(len(values))]
    return tf.SparseTensor(
        np.array(places, np.int64).reshape(-1, 2),
        tf.constant([value for values in rows for value in values], kind),
        [len(rows), max(map(len, rows))],
    )


WHOLE = column([[1], [], [3, 4, 5]], tf.int64)
DECIMAL = column([[], [2.5, 9.0], [0.5]], tf.float32)
TEXT = column([[b"a"], [b""], [b"b", b"c"]], tf.string)
ABSENT = column([[], [], []], tf.int64)
DENSE = tf.constant([[7], [8], [9]], tf.int64)


def test_integers_and_decimals_share_a_matrix_and_nan_is_missing() -> None:
    found = numbers_of([WHOLE, DECIMAL, ABSENT]).numpy()
    expected = [[1, np.nan, np.nan], [np.nan, 2.5, np.nan], [3, 0.5, np.nan]]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


def test_infinity_is_missing() -> None:
    """It would be the mean of its column, and the loss no number from the first step on."""
    infinite = column([[float("inf")], [-np.inf], [2.0]], tf.float32)
    np.testing.assert_array_equal(numbers_of([infinite]).numpy(), [[np.nan], [np.nan], [2.0]])


def test_integers_become_texts_in_decimal_and_the_empty_text_is_missing() -> None:
    found = texts_of([TEXT, WHOLE]).numpy().tolist()
    assert found == [[b"a", b"1"], [b"", b""], [b"b", b"3"]]


@pytest.mark.parametrize("columns", [[DENSE], [DENSE, WHOLE], [WHOLE, DENSE, ABSENT]])
def test_columns_that_are_dense_already_keep_their_places(columns: list[Any]) -> None:
    found = first_values(columns, -1).numpy()
    values = {id(DENSE): [7, 8, 9], id(WHOLE): [1, -1, 3], id(ABSENT): [-1, -1, -1]}
    np.testing.assert_array_equal(found, np.transpose([values[id(each)] for each in columns]))


def test_a_batch_may_be_empty() -> None:
    empty = tf.SparseTensor(np.zeros([0, 2], np.int64), tf.constant([], tf.int64), [0, 0])
    assert first_values([empty, empty], -1).shape == (0, 2)


def test_a_long_list_in_one_row_takes_no_room_in_the_others() -> None:
    far = 10**12
    long = tf.SparseTensor([[0, 0], [0, far], [2, 0]], tf.constant([1, 2, 3], tf.int64), [3, far + 1])
    assert first_values([long, WHOLE], -1).numpy().tolist() == [[1, 1], [-1, -1], [3, 3]]
