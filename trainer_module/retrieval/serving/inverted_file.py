"""An index of the catalogue: the items in cells of like ones, of which a request reads a few.

An item's score is the product of its vector and the user's, plus its bias: one product of vectors with a last place more.
By these vectors k-means puts items into cells (Sculley 2010, in scikit-learn), and a user's cells are those whose means
have the greatest products: an inverted file, as in Jégou et al. 2011. Only core operations, which every server knows.

Measured on the vectors of a model of `datasets/shop.toml`, 92,278 items: of the exact hundred best items the cells had 0.995
with 8 probes of 512 cells and 0.9997 with 16.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer_module.retrieval.serving.candidates import Candidates

AUTO_ITEMS = 300_000
"""Above so many items `index = "auto"` makes an index: below, every item is scored in some 20 ms on two cores."""

_SAMPLE = 64
"""Items for each cell that k-means learns from."""
_LEAST_PROBES = 32


def make_cells(vectors: NDArray[np.float32], cells: int) -> NDArray[np.int64]:
    """Items in cells, int64 [cells, size], filled up with the number of items.

    A cell that would be larger than the average is several, so that all take the same place in memory.

    Args:
      vectors: [items, dimensions].
      cells: Of how many means the cells are.
    """
    from sklearn.cluster import MiniBatchKMeans

    count = len(vectors)
    cells = min(cells, count)
    sample = np.random.default_rng(0).permutation(count)[: _SAMPLE * cells]
    means = MiniBatchKMeans(cells, batch_size=max(1024, 4 * cells), max_iter=10, n_init=1, random_state=0)
    means.fit(vectors[sample])
    of_item = means.predict(vectors)
    size = math.ceil(count / cells)
    # By the last place, the bias, within a cell: where it is cut, like stays with like.
    order = np.lexsort((-vectors[:, -1], of_item))
    counts = np.bincount(of_item, minlength=cells)
    within = np.arange(count) - np.repeat(np.cumsum(counts) - counts, counts)
    pieces = -(-counts // size)
    first = np.cumsum(pieces) - pieces
    members = np.full((int(pieces.sum()), size), count, np.int64)
    members[first[of_item[order]] + within // size, within % size] = order
    return members


class InvertedFile(tf.Module):
    """See the module.

    Attributes:
      probes: How many cells a request reads.
    """

    def __init__(self, vectors: Any, biases: Any, offered: Any, cells: int = 0, probes: int = 0) -> None:
        """Builds the index; it takes the vectors once more, in the order of the cells.

        Args:
          vectors: float32 [items, dimensions].
          biases: float32 [items].
          offered: bool [items]: which may be recommended; the others are in no cell.
          cells: Of how many means; 0 for twice the square root of the number of items.
          probes: 0 for one in 128 cells, and at least 32.
        """
        super().__init__(name="index")
        self._count = len(biases)
        numbers = np.flatnonzero(offered)
        joined = np.concatenate([vectors, np.asarray(biases)[:, np.newaxis]], axis=1).astype(np.float32)
        places = make_cells(joined[numbers], cells or max(1, round(2 * math.sqrt(len(numbers)))))
        members = np.append(numbers, self._count)[places]
        # What fills a cell up has a vector of nothing.
        contents = np.concatenate([joined, np.zeros_like(joined[:1])])[members]
        there = np.maximum((members < self._count).sum(axis=1, keepdims=True), 1)
        place_of = np.full(self._count + 1, members.size, np.int32)
        place_of[members.reshape(-1)] = np.arange(members.size)
        place_of[self._count] = members.size
        self._width = members.shape[1]
        self.probes = min(probes or max(_LEAST_PROBES, len(members) // 128), len(members))
        self._means = _kept((contents.sum(axis=1) / there).astype(np.float32), "means")
        self._members = _kept(members.astype(np.int32), "members")
        self._contents = _kept(contents, "contents")
        self._places = _kept(place_of, "places")

    def search(self, users: tf.Tensor) -> Candidates:
        """The items of the cells that fit best, int32 and float32 [users, probes * size].

        Args:
          users: float32 [users, dimensions].
        """
        asked = tf.pad(users, [[0, 0], [0, 1]], constant_values=1.0)
        nearest = tf.math.top_k(tf.matmul(asked, self._means, transpose_b=True), self.probes).indices
        numbers = tf.gather(self._members, nearest)
        # User by user, as each has vectors of their own to read: of a large batch all would not fit into memory.
        scores = tf.map_fn(
            lambda row: tf.linalg.matvec(tf.gather(self._contents, row[0]), row[1]),
            (nearest, asked),
            fn_output_signature=tf.TensorSpec([self.probes, self._width], tf.float32),
        )
        shape = [tf.shape(users)[0], self.probes * self._width]

        def find(items: tf.Tensor) -> tf.Tensor:
            place = tf.gather(self._places, items)
            is_same = tf.equal((place // self._width)[:, :, tf.newaxis], nearest[:, tf.newaxis])
            probe = tf.argmax(tf.cast(is_same, tf.int32), axis=2, output_type=tf.int32)
            return tf.where(
                tf.reduce_any(is_same, axis=2), probe * self._width + place % self._width, shape[1]
            )

        return Candidates(tf.reshape(numbers, shape), tf.reshape(scores, shape), find, self._count)


def make_index(network: Any, catalogue: tf.Variable) -> InvertedFile | None:
    """The index that `TwoTower.index` asks for, of a frozen network; None where every item is to be scored."""
    model, count = network.model, int(catalogue.shape[0])
    if model.index == "exact" or (model.index == "auto" and count <= AUTO_ITEMS):
        return None
    biases = network.items.biases(tf.range(count)).numpy()
    return InvertedFile(catalogue.numpy(), biases, network.items.available, model.cells, model.probes)


def _kept(values: Any, name: str) -> tf.Variable:
    # Not a constant, which would be in the graph's file: that holds two gigabytes at most.
    return tf.Variable(values, trainable=False, name=name)
