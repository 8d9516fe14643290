"""The first thing a reader sees: what became of the model, and the figures behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluator.verdict import Verdict
from components.run_report.text import duration, number


def decide(
    *,
    status: str,
    error: str | None,
    judged: bool,
    blessed: bool,
    refusals: Sequence[str],
    pushed_version: str | None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """{tone: "good", "warn" or "bad", headline, sentences}.

    Args:
      status: "succeeded" or "failed".
      error: Of a failed run, in a sentence.
      judged: Whether the Evaluator finished.
      blessed: Whether every gate, and the serving check, was passed.
      refusals: A sentence for each gate that was not passed.
      pushed_version: The version that the model is served as, or None.
      notes: More sentences.
    """
    if status != "succeeded":
        tone, headline, first = (
            "bad",
            "The run failed; what is live stays live",
            [error or "No reason is known."],
        )
    elif not judged:
        tone, headline, first = "warn", "No model was judged: the run ended before the Evaluator", []
    elif not blessed:
        tone, headline, first = "bad", "Not blessed: the model was not pushed", list(refusals)
    elif pushed_version is None:
        tone, headline, first = "warn", "Blessed, and not pushed", ["Every gate was passed."]
    else:
        tone, headline = "good", f"Blessed and pushed as version {pushed_version}"
        first = ["Every gate was passed, and the model answered as a server would ask it."]
    return {"tone": tone, "headline": headline, "sentences": [*first, *notes]}


def key_figures(
    verdict: Verdict | None,
    statistics: Mapping[str, Any] | None,
    training: Mapping[str, Any] | None,
    wall_seconds: float | None,
) -> list[dict[str, str]]:
    """The few figures beside the decision: [{name, value, note}]."""
    found = []
    if verdict and verdict.main_metric:
        whole, main = verdict.whole, verdict.main_metric
        value, interval = whole.metrics.get(main), whole.intervals.get(main)
        note = f"95 %: {number(interval[0])} to {number(interval[1])}" if interval else "on the eval split"
        found.append({"name": main, "value": number(value), "note": note})
        if value is not None and main in whole.baseline:
            before = whole.baseline[main]
            found.append(
                {
                    "name": "against the live model",
                    "value": f"{value - before:+.4f}",
                    "note": f"which has {number(before)}",
                }
            )
    if statistics:
        splits = statistics["splits"]
        found.append(
            {
                "name": "rows",
                "value": number(sum(split["rows"] for split in splits)),
                "note": ", ".join(f"{number(split['rows'])} {split['name']}" for split in splits),
            }
        )
    if training and "seconds" in training["facts"]:
        facts = training["facts"]
        found.append(
            {
                "name": "training",
                "value": duration(facts["seconds"]),
                "note": f"{facts.get('epochs', '?')} epochs, {facts.get('replicas', '?')} replica(s)",
            }
        )
    if wall_seconds is not None:
        found.append({"name": "whole run", "value": duration(wall_seconds), "note": "wall time"})
    return found
