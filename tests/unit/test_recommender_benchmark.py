"""The comparison of recommenders: what other libraries are given, and that they are measured as this pipeline is."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.recommenders.ranking import histories, measure
from benchmarks.recommenders.split import Split, read_split, write_split


@pytest.fixture
def split() -> Split:
    """Three queries: of user 0 and of user 1, who had three items and one, and of one whom training has not."""
    return Split(
        users=np.array([0, 0, 0, 1]), items=np.array([1, 2, 3, 2]), judged=np.array([0, 1, -1]),
        context_rows=np.array([0, 0, 0, 1]), context_items=np.array([1, 2, 3, 2]),
        target_rows=np.array([0, 0, 1, 2]), target_items=np.array([4, 0, 3, -1]), shape=np.array([2, 5]),
    )  # fmt: skip


def test_a_split_is_the_same_after_its_file(split: Split, tmp_path: Path) -> None:
    write_split(split, tmp_path / "there" / "split.npz")
    for name, values in vars(read_split(tmp_path / "there" / "split.npz")).items():
        np.testing.assert_array_equal(values, getattr(split, name))


def test_histories_are_the_latest_items_of_each_query_and_of_no_other(split: Split) -> None:
    assert histories(split, 2).tolist() == [[2, 3], [-1, 2], [-1, -1]]


def test_others_are_measured_over_the_whole_catalogue(split: Split) -> None:
    scores = np.array([[4, 3, 2, 1, 5], [1, 2, 3, 9, 4], [0, 0, 0, 0, 0]], np.float32)
    found = measure(split, lambda queries: scores[queries])
    # Both targets of the first come first, that of the second does, and nobody can recommend that of the third.
    assert found["ndcg_10"] == pytest.approx(2 / 3) and found["recall_10"] == pytest.approx(2 / 3)
    worst = measure(split, lambda queries: np.zeros((len(queries), 5), np.float32))
    assert worst["ndcg_10"] < 0.5, "ties count against what is asked for"
