"""Judges a model by where in the whole catalogue a user's next basket is, beside what counting would recommend.

The model itself says the ranks, by the code that answers requests: what it masks when it serves it masks here.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.evaluator.ranking import measures
from components.evaluator.ranking.baselines import (
    BASELINES,
    Training,
    describe_baselines,
    gather_training,
    make_baselines,
)
from components.evaluator.ranking.document import Ranking
from components.evaluator.ranking.gating import judge_gates
from components.evaluator.ranking.histories import (
    Histories,
    name_items,
    read_features,
    read_histories,
    targets_of,
)
from components.evaluator.ranking.portrait import (
    draw_coverage,
    draw_popularity,
    draw_samples,
)
from components.evaluator.ranking.ranks import Answer, Split, ask, rank
from components.evaluator.ranking.second_stage import FIRST_STAGE
from components.evaluator.ranking.slices import Part, make_parts
from components.evaluator.request import Request
from components.evaluator.settings import EXAMPLE_COUNT
from components.evaluator.verdict import SliceMetrics, Verdict
from components.example_gen.splits import EVAL, TEST, TRAIN
from foundation.sections import UserError
from trainer_module.log import AVAILABLE, ITEM, ITEMS

_LOG = logging.getLogger(__name__)

_SHOWN = 10
MAIN = "ndcg_10"


@dataclass(frozen=True)
class _Data:
    """What a request is about.

    Attributes:
      request: The request.
      catalogue: pa.binary(): the items by number.
      features: Column of the item table → its values by item.
      available: bool [items]: which may be recommended.
    """

    request: Request
    catalogue: pa.Array
    features: Mapping[str, pa.Array]
    available: NDArray[np.bool_]

    @property
    def masks(self) -> bool:
        """Whether what a user had is neither recommended nor judged."""
        return self.request.log is not None and not self.request.log.repeats

    @cached_property
    def training(self) -> Training:
        """What was learned from."""
        return gather_training(self._histories(TRAIN), len(self.catalogue))

    def read(self, name: str) -> Split:
        """A split that is judged."""
        judged = self._histories(name)
        targets = targets_of(judged)
        if self.masks:
            targets = targets.where(~targets.is_repeat)
        # What may not be recommended is no target, and what nobody knows is a miss.
        targets = targets.where((targets.items < 0) | self.available[targets.items])
        return Split(self.request.files[name], judged, targets)

    def _histories(self, name: str) -> Histories:
        log = self.request.log
        return read_histories(self.request.files[name], self.catalogue, log.events if log else None)

    def parts(self, split: Split) -> Mapping[tuple[tuple[str, str], ...], Part]:
        """Slice → its targets."""
        return make_parts(
            split.judged, split.targets, self.training.counts, self.features, self.request.slices
        )


def evaluate(request: Request) -> Verdict:
    """The verdict on the eval split, with figures of a test split on which nothing is gated."""
    columns = dict.fromkeys(column for slice_columns in request.slices for column in slice_columns)
    says = request.log is not None and bool(request.log.available)
    others = (*([request.item_name] if request.item_name else []), *([AVAILABLE] if says else []))
    features = read_features(request.files[ITEMS], tuple(dict.fromkeys((ITEM, *columns, *others))))
    catalogue = features.pop(ITEM)
    of_items = features.pop(AVAILABLE).to_pylist() if says else ["1"] * len(catalogue)
    data = _Data(request, catalogue, features, np.array([each == "1" for each in of_items], bool))
    split = data.read(EVAL)
    if not len(split.targets.rows):
        raise UserError(
            "Of what the eval split's users took nothing may be recommended, so that there is nothing to judge: bring a longer "
            "eval split, or change [log] repeats or available."
        )
    answer = ask(request.model, split, data.catalogue)
    live = ask(request.live_model, split, data.catalogue) if request.live_model else None
    slices = _measure_slices(data, split, answer, live)
    gates = judge_gates(slices, request)
    return Verdict(
        passed=all(gate.passed is not False for gate in gates),
        main_metric=MAIN,
        slices=slices,
        gates=gates,
        refusals=tuple(sentence for gate in gates for sentence in gate.refusals()),
        more_is_better=True,
        test_metrics=_measure_test(data) if TEST in request.files else {},
        ranking=_portray(data, split, answer, live),
        notes=(describe_baselines(data.training),),
    )


def _measure_slices(
    data: _Data, split: Split, answer: Answer, live: Answer | None
) -> tuple[SliceMetrics, ...]:
    """Each slice's metrics, those of the live model and the baselines beside them."""
    counted = {
        name: rank(score, split, data.masks, data.available)
        for name, score in make_baselines(data.training).items()
    }
    slices = []
    for key, part in data.parts(split).items():
        own = _of_users(part, answer.ranks)
        before = _of_users(part, live.ranks) if live else {}
        beside = {name: _means(part, _of_users(part, ranks)) for name, ranks in counted.items()}
        best = max(beside, key=lambda name: beside[name][MAIN])
        best_value = max(beside[best][MAIN], 1e-9)
        metrics, of_live = _means(part, own), _means(part, before) if before else {}
        for measured, each in ((metrics, answer), (of_live, live)):
            if each:
                measured["lift"] = measured[MAIN] / best_value
                users = np.unique(split.targets.rows[part.targets])
                measured["index_recall"] = float(np.nanmean(each.index_recall[users]))
                if not key:
                    measured.update(_spread(each.recommended, data.training.counts, len(data.catalogue)))
                    measured.update(each.of_candidates)
        if answer.first_stage is not None:
            beside[FIRST_STAGE] = _means(part, _of_users(part, answer.first_stage))
        for name, of_baseline in beside.items():
            metrics |= {
                f"{name}_{metric}": value for metric, value in of_baseline.items() if metric != EXAMPLE_COUNT
            }
        if not key:
            _LOG.info("the best that counting does is %s: %s %.4f", best, MAIN, best_value)
        intervals = {name: measures.mean_interval(values) for name, values in own.items()}
        differences = {name: measures.mean_interval(own[name] - values) for name, values in before.items()}
        slices.append(SliceMetrics(key, metrics, of_live, dict(intervals), dict(differences)))
    return tuple(slices)


def _portray(data: _Data, split: Split, answer: Answer, live: Answer | None) -> Ranking:
    counts, size = data.training.counts, len(data.catalogue)
    names = name_items(data.catalogue, data.features.get(data.request.item_name))
    return Ranking(
        coverage=draw_coverage(answer, size),
        live_coverage=draw_coverage(live, size) if live else (),
        recommended=draw_popularity(answer.recommended[:, :_SHOWN], counts),
        taken=draw_popularity(split.targets.items, counts),
        samples=draw_samples(split, answer, names),
        ceiling=dict(data.request.ceiling),
        baselines=BASELINES if answer.first_stage is None else (*BASELINES, FIRST_STAGE),
    )


def _measure_test(data: _Data) -> dict[str, float]:
    """The candidate's metrics on the whole test split; without baselines, which know nothing of the eval split."""
    split = data.read(TEST)
    if not len(split.targets.rows):
        return {}
    answer = ask(data.request.model, split, data.catalogue)
    part = data.parts(split)[()]
    return _means(part, _of_users(part, answer.ranks)) | _spread(
        answer.recommended, data.training.counts, len(data.catalogue)
    )


def _of_users(part: Part, ranks: NDArray[np.int64]) -> dict[str, measures.Floats]:
    """Metric → its value for each user who has a target of the part."""
    rows, size, chosen = part.rows, part.size, ranks[part.targets]
    return {
        "ndcg_10": measures.ndcg(chosen, rows, size, 10),
        "recall_10": measures.recall(chosen, rows, size, 10),
        "recall_100": measures.recall(chosen, rows, size, 100),
        "reciprocal_rank": measures.reciprocal_rank(chosen, rows, size),
    }


def _means(part: Part, of_users: Mapping[str, measures.Floats]) -> dict[str, float]:
    return {
        EXAMPLE_COUNT: float(part.size),
        **{name: float(values.mean()) for name, values in of_users.items()},
    }


def _spread(recommended: NDArray[np.int64], counts: NDArray[np.int64], items: int) -> dict[str, float]:
    first = recommended[:, :_SHOWN]
    return {
        "coverage_10": measures.coverage(first, items),
        "novelty_10": measures.novelty(first, counts),
    }
