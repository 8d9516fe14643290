"""Results as a Markdown table and as SVG plots."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.growth import COUNTS, NODES, ONE_PROCESS
from benchmarks.measurement import OURS, Question, Sample


def markdown(lines: Sequence[Mapping[str, Any]], machine: Mapping[str, str]) -> str:
    """The table, and what it was measured on."""
    text = ["| work | standard TFX | this pipeline | ratio | target | met |", "|---|---|---|---|---|---|"]
    for line in lines:
        theirs = "" if line["theirs"] is None else f"{_number(line['theirs'])} {line['unit']}"
        ratio = "" if line["ratio"] is None else f"{line['ratio']:.2f} ×"
        sign = "≥" if line["more_is_better"] else "≤"
        target = "" if line["bound"] is None else f"{sign} {line['bound']:g}"
        target += (f" {line['unit']}" if line["absolute"] else " ×") if target else ""
        met = {True: "yes", False: "no", None: ""}[line["met"]]
        ours = f"{_number(line['ours'])} {line['unit']}"
        text.append(f"| {line['work']} | {theirs} | {ours} | {ratio} | {target} | {met} |")
    text += ["", "Medians. " + ", ".join(f"{name} {value}" for name, value in machine.items() if value) + "."]
    return "\n".join(text) + "\n"


def _number(value: float) -> str:
    for size, suffix in ((1e6, " M"), (1e3, " k")):
        if value >= 10 * size:
            return f"{value / size:.0f}{suffix}"
        if value >= size:
            return f"{value / size:.1f}{suffix}"
    return f"{value:.3g}"


def plot(
    question: Question, samples: Sequence[Sample], lines: Sequence[Mapping[str, Any]], results: Path
) -> None:
    """Writes `<question>.svg`: each sample as a dot beside the medians' bars, or lines over the rows."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    found = [sample for sample in samples if sample.question == question.name]
    if not found:
        return
    if question.name == "growth":
        # A call may have had time for some cases only.
        if of_rows := [sample for sample in found if "rows" in sample.values]:
            _plot_growth(of_rows, results)
        if of_counts := [sample for sample in found if "counted" in sample.values]:
            _plot_counts(of_counts, results)
        return
    shown = [line for line in lines if line["question"] == question.name]
    if not shown:
        return
    figure, axes = pyplot.subplots(1, len(shown), figsize=(2.6 * len(shown), 3.2), squeeze=False)
    for axis, line in zip(axes[0], shown):
        sides = [side for side in (line["peer"], OURS) if line["samples"].get(side)]
        for place, side in enumerate(sides):
            median = line["ours"] if side == OURS else line["theirs"]
            axis.bar(place, median, color="tab:blue" if side == OURS else "lightgray")
            axis.plot([place] * len(line["samples"][side]), line["samples"][side], "k.", markersize=4)
        axis.set_xticks(range(len(sides)), ["this pipeline" if side == OURS else "TFX" for side in sides])
        axis.set_title(line["work"].replace(", ", ",\n"), fontsize=7)
        axis.set_ylabel(line["unit"], fontsize=7)
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(results / f"{question.name}.svg")
    pyplot.close(figure)


def _plot_growth(samples: Sequence[Sample], results: Path) -> None:
    from matplotlib import pyplot

    figure, (seconds, memory) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    for suffix, style in (("", "o-"), (ONE_PROCESS, "x--")):
        measured = sorted(
            (s for s in samples if s.case.endswith(ONE_PROCESS) == bool(suffix)),
            key=lambda sample: sample.values["rows"],
        )
        rows = [sample.values["rows"] for sample in measured]
        for place, node in enumerate(["total", *sorted(NODES)]):
            values = [sample.values[node] for sample in measured]
            seconds.plot(rows, values, style, color=f"C{place}", label=None if suffix else node)
        memory.plot(
            rows, [s.values["peak_mib"] for s in measured], style, color="C0", label="whole run" + suffix
        )
        training = sorted(
            (times * s.values["rows"], s.values[metric])
            for s in measured
            for times, metric in ((1, "training_mib"), (4, "training_4_mib"))
        )
        if training:
            memory.plot(*zip(*training), style, color="C4", label="training alone" + suffix)
    for axis, title in ((seconds, "seconds (dashed: one process)"), (memory, "peak RSS, MiB")):
        axis.set_xscale("log")
        axis.set_xlabel("rows")
        axis.set_title(title, fontsize=9)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    seconds.set_yscale("log")
    memory.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(results / "growth.svg")
    pyplot.close(figure)


def _plot_counts(samples: Sequence[Sample], results: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(COUNTS), figsize=(3.6 * len(COUNTS), 5), squeeze=False)
    for (seconds, memory), what in zip(axes.T, COUNTS):
        measured = sorted((int(s.case.split()[0]), s.values) for s in samples if s.case.endswith(f" {what}"))
        counts = [count for count, _ in measured]
        for node in NODES:
            if values := [of_count[node] for _, of_count in measured if node in of_count]:
                seconds.plot(counts, values, "o-", label=node)
        memory.plot(counts, [of_count["peak_mib"] for _, of_count in measured], "o-")
        for axis, title in ((seconds, "seconds"), (memory, "peak RSS, MiB")):
            axis.set_xlabel(what)
            axis.set_title(title, fontsize=9)
            axis.set_xlim(left=0)
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
        seconds.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(results / "growth-counts.svg")
    pyplot.close(figure)
