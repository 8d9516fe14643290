"""Measures this pipeline against the standard TFX way, and writes a table and plots.

    make bench                                        # everything: some hours on two cores
    make bench ARGS="--only input_pipeline"           # one question
    make bench ARGS="--minutes 10 --resume"           # go on where the last call stopped

Writes to `results/`: samples.jsonl (each measurement), results.json, results.md and one SVG a question.
Exit status: 0 measured (whether or not a target was met: the table says so), 1 a process failed.
"""

import argparse
import importlib
import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

from benchmarks import plots
from benchmarks.measurement import ROOT, Question, collect, read_samples, table

QUESTIONS = (
    "end_to_end",
    "command_line",
    "reading",
    "input_pipeline",
    "training_step",
    "exported_model",
    "scoring",
    "growth",
    "real_tables",
    "evaluation",
)


def main() -> int:
    """Parses, measures, writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=QUESTIONS, help="measure this; may be repeated")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="%(default)s")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "runs" / "benchmarks", help="data and models (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, help="samples of each side, instead of each question's own")
    parser.add_argument("--resume", action="store_true", help="keep the samples that are there")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no sample after this long")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    samples_file = options.results / "samples.jsonl"
    chosen = options.only or QUESTIONS
    questions: list[Question] = [importlib.import_module(f"benchmarks.{name}").QUESTION for name in QUESTIONS]
    if not options.resume and samples_file.exists():
        kept = [
            line
            for line in samples_file.read_text().splitlines()
            if json.loads(line)["question"] not in chosen
        ]
        samples_file.write_text("".join(f"{line}\n" for line in kept))
    until = time.monotonic() + 60 * options.minutes
    status = 0
    for question in questions:
        if question.name not in chosen:
            continue
        try:
            if not collect(
                question, samples_file, options.work.absolute(), options.rounds or question.rounds, until
            ):
                print(f"{question.name} is not complete: go on with --resume.")
        except RuntimeError as error:
            print(error, file=sys.stderr)
            status = 1
    samples = read_samples(samples_file)
    lines = table(questions, samples)
    machine = {
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("tfx", "tensorflow", "apache-beam", "pyarrow")},
        "dates": f"{min(s.date for s in samples)} to {max(s.date for s in samples)} UTC" if samples else "",
    }
    (options.results / "results.json").write_text(
        json.dumps({"machine": machine, "rows": lines}, indent=1) + "\n"
    )
    (options.results / "results.md").write_text(plots.markdown(lines, machine))
    for question in questions:
        plots.plot(question, samples, lines, options.results)
    print((options.results / "results.md").read_text())
    print(f"Written to {options.results}.")
    return status


def _processor() -> str:
    models = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{len(models)} x {models[0]}" if models else platform.processor()


if __name__ == "__main__":
    sys.exit(main())
