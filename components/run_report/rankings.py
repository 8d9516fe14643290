"""What a recommender's report shows besides its metrics."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from components.evaluator.ranking.document import Ranking, Sample
from components.evaluator.verdict import SliceMetrics, Verdict
from components.run_report.charts import Series, line_chart
from components.run_report.text import percent


@dataclass(frozen=True)
class Share:
    """A metric beside the most that any model can have."""

    metric: str
    value: float
    ceiling: float
    share: float
    popularity: float | None
    """What recommending the most popular items has."""


def own_metrics(whole: SliceMetrics, ranking: Ranking | None) -> dict[str, float]:
    """The model's metrics on the whole eval split, without those of a recommender's baselines, which have a table."""
    if ranking is None:
        return whole.metrics
    theirs = tuple(f"{name}_" for name in ranking.baselines)
    return {name: value for name, value in whole.metrics.items() if not name.startswith(theirs)}


def shares_of_ceiling(verdict: Verdict) -> list[Share]:
    """The metrics whose ceiling is known."""
    metrics, ceiling = verdict.whole.metrics, verdict.ranking.ceiling if verdict.ranking else {}
    return [
        Share(name, metrics[name], highest, metrics[name] / highest, metrics.get(f"popularity_{name}"))
        for name, highest in ceiling.items()
        if name in metrics and highest > 0
    ]


def coverage(ranking: Ranking) -> Markup:
    """How much of the catalogue is recommended to anybody, by how many are recommended to each."""
    ends = percent(ranking.coverage[-1][1]) if ranking.coverage else "nothing"
    series = [Series("live model", ranking.live_coverage, "b"), Series("this model", ranking.coverage, "a")]
    return line_chart(
        "Coverage of the catalogue",
        f"The share of the catalogue that anybody's first items have; of the longest lists {ends}.",
        [each for each in series if each.points],
        "items recommended to each user",
        "share of the catalogue",
    )


def popularity(ranking: Ranking) -> Markup:
    """How much of what is recommended, and of what was taken, the most popular items are."""
    return line_chart(
        "What is recommended, by popularity",
        "The share of recommendations, and of what users took, that the most popular part of the catalogue is; "
        "on the diagonal all items are alike.",
        [Series("taken", ranking.taken, "b"), Series("recommended", ranking.recommended, "a")],
        "share of the catalogue, the most popular first",
        "share of the lists",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
        diagonal=True,
    )


def marked(sample: Sample) -> Iterator[tuple[str, bool]]:
    """Each item that is recommended to a user, and whether the user took it."""
    yield from zip(sample.recommended, sample.hits)
