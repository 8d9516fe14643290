"""The verdict on a ranking, from a split's files to what TFMA shows of it: by value, of ranks that are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.evaluator.ranking import evaluation
from components.evaluator.ranking.ranks import Answer, Split
from components.evaluator.request import Request
from components.evaluator.tfma_files import write_evaluation
from components.evaluator.verdict import Gate, SliceMetrics, Verdict, read_verdict, write_verdict
from trainer_module.log import BASKET, FIRST_TARGET, ITEM, TIME, USER, Log

USERS, ITEMS = 40, 30
SHELVES, BRANDS = ("tea", "jam", "ink"), ("own", "other")


def example(**features: Any) -> bytes:
    made = tf.train.Example()
    for name, values in features.items():
        feature = made.features.feature[name]
        kind = feature.bytes_list if isinstance(values[0], bytes) else feature.int64_list
        kind.value.extend(values)
    return bytes(made.SerializeToString())


def sequence(user: int, items: list[int], first_target: int) -> bytes:
    """A user's items, each a basket of its own but for the targets, which are one."""
    places = [min(place, first_target) if first_target else place for place in range(len(items))]
    return example(**{
        USER: [b"u%d" % user], ITEM: [b"i%d" % item for item in items], TIME: places, BASKET: places,
        FIRST_TARGET: [first_target],
    })  # fmt: skip


def write(path: Path, records: list[bytes]) -> list[str]:
    with tf.io.TFRecordWriter(str(path), "GZIP") as file:
        for record in records:
            file.write(record)
    return [str(path)]


@dataclass(frozen=True)
class Judged:
    """A verdict, the ranks that it is of, and where TFMA's files are."""

    verdict: Verdict
    ranks: Mapping[str, np.ndarray]
    directory: Path

    def slice(self, *key: tuple[str, str]) -> SliceMetrics:
        (found,) = [each for each in self.verdict.slices if each.slice == key]
        return found


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Of two targets a user, which the candidate and the live model rank at random, the candidate better."""
    directory = tmp_path_factory.mktemp("ranking")
    random = np.random.default_rng(5)
    histories = [[int(item) for item in random.choice(20, 6)] for _ in range(USERS)]
    splits = {
        name: write(directory / name, [
            sequence(user, [*histories[user], *new.tolist()], 6)
            for user, new in enumerate(random.permuted(np.tile(np.arange(ITEMS), (count, 1)), axis=1)[:, :2])
        ])
        for name, count in (("eval", USERS), ("test", USERS // 2))
    }  # fmt: skip
    splits["train"] = write(
        directory / "train", [sequence(user, histories[user], 0) for user in range(USERS)]
    )
    splits["items"] = write(directory / "items", [
        example(**{
            ITEM: [b"i%d" % item], "shelf": [SHELVES[item % 3].encode()], "brand": [BRANDS[item % 2].encode()],
        })
        for item in range(ITEMS)
    ])  # fmt: skip
    ranks = {
        "candidate": random.integers(1, 12, 2 * USERS), "live": random.integers(1, 20, 2 * USERS),
        "test": random.integers(1, 25, USERS),
    }  # fmt: skip

    def ask(model: str, split: Split, catalogue: Any) -> Answer:
        found = ranks["test" if len(split.judged) < USERS else model]
        users = len(split.judged)
        # The candidate has an index that misses every tenth item of every second user.
        share = np.where(np.arange(users) % 2, 0.9 if model == "candidate" else 1.0, 1.0)
        return Answer(found, np.tile(np.arange(20), (users, 1)), share.astype(np.float32))

    request = Request(
        "candidate", "live", splits, Log(user="u", item="i", time="t"),
        slices=[("shelf",), ("shelf", "brand")],
        gates=[
            Gate("ndcg_10", (), minimum=-0.01, is_change=True), Gate("recall_10", ("shelf", "brand"), 0.999),
            Gate("index_recall", (), 0.99),
        ],
        min_slice_rows=1, item_name="shelf", ceiling={"recall_10": 0.5},
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "ask", ask)
        verdict = evaluation.evaluate(request)
    write_verdict(verdict, directory)
    columns = [tfma.SlicingSpec(feature_keys=keys) for keys in ([], ["shelf"], ["shelf", "brand"])]
    write_evaluation(verdict, tfma.EvalConfig(slicing_specs=columns), directory)
    return Judged(verdict, ranks, directory)


def test_an_index_that_loses_items_is_refused_by_name(judged: Judged) -> None:
    whole = judged.verdict.whole
    assert whole.metrics["index_recall"] == pytest.approx(0.95) and whole.baseline["index_recall"] == 1
    assert not judged.verdict.passed
    assert any(
        refusal.startswith("index_recall on the whole eval split: 0.95")
        for refusal in judged.verdict.refusals
    )


def ndcg(ranks: np.ndarray) -> np.ndarray:
    """[users]: of two targets each."""
    gains = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0).reshape(-1, 2).sum(axis=1)
    return gains / (1 + 1 / np.log2(3))


def test_the_document_is_the_same_after_its_file(judged: Judged) -> None:
    assert read_verdict(judged.directory) == judged.verdict


def test_models_are_compared_user_by_user(judged: Judged) -> None:
    """The interval of the difference, and not the difference of intervals."""
    mine, live = (ndcg(judged.ranks[model]) for model in ("candidate", "live"))
    difference = mine - live
    error = 1.96 * difference.std(ddof=1) / np.sqrt(USERS)
    whole = judged.verdict.whole
    assert whole.metrics["ndcg_10"] == pytest.approx(mine.mean(), abs=1e-12)
    assert whole.baseline["ndcg_10"] == pytest.approx(live.mean(), abs=1e-12)
    assert whole.differences["ndcg_10"] == pytest.approx(
        (difference.mean() - error, difference.mean() + error), abs=1e-12
    )
    gate = judged.verdict.gates[0]
    assert gate.is_change and gate.passed and gate.value == pytest.approx(difference.mean())


def test_users_are_shown_by_the_names_of_their_items(judged: Judged) -> None:
    ranking = judged.verdict.ranking
    assert ranking is not None and len(ranking.samples) == 10
    first = ranking.samples[0]
    assert first.user == "u0" and len(first.history) == 6 and len(first.taken) == 2
    # The column that [evaluation] item_name names, and the identifier.
    assert first.recommended[:2] == ("tea (i0)", "jam (i1)")
    assert first.hits == tuple(item in first.taken for item in first.recommended)
    assert ranking.ceiling == {"recall_10": 0.5}


def test_coverage_and_popularity_are_drawn_from_what_is_recommended(judged: Judged) -> None:
    ranking = judged.verdict.ranking
    assert ranking is not None
    # Everybody is shown items 0 to 19, in this order, of 30.
    assert ranking.coverage == tuple((float(k), pytest.approx(k / ITEMS)) for k in (1, 2, 3, 5, 10, 20))
    assert ranking.recommended[-1] == (1.0, 1.0) and ranking.taken[-1] == (1.0, 1.0)
    # Training has the items 0 to 19 alone; users take every item.
    shares = dict(ranking.recommended)
    assert next(share for place, share in ranking.taken if place > 0.6) < 0.9
    assert next(share for place, share in shares.items() if place >= 2 / 3 - 1e-9) == pytest.approx(1.0)


def test_a_test_split_is_measured_and_gates_do_not_ask_about_it(judged: Judged) -> None:
    found = judged.verdict.test_metrics
    assert found["example_count"] == USERS // 2
    assert found["ndcg_10"] == pytest.approx(ndcg(judged.ranks["test"]).mean(), abs=1e-12)
    assert found["coverage_10"] == pytest.approx(10 / ITEMS)
    assert found["ndcg_10"] != judged.verdict.whole.metrics["ndcg_10"]


def test_a_slice_of_two_columns_is_of_their_combinations(judged: Judged) -> None:
    by_both = {each.slice for each in judged.verdict.slices if len(each.slice) == 2}
    assert by_both == {(("shelf", shelf), ("brand", brand)) for shelf in SHELVES for brand in BRANDS}
    by_shelf = [each for each in judged.verdict.slices if each.slice and each.slice[0][0] == "shelf"]
    assert len(by_shelf) == 3 + 6 and not any(
        key == (("brand", brand),)
        for brand in BRANDS
        for key in [each.slice for each in judged.verdict.slices]
    )
    gate = judged.verdict.gates[1]
    assert gate.slices == 6 and gate.passed is False
    assert "recall_10 on shelf = tea and brand = own" in " ".join(judged.verdict.refusals)


def test_tfma_shows_what_was_measured(judged: Judged) -> None:
    for model, of_slice in (("candidate", "metrics"), ("baseline", "baseline")):
        result = tfma.load_eval_result(str(judged.directory), model_name=model)
        shown = {key: values[""][""] for key, values in result.slicing_metrics}
        assert set(shown) == {each.slice for each in judged.verdict.slices}
        for each in judged.verdict.slices:
            for metric, value in getattr(each, of_slice).items():
                found = shown[each.slice][metric]
                number = found.get("doubleValue", found.get("boundedValue", {}).get("value"))
                assert number == pytest.approx(value, abs=1e-6)
    whole = {key: values for key, values in result.slicing_metrics}[()]
    assert whole[""][""]["ndcg_10"]["doubleValue"] == pytest.approx(
        ndcg(judged.ranks["live"]).mean(), abs=1e-6
    )
    validation = tfma.load_validation_result(str(judged.directory))
    assert validation.validation_ok is judged.verdict.passed is False
    assert {each.failures[0].metric_key.name for each in validation.metric_validations_per_slice} == {
        "recall_10", "index_recall"
    }  # fmt: skip
