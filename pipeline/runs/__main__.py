"""Past runs: a table of them, one of them, or what differs between two.

    make runs                                              # the table
    python -m pipeline.runs show latest
    python -m pipeline.runs compare latest~1 latest        # a table, and both reports side by side

RUN is a run's id, the beginning of one, `latest`, or `latest~1` for the one before it. None of it
needs TensorFlow. Exit status: 0 done, 2 wrong arguments.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.run_report.text import clean
from foundation.arguments import Parser
from foundation.sections import ConfigurationError
from pipeline.runs.comparison import compare, write_page
from pipeline.runs.display import describe_metrics, describe_tuning
from pipeline.runs.run import StoredRun, read_runs
from pipeline.workspace import Workspace


def main(arguments: list[str] | None = None) -> int:
    """Parses, does; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        runs = find_runs(Path(options.workdir), options.dataset)
        if options.command == "show":
            _show(choose(runs, options.run))
        elif options.command == "compare":
            _compare(choose(runs, options.first), choose(runs, options.second))
        else:
            _list(runs, Path(options.workdir))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"--workdir {options.workdir[:200]} cannot be read: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


def find_runs(workdir: Path, dataset: str | None = None) -> list[StoredRun]:
    """Every run below `workdir`, of one pipeline or of all, the oldest first.

    A file that is no run is left out: a run may be writing it.
    """
    if dataset is not None and not re.fullmatch(r"[a-z0-9-]+", dataset):
        raise ConfigurationError(
            f"--dataset {dataset!r} is no pipeline's name: give one of those in {workdir}."
        )
    ordered: list[tuple[str, StoredRun]] = []
    for folder in sorted(workdir.glob(f"{dataset or '*'}/runs")):
        root = folder.parent.absolute()
        until = ""
        for run in reversed(read_runs(Workspace(root, root.name))):
            # The name is the date that the clock had: a run began no later than the one after it.
            until = min(run.run_id, until or run.run_id)
            ordered.append((until, StoredRun(run.run_id, root, run)))
    return [
        run for _, run in sorted(ordered, key=lambda each: (each[0], str(each[1].root), each[1].run.sequence))
    ]


def choose(runs: list[StoredRun], name: str) -> StoredRun:
    """The run that `name` means: an id, a unique beginning of one, `latest`, or `latest~N`.

    Raises:
      ConfigurationError: If none is meant, or several.
    """
    if not runs:
        raise ConfigurationError("There are no runs yet: `make run` makes one, or give --workdir.")
    latest = re.fullmatch(r"latest(?:~([0-9]{1,9}))?", name)
    if latest:
        back = int(latest.group(1) or 0)
        if back >= len(runs):
            raise ConfigurationError(f"There is no run {name}: there are {len(runs)}; see `make runs`.")
        return runs[-1 - back]
    meant = [run for run in runs if run.id == name] or [run for run in runs if run.id.startswith(name)]
    if not name or not meant:
        raise ConfigurationError(f"There is no run '{name}': `make runs` lists {len(runs)} of them.")
    if len(meant) > 1:
        shown = ", ".join(run.id for run in meant[:5])
        raise ConfigurationError(f"'{name}' is the beginning of {len(meant)} runs: {shown}; give more of it.")
    return meant[0]


def _list(runs: list[StoredRun], workdir: Path) -> None:
    if not runs:
        print(f"There are no runs in {workdir}: `make run` makes one.")
        return
    table = _table()
    for column in ("run (UTC)", "dataset", "code", "strategy", "metric", "blessed", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("wall", no_wrap=True, justify="right")
    for stored in runs:
        run = stored.run
        name, value = run.result
        _add_row(
            table,
            stored.id,
            run.dataset,
            run.code[:8],
            run.distribution.strategy if run.distribution else "–",
            f"{name} {value:.4f}" if value is not None else "–",
            ("yes" if run.blessed else "no") if value is not None else "–",
            run.status,
            f"{run.wall_seconds:.1f} s",
        )
    _print(table)
    _print(f"{len(runs)} run(s) in {workdir}")


def _show(stored: StoredRun) -> None:
    for name, value in _describe(stored):
        if value:
            print(f"{name:<14}{value}")


def _describe(stored: StoredRun) -> Iterator[tuple[str, Any]]:
    run = stored.run
    yield "run", stored.id
    yield "dataset", run.dataset
    yield "profile", run.profile
    yield "status", f"{run.status} in {run.wall_seconds:.1f} s"
    yield "error", run.error
    yield "code", run.code
    yield from describe_metrics(run)
    yield from describe_tuning(run)
    if how := run.distribution:
        yield (
            "trained",
            f"strategy {how.strategy}, {how.replicas} replica(s), {how.precision}, global batch {how.global_batch_size}",
        )
    for node in run.nodes:
        if node.state != "skipped":
            yield "", f"{node.id:<18}{node.state:<10}{node.seconds:7.1f} s"
    yield from (("note", note) for note in run.notes)
    yield "pushed model", run.pushed_model
    yield "command", run.command
    yield "log", run.log
    yield "report", stored.report if stored.report.is_file() else "none"


def _compare(first: StoredRun, second: StoredRun) -> None:
    if (first.root, first.id) == (second.root, second.id):
        raise ConfigurationError(f"Both are run {first.id}: give two runs.")
    sections = compare(first.run, second.run)
    table = _table()
    table.add_column("")
    for column in (first.id, second.id, "change"):
        table.add_column(column, justify="right")
    same = 0
    for row in (row for rows in sections.values() for row in rows):
        if row.differs:
            _add_row(table, row.name, row.first, row.second, row.change)
        same += not row.differs
    _print(table)
    page = write_page(first, second, sections)
    _print(f"{same} other value(s) are the same.")
    _print(f"side by side  {page}")


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _add_row(table: Table, *cells: str) -> None:
    # As `Text`, since a command may hold brackets, which rich would take for its own.
    table.add_row(*(Text(clean(cell)) for cell in cells))


def _print(shown: Table | str) -> None:
    # Wide enough for every column, also where the output is not a terminal.
    console = Console(width=max(110, Console().width))
    console.print(shown, highlight=False, markup=False, soft_wrap=isinstance(shown, str))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__)
    parser.add_argument("--workdir", default="runs", help="where runs are written (%(default)s)")
    parser.add_argument("--dataset", help="the pipeline's name (all)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="date, dataset, code, strategy, metric, blessing and time (the default)")
    show = commands.add_parser("show", help="print one run")
    show.add_argument("run", metavar="RUN")
    compared = commands.add_parser("compare", help="what differs, and a page with both")
    compared.add_argument("first", metavar="RUN")
    compared.add_argument("second", metavar="RUN")
    return parser


if __name__ == "__main__":
    sys.exit(main())
