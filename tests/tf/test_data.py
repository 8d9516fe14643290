"""The input pipeline: every row exactly once in a pass, in batches of one shape."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from foundation.sections import ConfigurationError
from trainer_module.inputs import batches as data
from trainer_module.inputs.rows import Shard, read_rows
from trainer_module.inputs.survey import survey
from trainer_module.label import TRANSFORMED_LABEL
from trainer_module.standardisation import MeanPredictor, Moments
from trainer_module.tasks import find_task
from trainer_module.training.plan import steps_of_pass

SPEC = {
    TRANSFORMED_LABEL: tf.io.FixedLenFeature([], tf.int64),
    "numeric": tf.io.FixedLenFeature([1], tf.float32),
}


def write(directory: Path, sizes: list[int]) -> list[str]:
    """Files of rows that are numbered through, from 1."""
    number, files = 0, []
    for index, size in enumerate(sizes):
        path = str(directory / f"part-{index}.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for _ in range(size):
                number += 1
                feature = {
                    TRANSFORMED_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2])),
                    "numeric": tf.train.Feature(float_list=tf.train.FloatList(value=[number])),
                }
                writer.write(
                    tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
                )
        files.append(path)
    return files


LABELS = {kind: {TRANSFORMED_LABEL: tf.io.FixedLenFeature([], kind)} for kind in (tf.int64, tf.float32)}


def write_labels(directory: Path, parts: list[list[Any]], kind: tf.DType) -> list[str]:
    """Files of rows that are labels alone."""
    files = []
    for index, labels in enumerate(parts):
        files.append(str(directory / f"labels-{index}.gz"))
        with tf.io.TFRecordWriter(files[-1], "GZIP") as writer:
            for label in labels:
                feature = (
                    tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
                    if kind == tf.int64
                    else tf.train.Feature(float_list=tf.train.FloatList(value=[label]))
                )
                features = tf.train.Features(feature={TRANSFORMED_LABEL: feature})
                writer.write(tf.train.Example(features=features).SerializeToString())
    return files


def passes(
    files: list[str], shard: Shard, steps: int, batch_size: int, count: int, cache: str
) -> list[Counter[float]]:
    """How often each row counts in each pass of one worker."""
    rows = read_rows(files, SPEC, shard)
    here = shard.rows(survey(files, SPEC).rows_by_file)[shard.index]
    stream = iter(data.make_batches(rows, here, batch_size, steps, cache=cache, shuffle_rows=1000, seed=1))
    seen = []
    for _ in range(count):
        counter: Counter[float] = Counter()
        for _ in range(steps):
            features, _, weights = next(stream)
            assert weights.shape == (batch_size,)
            counter.update(features["numeric"].numpy()[weights.numpy() > 0, 0].tolist())
        seen.append(counter)
    return seen


@pytest.mark.parametrize("cache", ["memory", "none"])
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("sizes", [[100], [50, 51], [90, 1, 7], [10, 20, 30, 5, 0, 3], [3]])
def test_trap_2_every_row_is_seen_once_a_pass_for_any_files_and_workers(
    tmp_path: Path, sizes: list[int], workers: int, cache: str
) -> None:
    files = write(tmp_path, sizes)
    by_worker = Shard(0, workers).rows(survey(files, SPEC).rows_by_file)
    assert sum(by_worker) == sum(sizes)
    steps = steps_of_pass(by_worker, batch_size=8, local_replicas=1)
    everyone = [passes(files, Shard(index, workers), steps, 8, 3, cache) for index in range(workers)]
    for together in zip(*everyone):
        assert sum(together, Counter()) == Counter(range(1, sum(sizes) + 1))


def test_trap_2_one_file_is_divided_by_rows_and_enough_files_are_divided_as_files() -> None:
    assert not Shard(0, 2).by_file(["only"])
    assert not Shard(0, 2).by_file(["a", "b", "c"])
    assert Shard(0, 2).by_file(["a", "b", "c", "d"])


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_each_pass_is_shuffled_anew(tmp_path: Path, cache: str) -> None:
    rows = read_rows(write(tmp_path, [100]), SPEC)
    batches = iter(data.make_batches(rows, 100, 100, 1, cache=cache, shuffle_rows=1000, seed=1))
    first, second = (next(batches)[0]["numeric"].numpy()[:, 0] for _ in range(2))
    assert sorted(first) == sorted(second) and not np.array_equal(first, second)


@pytest.mark.parametrize("cache", ["memory", "none"])
def test_rows_are_mixed_across_windows_and_their_order_follows_from_the_seed(
    tmp_path: Path, cache: str
) -> None:
    files = write(tmp_path, [4000])
    orders = [
        [
            features["numeric"].numpy()[:, 0].tolist()
            for features, _, _ in data.make_batches(
                read_rows(files, SPEC), 4000, 500, 8, cache=cache, shuffle_rows=2048, seed=seed
            ).take(8)
        ]
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]
    # A batch of neighbours would span 500; one of a shuffled window spans most of its 2048 rows.
    assert all(max(batch) - min(batch) > 1500 for batch in orders[0][:4])


def test_rows_that_do_not_fit_the_cache_go_to_disk_and_are_all_there_in_every_pass(tmp_path: Path) -> None:
    count = 100_000
    numbers = np.arange(1, count + 1)  # 12 bytes a row: 1.2 MB
    table = {TRANSFORMED_LABEL: numbers % 2, "numeric": numbers[:, None].astype(np.float32)}
    rows = tf.data.Dataset.from_tensor_slices(table).batch(1024)
    for limit, expected in ((1, True), (2, False)):
        directory = tmp_path / str(limit)
        directory.mkdir()
        batches = data.make_batches(
            rows,
            count,
            1000,
            100,
            cache="memory",
            cache_directory=directory / "rows",
            cache_mib=limit,
            shuffle_rows=5000,
        )
        stream = iter(batches)
        for _ in range(2):
            seen = np.concatenate([next(stream)[0]["numeric"].numpy()[:, 0] for _ in range(100)])
            assert np.array_equal(np.sort(seen), numbers)
        assert any(directory.iterdir()) == expected


def test_the_weights_make_the_mean_over_places_the_mean_over_rows() -> None:
    assert data.row_weight(total=90, steps=4, global_batch_size=25) == pytest.approx(100 / 90)


@pytest.mark.parametrize(("size", "steps"), [(7, 4), (10, 2)])
@pytest.mark.parametrize("cache", ["none", "disk", "memory"])
def test_caches_hold_the_same_rows_in_file_order(tmp_path: Path, cache: str, size: int, steps: int) -> None:
    rows = read_rows(write(tmp_path, [20]), SPEC)
    batches = data.make_batches(rows, 20, size, steps, cache=cache, cache_directory=tmp_path / "cache")
    for _ in range(2):
        numbers = [f["numeric"].numpy()[w.numpy() > 0, 0] for f, _, w in batches.take(steps)]
        assert list(np.concatenate(numbers)) == list(range(1, 21))


@pytest.mark.parametrize(
    ("labels", "task", "expected"),
    [
        ([], "binary", "The eval split has no row with a label"),
        ([1, 1, 1], "binary", "Every label in the eval split is of class 1"),
        ([1, -2, 0], "binary", "labels that are no class"),
    ],
)
def test_a_split_from_which_nothing_can_be_learned(
    tmp_path: Path, labels: list[int], task: str, expected: str
) -> None:
    known = survey(write_labels(tmp_path, [labels], tf.int64), LABELS[tf.int64])
    with pytest.raises(ConfigurationError, match=expected):
        find_task(task).check_labels(known.least, known.greatest, "eval")


def test_two_classes_or_equal_numbers_are_enough(tmp_path: Path) -> None:
    for kind, task, labels in ((tf.int64, "binary", [0, 1]), (tf.float32, "regression", [2.0, 2.0])):
        known = survey(write_labels(tmp_path, [labels], kind), LABELS[kind])
        find_task(task).check_labels(known.least, known.greatest, "eval")


def test_one_pass_finds_what_training_must_know_of_all_rows_with_a_label(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    parts = [random.normal(250_000, 80_000, rows).astype(np.float32) for rows in (3000, 1, 1700)]
    for part in parts:
        part[::7] = np.nan
    files = write_labels(tmp_path, [part.tolist() for part in parts], tf.float32)
    moments, alone = Moments("identity"), MeanPredictor(240_000.0)
    known = survey(files, LABELS[tf.float32], [moments.add, alone.add])
    values = np.concatenate(parts).astype(np.float64)
    values = values[~np.isnan(values)]
    assert known.rows_by_file == tuple(int((~np.isnan(part)).sum()) for part in parts)
    assert (known.least[0], known.greatest[0]) == (values.min(), values.max()) and known.weights is None
    assert moments.scale[:2] == pytest.approx((values.mean(), values.std()), rel=1e-12)
    errors = np.abs(values - 240_000)
    assert alone.metrics == pytest.approx(
        {"mean_absolute_error": errors.mean(), "root_mean_squared_error": np.sqrt((errors**2).mean())}
    )
