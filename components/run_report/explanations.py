"""What a page shows of why a model says what it says."""

from markupsafe import Markup

from components.evaluator.explanation import Explanation, Importance
from components.run_report.charts import Point, interval_mark
from components.run_report.text import number

_SHOWN_FEATURES = 30


def axis(explanation: Explanation) -> Point:
    """That of all marks: from 0, or what is below, to the largest end of an interval."""
    low = min((each.low for each in explanation.importances), default=0.0)
    high = max((each.high for each in explanation.importances), default=0.0)
    return (min(low, 0.0), high) if high > min(low, 0.0) else (0.0, 1.0)


def mark(explanation: Explanation, each: Importance) -> Markup:
    """A feature's increase and its interval."""
    name = f"{each.feature}: {number(each.increase)}, 95 % interval {number(each.low)} to {number(each.high)}"
    return interval_mark(name, axis(explanation), each.increase, (each.low, each.high), None)


def features(explanation: Explanation) -> list[str]:
    """Those that the largest errors are shown with: the most important first, at most 30."""
    known = {name for row in explanation.erring for name in row.values}
    return [each.feature for each in explanation.importances if each.feature in known][:_SHOWN_FEATURES]
