"""The report's parts that need no TensorFlow: reading, arithmetic, charts, and a page for anything."""

import dataclasses
import json
import re
import subprocess
import sys
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from components.data_gate.distance import Distance
from components.evaluator.intervals import Scores, area_under_curve, confusion, intervals, wilson
from components.evaluator.ranking.document import Ranking, Sample
from components.evaluator.verdict import SliceMetrics, Verdict
from components.run_report import charts, diagram, rendering
from components.run_report.anomalies import Anomaly, read_anomalies, read_drift
from components.run_report.decision import Decision, Outcome, decide
from components.run_report.document import Header, Report, Reproduction
from components.run_report.lineage import Box, Lineage, make_box
from components.run_report.statistics import FrequentValue, Split, Statistics, read_statistics
from components.run_report.text import clean, duration, number, percent
from components.run_report.training import Training, TrainingCurve, read_training
from pipeline.config import ROOT, load
from pipeline.runs.reproduction import settings_of

HOSTILE = [
    "<script>alert(1)</script>",
    "</style></svg><img src=x onerror=alert(2)>",
    '" onmouseover="alert(3)',
    "{{ 7013 * 7019 }}{% raw %}",
    "\u202egnp.exe\u202c \u2067right\u2069",
    "a" + "\u0301" * 500,
    "null\0byte \x1b[31mred\x1b[0m",
    "lone \ud800 surrogate",
    "x" * 1_000_000,
    "مرحبا العالم",
]


class Elements(HTMLParser):
    """Names and attributes of a page's elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attributes


def document(**sections: Any) -> Report:
    """A report of which nothing was read but `sections`."""
    return Report(Header("taxi: run 1", "2026", "end", 3.0), Decision("bad", "h"), **sections)


def write_statistics(directory: Path, split: str, values: list[str]) -> None:
    table = statistics_pb2.DatasetFeatureStatistics(num_examples=100)
    numeric = table.features.add(name="fare", type=statistics_pb2.FeatureNameStatistics.FLOAT)
    numeric.num_stats.mean, numeric.num_stats.max, numeric.num_stats.median = 5.0, 10.0, 5.0
    numeric.num_stats.common_stats.num_non_missing = 100
    numeric.num_stats.common_stats.max_num_values = 1
    numeric.num_stats.common_stats.tot_num_values = 75
    histogram = numeric.num_stats.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    for i in range(10):
        histogram.buckets.add(low_value=i, high_value=i + 1, sample_count=10)
    days = table.features.add(name="day", type=statistics_pb2.FeatureNameStatistics.INT)
    histogram = days.num_stats.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    for i in range(10):
        # TFDV's ten buckets between 1 and 7: every whole number lies in one of them.
        low, high = 1 + 0.6 * i, 1.6 + 0.6 * i
        count = sum(low <= day < high or day == 7 == round(high, 6) for day in range(1, 8))
        histogram.buckets.add(low_value=low, high_value=high, sample_count=float(count))
    text = table.features.add(name=values[0], type=statistics_pb2.FeatureNameStatistics.STRING)
    text.string_stats.common_stats.num_non_missing = 100
    text.string_stats.unique = len(values)
    for value in values:
        text.string_stats.top_values.add(value=value, frequency=100 / len(values))
    path = directory / f"Split-{split}" / "FeatureStats.pb"
    path.parent.mkdir(parents=True)
    path.write_bytes(statistics_pb2.DatasetFeatureStatisticsList(datasets=[table]).SerializeToString())


def test_statistics_of_every_split_are_read_feature_by_feature(tmp_path: Path) -> None:
    write_statistics(tmp_path, "eval", ["cash", "card"])
    write_statistics(tmp_path, "train", ["cash", "card"])
    read = read_statistics(tmp_path)
    assert read.splits == tuple(Split(name, 100, 0.5) for name in ("train", "eval"))
    text, day, fare = read.features
    assert text.values[1] == FrequentValue("card", {"train": 0.5, "eval": 0.5})
    assert fare.splits["train"].missing == 0.25
    assert fare.bins is not None and day.bins is not None
    assert fare.bins.edges == tuple(range(11))
    assert fare.bins.shares["eval"] == pytest.approx([0.1] * 10)
    assert day.bins.edges == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5)
    assert day.bins.shares["train"] == pytest.approx([1 / 7] * 7)


def test_anomalies_name_the_split_the_feature_and_the_severity(tmp_path: Path) -> None:
    anomalies = anomalies_pb2.Anomalies()
    entry = anomalies.anomaly_info["fare"]
    entry.short_description, entry.severity = "Column dropped", anomalies_pb2.AnomalyInfo.ERROR
    (tmp_path / "Split-eval").mkdir()
    (tmp_path / "Split-eval" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
    (found,) = read_anomalies(tmp_path)
    assert (found.split, found.feature, found.severity) == ("eval", "fare", "error")
    with pytest.raises(FileNotFoundError, match="no anomalies"):
        read_anomalies(tmp_path / "nowhere")


def test_what_drifted_comes_first_then_what_is_nearest_to_its_threshold(tmp_path: Path) -> None:
    measured = [
        {"feature": "calm", "metric": "js", "distance": 0.01, "threshold": 0.1, "against": "previous"},
        {"feature": "near", "metric": "js", "distance": 0.09, "threshold": 0.1, "against": "previous"},
        {"feature": "far", "metric": "linf", "distance": 0.5, "threshold": 0.1, "against": "serving"},
        {"feature": "(label)"},
    ]
    (tmp_path / "report.json").write_text(json.dumps({"span": 3, "drift": measured}))
    found = read_drift(tmp_path)
    assert [row.feature for row in found] == ["far", "near", "calm"], (
        "a gate of another version left no number"
    )
    page = rendering.render(
        document(
            statistics=Statistics((Split("train", 1, 1.0),), (), 0),
            drift=found,
        )
    )
    assert "1 of 3" in page and "above their thresholds" in page


def test_a_trainings_curves_are_told_from_its_rates(tmp_path: Path) -> None:
    history = {"loss": [2.0, 1.0], "val_loss": [3.0, 2.0], "learning_rate": [0.1, 0.1]}
    (tmp_path / "training.json").write_text(json.dumps({"strategy": "none", "history": history}))
    read = read_training(tmp_path)
    assert read.curves == (TrainingCurve("loss", (2.0, 1.0), (3.0, 2.0)),)
    assert read.rates == {"learning_rate": (0.1, 0.1)} and read.facts == {"strategy": "none"}


def scores_of(labels: np.ndarray, predictions: np.ndarray, buckets: int = 500) -> Scores:
    index = np.minimum((predictions * buckets).astype(int), buckets - 1)
    positives = np.bincount(index[labels], minlength=buckets).astype(float)
    negatives = np.bincount(index[~labels], minlength=buckets).astype(float)
    return Scores(np.arange(buckets) / buckets, positives, negatives, np.zeros(buckets))


def test_the_area_from_buckets_is_the_share_of_pairs_in_the_right_order() -> None:
    generator = np.random.default_rng(1)
    labels = generator.random(2000) < 0.3
    predictions = np.clip(generator.normal(0.4 + 0.2 * labels, 0.15), 0, 0.999)
    scores = scores_of(labels, predictions)
    pairs = predictions[labels][:, None] > predictions[~labels][None, :]
    assert float(area_under_curve(scores.positives, scores.negatives)) == pytest.approx(
        pairs.mean(), abs=1e-3
    )


def test_intervals_are_as_wide_as_those_of_fresh_samples() -> None:
    """The bootstrap's width against that of the metric over fresh draws from the same population."""
    generator = np.random.default_rng(2)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        labels = generator.random(1500) < 0.3
        return labels, np.clip(generator.normal(0.4 + 0.2 * labels, 0.15), 0, 0.999)

    fresh = [scores_of(*draw()) for _ in range(300)]
    areas = [float(area_under_curve(s.positives, s.negatives)) for s in fresh]
    wide = np.percentile(areas, 97.5) - np.percentile(areas, 2.5)
    low, high = intervals(fresh[0], 0.5)["auc"]
    assert high - low == pytest.approx(wide, rel=0.25)
    assert low < areas[0] < high
    accuracies = intervals(fresh[0], 0.5)["binary_accuracy"]
    counts = confusion(fresh[0], 0.5)
    accuracy = (counts["true_positives"] + counts["true_negatives"]) / 1500
    assert accuracies == pytest.approx(wilson(accuracy, 1500), abs=0.006)


def test_a_slice_with_too_few_of_a_class_has_no_interval() -> None:
    labels = np.array([True, True, False, False, False, False])
    assert intervals(scores_of(labels, np.linspace(0, 0.9, 6)), 0.5) == {}


@pytest.mark.parametrize(
    ("case", "tone", "words"),
    [
        ({"failed": True, "error": "Transform: no"}, "bad", "failed"),
        ({"verdict": None}, "warn", "No model was judged"),
        ({"blessed": False}, "bad", "Not blessed"),
        ({"pushed_version": None}, "warn", "not pushed"),
        ({}, "good", "version 7"),
    ],
)
def test_the_decision_is_one_of_five(case: dict[str, Any], tone: str, words: str) -> None:
    outcome = {"blessed": True, "pushed_version": "7", "verdict": Verdict(True), **case}
    verdict = outcome.pop("verdict")
    decided = decide(Outcome(**outcome), verdict)
    assert decided.tone == tone and words in decided.headline


def test_hostile_texts_are_inert_wherever_they_stand(tmp_path: Path) -> None:
    # A protocol buffer holds no surrogate; a log or a JSON file may.
    write_statistics(tmp_path, "train", [text for text in HOSTILE if "\ud800" not in text])
    facts = dict.fromkeys(
        (
            "strategy",
            "strategy_reason",
            "replicas",
            "batch_size_per_replica",
            "precision",
            "precision_reason",
            "global_batch_size",
            "epochs",
            "steps",
        ),
        HOSTILE[0],
    )
    page = rendering.render(
        document(
            statistics=read_statistics(tmp_path),
            anomalies=tuple(Anomaly(t, t, "error", t, t) for t in HOSTILE),
            evaluation=Verdict(False, "auc", (SliceMetrics((), {"auc": 0.5}), *(SliceMetrics(((t, t),), {"auc": 0.5, "example_count": 9.0}) for t in HOSTILE)), ranking=hostile_ranking()),
            drift=tuple(Distance(t, t, 1.0, 0.1, t, t, split=t) for t in HOSTILE),
            training=Training({**facts, "seconds": 1.0}, tuple(TrainingCurve(t, (1.0, 2.0)) for t in HOSTILE), {}),
            lineage=Lineage(tuple(Box(t, t, (t,)) for t in HOSTILE), (), ""),
            reproduction=Reproduction(tuple(HOSTILE), tuple((t, t) for t in HOSTILE), tuple(HOSTILE)),
        )
    )  # fmt: skip
    elements = Elements(page)
    assert not {"script", "img", "iframe"} & set(elements.names)
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\0]", page), "a text can turn the page around"
    assert "{{ 7013 * 7019 }}" in page and str(7013 * 7019) not in page
    assert len(page.encode()) < 300_000, "a value of a megabyte is clipped"
    assert "مرحبا العالم" in page


def hostile_ranking() -> Ranking:
    """As an item table's names and a log's users can be."""
    return Ranking(samples=tuple(Sample(t, (t,), (t,), (t,), (True,)) for t in HOSTILE))


def test_a_recommenders_page_shows_baselines_ceiling_curves_and_users_by_name() -> None:
    metrics = {
        "ndcg_10": 0.2,
        "example_count": 50.0,
        "popularity_ndcg_10": 0.05,
        "ease_ndcg_10": 0.16,
        "lift": 1.25,
    }
    live, between = {"ndcg_10": 0.19, "lift": 1.2}, {"ndcg_10": (0.004, 0.016)}
    ranking = Ranking(
        coverage=((1.0, 0.1), (10.0, 0.4)), live_coverage=((1.0, 0.2), (10.0, 0.3)),
        recommended=((0.0, 0.0), (0.5, 0.9), (1.0, 1.0)), taken=((0.0, 0.0), (1.0, 1.0)),
        samples=(Sample("ann", ("milk", "tea"), ("jam",), ("jam", "ink"), (True, False)), Sample("ben", (), ("ink",))),
        ceiling={"ndcg_10": 0.25}, baselines=("popularity", "ease"),
    )  # fmt: skip
    verdict = Verdict(
        True, "ndcg_10",
        (SliceMetrics((), metrics, live, {"ndcg_10": (0.18, 0.22)}, between), SliceMetrics((("shelf", "tea"),), metrics)),
        more_is_better=True, test_metrics={"ndcg_10": 0.1876}, ranking=ranking,
        notes=("The baseline ease is exact.",),
    )  # fmt: skip
    page = re.sub(
        r"<[^>]*>", " ", re.sub(r"<desc>.*?</desc>", "", rendering.render(document(evaluation=verdict)))
    )
    page = re.sub(r"\s+", " ", page)
    assert "whole eval split 50 0.2000 0.0500 0.1600 1.25" in page and "shelf = tea 50 0.2000" in page
    # Baselines have their table: they are no metrics of the model.
    assert "popularity_ndcg_10" not in page and "The baseline ease is exact." in page
    assert "ndcg_10 0.2000 0.0500 0.2500 80" in page, "80 % of the ceiling"
    assert "+0.0100, +0.0040 to +0.0160 (better)" in page
    assert "On the test split" in page and "0.1876" in page
    assert "ann milk , tea ✓ jam , ink jam" in page and "ben nothing ink" in page
    assert "Poisson" not in page and "user by user" in page
    drawn = rendering.render(document(evaluation=verdict))
    assert 'aria-label="Coverage of the catalogue"' in drawn and "this model: 0.4000 at 10" in drawn


def test_clean_shows_what_is_hidden_and_keeps_what_is_read() -> None:
    assert clean("a\u202eb\0") == "a\\u202eb\\u0000"
    assert clean("\x1b[1;31mred\x1b[0m") == "red"
    assert clean("x" * 50, 10) == "x" * 10 + "…"
    assert len([c for c in clean("e" + "\u0301" * 99) if unicodedata.combining(c)]) == 4
    assert clean("Zürich 東京 👩\n") == "Zürich 東京 👩\n"


def test_a_page_without_anything_read_says_why_section_by_section() -> None:
    page = rendering.render(document(missing={"training": "Trainer did not run in this run."}))
    assert "Trainer did not run in this run." in page
    assert Elements(page).names.count("section") == 7


def test_every_chart_has_a_name_and_survives_what_data_can_be() -> None:
    flat = charts.line_chart("flat", "d", [charts.Series("s", [(1, 0.002), (2, 0.002)])], "x", "y")
    broken = charts.line_chart("nan", "d", [charts.Series("s", [(1, float("nan")), (2, 5.0)])], "x", "y")
    assert charts.line_chart("none", "d", [charts.Series("s", [])], "x", "y") == ""
    for chart in (flat, broken):
        assert 'role="img"' in chart and "aria-label" in chart and "nan" not in chart.replace('"nan"', "")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1, 6, [1, 2, 3, 4, 5, 6]), (0, 2e5, [0, 5e4, 1e5, 1.5e5, 2e5])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert charts.ticks(low, high, 6) == pytest.approx(expected)


def test_the_lineage_leaves_out_what_other_arrows_say_and_bridges_hidden_steps() -> None:
    edges = [("data", "statistics"), ("statistics", "schema"), ("schema", "model"), ("data", "model")]
    kept = diagram.reduce(diagram.contract(edges, ["data", "schema", "model"]))
    assert sorted(kept) == [("data", "schema"), ("schema", "model")]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (number(15002), "15,002"), (number(0.94412), "0.9441"), (number(None), "–"), (number(float("nan")), "–"),
        (percent(0.331), "33.1\u00a0%"), (percent(0.0004), "<\u00a00.1\u00a0%"), (percent(1.0), "100\u00a0%"),
        (duration(0.02), "0.02 s"), (duration(200), "3 min 20 s"), (duration(7500), "2 h 5 min"),
    ],
)  # fmt: skip
def test_figures_read_as_a_person_writes_them(shown: str, expected: str) -> None:
    assert shown == expected


def test_rendering_needs_no_tensorflow() -> None:
    code = (
        "import sys; from components.run_report import rendering, document\n"
        "sys.exit(', '.join({'tensorflow', 'tfx', 'apache_beam'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_reproduce_lists_every_setting_of_every_section() -> None:
    """Sections that the configuration gets later are in it by themselves, or this test asks about them."""
    loaded = load(
        "taxi",
        "laptop",
        [
            "window.spans=7",
            "retention.spans=20",
            "drift.label_shift=0.25",
            "metrics.hinge=tf_keras.metrics.Hinge",
        ],
    )
    lines = settings_of(loaded)
    assert {"window.spans = 7", "retention.spans = 20", "drift.label_shift = 0.25"} <= set(lines)
    assert 'metrics.hinge = "tf_keras.metrics.Hinge"' in lines
    expected = {
        (section.name, setting.name)
        for section in dataclasses.fields(loaded)
        if dataclasses.is_dataclass(value := getattr(loaded, section.name)) and section.name != "settings"
        for setting in dataclasses.fields(value)
        if getattr(value, setting.name) is not None
    }
    given = {tuple(line.split(" = ")[0].split(".", 1)) for line in lines}
    learner = {section for section, _ in given} & {"label", "features", "model", "training"}
    assert expected - given == {("notify", f.name) for f in dataclasses.fields(loaded.notify)} & expected
    assert len(learner) == 4 and ("gates", "auc") in given


def test_the_datas_box_says_which_spans_and_which_content(tmp_path: Path) -> None:
    table = make_box("ExampleGen", tmp_path, {"input_fingerprint": "0123456789abcdef", "span": 0})
    assert table.lines == ("content 0123456789ab",)
    (tmp_path / "window.json").write_text(json.dumps({"window": ["2026-01-01", "2026-01-02"]}))
    spans = make_box("ExampleGen", tmp_path, {"input_fingerprint": "0123456789abcdef", "span": 2})
    assert spans.lines == ("2 span(s), 2026-01-01 to 2026-01-02", "content 0123456789ab")
