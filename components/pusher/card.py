"""The model card that lies beside a pushed version: what it is for, what it was made of, how good it is, where it is not.

As Mitchell et al., "Model Cards for Model Reporting" (2019), ask for: what only people know is the ``[card]`` of the
dataset file, and the rest is the run's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import jinja2

from components.evaluator.explanation import Explanation
from components.evaluator.verdict import SliceMetrics, Verdict, describe
from components.pusher.settings import MOST_CHARACTERS, Card
from components.run_report.text import clean, number
from trainer_module.settings import Settings

MARKDOWN, PAGE = Path("assets.extra", "model_card.md"), Path("assets.extra", "model_card.html")
"""Where a version has it; a server reads neither."""

_SLICES, _FEATURES = 50, 20
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A part of a card: sentences, and a table, whose first row is its head."""

    title: str
    sentences: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Made:
    """What a run knows of the model.

    Attributes:
      name: The pipeline's.
      settings: What the model was built from; None for a model that does not say.
      verdict: The evaluation's; None where nothing was evaluated.
      explanation: None where nothing was explained.
      spans: Names of the spans that it was made of; empty for a table without.
      code: Fingerprint of the learner's code.
    """

    name: str
    settings: Settings | None
    verdict: Verdict | None
    explanation: Explanation | None = None
    spans: tuple[str, ...] = ()
    code: str = ""
    pushed: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


def render(stated: Card, made: Made) -> dict[Path, str]:
    """The card by where it is to lie in the version: as Markdown and as a page."""
    sections = [each for each in _sections(stated, made) if each.sentences or each.rows]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: clean(value, MOST_CHARACTERS) if isinstance(value, str) else value,
    )
    environment.filters["cell"] = _cell
    given = {"title": f"Model card: {made.name}", "sections": sections}
    return {path: environment.get_template(f"{path.name}.jinja").render(given) for path in (MARKDOWN, PAGE)}


def _cell(text: str) -> str:
    """A text as a table of Markdown may hold it."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return escaped.replace("`", "\\`")


def _sections(stated: Card, made: Made) -> Iterator[Section]:
    texts = {name: (value,) if value else () for name, value in asdict(stated).items()}
    yield Section("Intended use", texts["intended_use"])
    yield Section("Not intended for", texts["out_of_scope"])
    yield Section("Model", rows=tuple(_model(stated, made)))
    yield Section("Data", texts["data"], tuple(_data(made)))
    if made.verdict:
        yield from _evaluation(made.verdict)
    if explained := made.explanation:
        rows = ((each.feature, number(each.increase)) for each in explained.importances[:_FEATURES])
        yield Section(
            "What it needs",
            (
                f"By how much the {explained.loss} of {explained.rows} rows, {number(explained.mean_loss)} on average, grows "
                "where a feature's values are exchanged between the rows.",
            ),
            (("feature", "increase"), *rows),
        )
    yield Section("Limits", (*texts["limits"], *_limits(made.verdict)))


def _model(stated: Card, made: Made) -> Iterator[tuple[str, ...]]:
    yield "what", "value"
    if made.settings:
        label = made.settings.label
        yield "task", label.task
        said = label.expression or label.column
        yield from [("label", said)] if said else []
        yield from (("head", head) for head in label.rules.heads)
        yield "network", made.settings.model.kind
        yield "features", ", ".join(feature.name for feature in made.settings.features)
    yield "pushed", made.pushed.isoformat(timespec="seconds")
    yield from [("code", made.code)] if made.code else []
    yield from [("owner", stated.owner)] if stated.owner else []
    yield from [("license", stated.license)] if stated.license else []


def _data(made: Made) -> Iterator[tuple[str, ...]]:
    rows = made.verdict.whole.metrics.get("example_count") if made.verdict else None
    if not made.spans and rows is None:
        return
    yield "what", "value"
    if made.spans:
        first, last = made.spans[0], made.spans[-1]
        yield "spans", first if first == last else f"{first} to {last}, {len(made.spans)} of them"
    if rows is not None:
        yield "rows judged", number(rows)


def _evaluation(verdict: Verdict) -> Iterator[Section]:
    has_live = bool(verdict.whole.baseline)
    head = ("metric", "this model", "95 %", *(["live model before"] if has_live else []))
    rows = [
        (
            name,
            number(value),
            _interval(verdict.whole, name),
            *([number(verdict.whole.baseline.get(name))] if has_live else []),
        )
        for name, value in verdict.whole.metrics.items()
    ]
    yield Section("Metrics on the eval split", rows=(head, *rows))
    gates = [
        (gate.metric, gate.where, gate.asked, "–" if gate.value is None else number(gate.value))
        for gate in verdict.gates
    ]
    if gates:
        yield Section("Gates that it passed", rows=(("metric", "where", "asked", "found"), *gates))
    main = verdict.main_metric
    slices = [each for each in verdict.slices if each.slice and main in each.metrics][:_SLICES]
    if slices:
        rows = [
            (
                describe(each.slice),
                number(each.metrics.get("example_count")),
                number(each.metrics[main]),
                _interval(each, main),
            )
            for each in slices
        ]
        yield Section("Slices", rows=(("slice", "rows", main, "95 %"), *rows))


def _limits(verdict: Verdict | None) -> Iterator[str]:
    """What the evaluation itself says."""
    if not verdict:
        yield "Nothing was evaluated."
        return
    main, more_is_better = verdict.main_metric, verdict.more_is_better
    judged = [each for each in verdict.slices if each.slice and main in each.intervals]
    if judged and more_is_better is not None:
        worst = (min if more_is_better else max)(judged, key=lambda each: each.metrics[main])
        yield f"It is worst on {describe(worst.slice)}: {main} {number(worst.metrics[main])} ({_interval(worst, main)})."
    small = sum(1 for each in verdict.slices if each.slice and main not in each.intervals)
    if judged and small:
        yield f"Of {small} slice(s) there are too few rows to say how good it is."


def _interval(each: SliceMetrics, name: str) -> str:
    interval = each.intervals.get(name)
    return f"{number(interval[0])} to {number(interval[1])}" if interval else "–"


def spans_of(window: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the spans in what ExampleGen says of its window; empty for a table without spans."""
    spans = window.get("window", ())
    return tuple(str(each) for each in spans) if isinstance(spans, (list, tuple)) else ()
