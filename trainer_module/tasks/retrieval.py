"""What comes next: of all items, those that a user is likely to take, from what the user did before."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from trainer_module.log import VOCABULARY
from trainer_module.tasks import Task

if TYPE_CHECKING:
    from trainer_module.label import Label


class Retrieval(Task):
    """A ranking of the whole catalogue, judged by where in it a user's next basket is."""

    needs_label = False
    reads_log = True
    has_classes = False
    # A class is an item.
    class_vocabulary = VOCABULARY
    activation = None
    preprocessing = "trainer_module.retrieval.preprocessing.preprocessing_fn"
    learner = "trainer_module.retrieval.learner.RetrievalLearner"
    evaluation = "components.evaluator.ranking.evaluation.evaluate"
    # The Evaluator's function above measures them; classes of TFMA have no part in it.
    metrics: ClassVar = {
        "ndcg_10": "",
        "recall_10": "",
        "recall_100": "",
        "reciprocal_rank": "",
        "coverage_10": "",
        "novelty_10": "",
        "lift": "",
        "index_recall": "",
    }
    shares = ("ndcg_10", "recall_10", "recall_100", "reciprocal_rank", "coverage_10", "index_recall")
    # Nobody needs a model that is no better than counting, or one whose index loses what it knows.
    gates: ClassVar = {"lift": {"min": 1.0}, "index_recall": {"min": 0.99}}
    quality_name = "recall_10"

    def value(self, label: "Label", columns: Mapping[str, Any]) -> Any:
        """None: what is predicted are events."""
        raise NotImplementedError

    def check_labels(self, least: Any, greatest: Any, split: str) -> None:
        """Sequences have no labels."""

    def quality(self, labels: Any, predictions: Any) -> float:
        """The share of `labels`, item numbers [rows], that are among `predictions`, [rows, k]."""
        return float((predictions == labels[:, None]).any(axis=1).mean())
