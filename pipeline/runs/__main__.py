"""Past runs: a table of them, one of them, or what differs between two.

    make runs                                              # the table
    python -m pipeline.runs show latest
    python -m pipeline.runs compare latest~1 latest        # a table, and both reports side by side

RUN is a run's id, the beginning of one, `latest`, or `latest~1` for the one before it. None of it
needs TensorFlow. Exit status: 0 done, 2 wrong arguments.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.run_report.text import clean
from foundation.arguments import Parser
from foundation.sections import ConfigurationError
from pipeline.runs.comparison import compare_stored, write_page
from pipeline.runs.display import describe_stored
from pipeline.runs.finding import choose, find_runs
from pipeline.runs.run import StoredRun


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
    for name, value in describe_stored(stored):
        if value:
            print(f"{name:<14}{value}")


def _compare(first: StoredRun, second: StoredRun) -> None:
    sections = compare_stored(first, second)
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
