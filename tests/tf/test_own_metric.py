"""README's metric of one's own, from one entry in the dataset file through TFMA to the gate on it."""

import sys
from pathlib import Path

import pytest

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
