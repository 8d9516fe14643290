"""README's metric of one's own, from one entry in the dataset file through TFMA to the gate on it."""

import sys
from pathlib import Path

import pytest

from foundation.sections import UserError
from tests.extension import ROOT, readme_files

from .test_champion import Judge

FILE = "my_package/my_module.py"
# Of the 600 scores, won * 0.5 + i % 7 * 0.07, those of 0.92 for a label of 1 and of 0 for a label of 0.
SHARE = sum(i % 7 == (6 if i % 2 else 0) for i in range(600)) / 600


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_package").mkdir()
    (tmp_path / FILE).write_text(readme_files()[FILE])
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("my_package", "my_package.my_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def tables(minimum: str) -> str:
    """README's own lines, with another bound."""
    (lines,) = [
        block for block in (ROOT / "README.md").read_text().split("```") if "toml\n[metrics]" in block
    ]
    assert "min = 0.5" in lines
    return "\n" + lines.removeprefix("toml\n").replace("min = 0.5", f"min = {minimum}")


def test_a_model_that_passes_the_gate_on_a_metric_of_ones_own_is_pushed(own: Path) -> None:
    judge = Judge(own, tables("0.1"))
    blessed, refusals, live = judge(candidate="nowhere", live=None)
    assert blessed and refusals == () and live is not None
    assert judge.verdict.whole.metrics["within_ten_percent"] == pytest.approx(SHARE, abs=1e-6)
    assert 0.1 < SHARE < 0.2 and all("within_ten_percent" in each.metrics for each in judge.verdict.slices)


def test_a_model_that_does_not_is_refused_in_a_sentence(own: Path) -> None:
    blessed, refusals, live = Judge(own, tables("0.5"))(candidate="nowhere", live=None)
    assert not blessed and live is None
    assert refusals == (
        f"within_ten_percent on the whole eval split: {SHARE:.4f}, the gate asks for at least 0.5",
    )


MEAN_OF_A_COLUMN = """
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam import CombineFn


class MeanScore(tfma.metrics.Metric):
    def __init__(self, name="mean_score"):
        super().__init__(make, name=name)


def make(name, model_names):
    keys = [tfma.metrics.MetricKey(name, model_name=model) for model in model_names or [""]]
    read = tfma.metrics.FeaturePreprocessor(feature_keys=["score", "zone"])
    return [tfma.metrics.MetricComputation([key], [read], Mean(key)) for key in keys]


class Mean(CombineFn):
    def __init__(self, key):
        self.key = key

    def create_accumulator(self):
        return np.zeros(2)

    def add_input(self, sums, row):
        assert row["features"]["zone"].tolist()[0] in (b"north", b"south", b"west")
        return sums + [row["features"]["score"][0], 1]

    def merge_accumulators(self, parts):
        return sum(parts)

    def extract_output(self, sums):
        return {self.key: sums[0] / sums[1]}
"""


TRANSFORMED = """

class Transformed(tfma.metrics.Preprocessor):
    include_filter = {"transformed_features": {}}
"""


def test_a_metric_of_ones_own_may_read_raw_columns(own: Path) -> None:
    (own / FILE).write_text(MEAN_OF_A_COLUMN)
    lines = '\n[metrics]\nmean_score = "my_package.my_module.MeanScore"\n'
    judge = Judge(own, lines)
    judge(candidate="nowhere", live=None)
    mean = sum(i % 2 * 0.5 + i % 7 * 0.07 for i in range(600)) / 600
    assert judge.verdict.whole.metrics["mean_score"] == pytest.approx(mean, abs=1e-6)
    assert all("mean_score" in each.metrics for each in judge.verdict.slices)


def test_a_metric_that_reads_what_metrics_are_not_given_is_refused_in_a_sentence(own: Path) -> None:
    changed = MEAN_OF_A_COLUMN.replace(
        'FeaturePreprocessor(feature_keys=["score", "zone"])', "Preprocessor()"
    )
    changed = changed.replace("[read]", "[Transformed()]") + TRANSFORMED
    (own / FILE).write_text(changed)
    judge = Judge(own, '\n[metrics]\nmean_score = "my_package.my_module.MeanScore"\n')
    with pytest.raises(UserError, match="mean_score reads transformed_features: metrics are given labels"):
        judge(candidate="nowhere", live=None)
