"""How long does a recommender take to find a user's hundred best items, and what does its index lose?

`python -m benchmarks.top_k --items 100000 1000000` exports a model for each number of items, with an index and without,
loads the SavedModel and calls `recommend` as a server does, one user at a time. It prints the median and the 99th percentile, the
recall of the exact list, and what is in memory and on the disk. The first calls are left out.

Vectors, popularity and users are those of a trained model (`--model`, a pushed version) where it is given: more items than it has
are drawn around its own, in clusters of the same spectrum. Without one, items are groups within groups.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DIMENSIONS, EVENTS, DAY = 64, 50, 86_400_000


def main() -> None:
    """Prints a line for each size and kind of index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--index", nargs="+", default=["exact", "inverted_file"])
    parser.add_argument("--model", type=Path, help="a pushed version, whose vectors and histories are taken")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--batch", type=int, default=1)
    asked = parser.parse_args()
    for items in asked.items:
        exact: list[set[bytes]] = []
        for index in asked.index:
            with tempfile.TemporaryDirectory() as scratch:
                took, lists, built, size = measure(
                    index, items, asked.model, asked.calls, asked.batch, scratch
                )
            exact = exact or lists
            recall = np.mean([len(ours & theirs) / len(theirs) for ours, theirs in zip(lists, exact)])
            print(
                f"{items:>9,} items, {index:13}: p50 {np.median(took):7.2f} ms, p99 {np.percentile(took, 99):7.2f} ms, "
                f"recall@100 {recall:.4f}, exported in {built:.0f} s, {size / 2**20:,.0f} MiB",
                flush=True,
            )


def measure(
    index: str, items: int, model: Path | None, calls: int, batch: int, scratch: str
) -> tuple[list[float], list[set[bytes]], float, int]:
    """Milliseconds of each call, the lists, seconds to export, and bytes on the disk."""
    import trainer_module  # noqa: F401 - chooses Keras 2 before TensorFlow is imported
    import tensorflow as tf  # isort: skip

    from trainer_module.retrieval.export import _archive

    network, histories = make_network(index, items, model)
    vocabulary = Path(scratch) / "items"
    vocabulary.write_text("".join(f"i{number}\n" for number in range(items)))
    started = time.monotonic()
    archive = _archive(network, network._log, str(vocabulary), items)
    saved = str(Path(scratch) / "model")
    tf.saved_model.save(archive, saved, {"recommend": archive.endpoints["recommend"]})
    built = time.monotonic() - started
    size = sum(file.stat().st_size for file in Path(saved).rglob("*") if file.is_file())
    recommend = tf.saved_model.load(saved).signatures["recommend"]
    took, lists = [], []
    for call in range(calls + 20):
        chosen = histories[(np.arange(batch) + call * batch) % len(histories)]
        names = np.char.add("i", chosen.astype(str)).astype(object)
        request = {
            "items": tf.constant(names), "times": tf.constant(np.arange(EVENTS) * DAY + 0 * chosen, tf.int64),
            "exclude": tf.constant([[""]] * batch), "among": tf.constant([], tf.string), "k": tf.constant(100),
        }  # fmt: skip
        started = time.perf_counter()
        answer = {name: value.numpy() for name, value in recommend(**request).items()}
        if call >= 20:
            took.append(1000 * (time.perf_counter() - started))
            lists += [set(row) - {b""} for row in answer["items"].tolist()]
    return took, lists, built, size


def make_network(index: str, items: int, model: Path | None) -> tuple[Any, Array]:
    """A network with such vectors, and int64 [users, events] of histories."""
    import tensorflow as tf

    from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, Log
    from trainer_module.models.two_tower import TwoTower
    from trainer_module.retrieval.items import Features
    from trainer_module.retrieval.network import IS_ROW, Network

    tf.keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    learned = read_learned(model) if model else None
    vectors, biases, origin = (
        spread_out(*learned[:2], items, random) if learned else make_groups(items, random)
    )
    settings = TwoTower(dimensions=vectors.shape[1], index=index)  # type: ignore[arg-type]
    log = Log(user="u", item="i", time="t", history=EVENTS)
    features = Features({}, np.zeros((items, 0), np.float32))
    network = Network(settings, log, np.ones(items), features, name="network")
    nothing = tf.zeros([1, 2], tf.int64)
    network(
        {ITEM: nothing, TIME: nothing, BASKET: nothing, FIRST_TARGET: nothing[:, 0], IS_ROW: tf.ones([1])}
    )
    of_name = {variable.name.partition(":")[0]: variable for variable in network.variables}
    for name, value in (learned[2] if learned else {}).items():
        # What reads histories is the trained model's, too.
        if name in of_name and of_name[name].shape == value.shape:
            of_name[name].assign(value)
    of_name["network/items/vectors"].assign(np.concatenate([vectors, np.zeros_like(vectors[:1])]))
    of_name["network/items/biases"].assign(np.append(biases, 0.0))
    # Each user has items of a few groups, or of what is near to a few learned items.
    order, users = np.argsort(origin, kind="stable"), 200
    starts = random.integers(0, max(items - 200, 1), (users, 5))
    picked = np.repeat(starts, EVENTS // 5, axis=1) + random.integers(0, min(200, items), (users, EVENTS))
    return network, order[picked]


def read_learned(model: Path) -> tuple[Array, Array, dict[str, Array]]:
    """Vectors and biases of the items of a pushed version, and its variables by name."""
    import tensorflow as tf

    from trainer_module.export import CHECKPOINT_KEY
    from trainer_module.settings import LEARNER

    checkpoint = tf.train.load_checkpoint(str(model / "variables" / "variables"))
    names = json.loads((model / LEARNER).read_text())["variables"]
    variables = {name: checkpoint.get_tensor(CHECKPOINT_KEY.format(at)) for at, name in enumerate(names)}
    vectors = checkpoint.get_tensor("catalogue/.ATTRIBUTES/VARIABLE_VALUE")
    return vectors, variables["network/items/biases"][:-1], variables


def spread_out(vectors: Array, biases: Array, items: int, random: Any) -> tuple[Array, Array, Array]:
    """`items` vectors and biases, and which learned item each is near to: what is left of its cell's mean is mixed anew."""
    from sklearn.cluster import MiniBatchKMeans

    joined = np.concatenate([vectors, biases[:, np.newaxis]], axis=1)
    if items <= len(joined):
        chosen = random.permutation(len(joined))[:items]
        return vectors[chosen], biases[chosen], chosen
    cells = MiniBatchKMeans(512, random_state=0, n_init=1, batch_size=8192, max_iter=5).fit(joined)
    means = cells.cluster_centers_[cells.labels_]
    left = joined - means
    origin, other = random.integers(0, len(joined), (2, items))
    # Two parts of half the variance each: as far from the mean as learned items are.
    made = (means[origin] + (left[origin] + left[other]) / np.sqrt(2)).astype(np.float32)
    return made[:, :-1], made[:, -1], cells.labels_[origin]


def make_groups(items: int, random: Any) -> tuple[Array, Array, Array]:
    """The same of groups within groups, and of a popularity after Zipf."""
    coarse = random.normal(0, 0.15, (60, DIMENSIONS))
    fine = coarse[random.integers(0, 60, 3000)] + random.normal(0, 0.08, (3000, DIMENSIONS))
    origin = random.integers(0, 3000, items)
    vectors = fine[origin] + random.normal(0, 0.06, (items, DIMENSIONS))
    popularity = 1.0 / random.permutation(np.arange(1, items + 1))
    return vectors.astype(np.float32), np.log(popularity / popularity.sum()).astype(np.float32), origin


if __name__ == "__main__":
    main()
