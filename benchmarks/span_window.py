"""What day 30 costs with a window of 7 spans, against doing all seven days again.

    python benchmarks/span_window.py --rows 200000

Rows are the Chicago Taxi table's, drawn anew for each day. Day 29 is run first, and then, measured, day
30: once as it is meant (six spans are in the store), and once with the same seven days as one table in a
work directory of its own. Both run the real pipeline up to DataGate. Prints the seconds of both nodes,
and what a day adds to the store.
"""

import argparse
import importlib.resources
import json
import random
import re
import subprocess
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks.end_to_end import taxi_dataset  # noqa: E402 - below the path it is found by
from components.example_gen import span_store  # noqa: E402

NODES = ("ExampleGen", "StatisticsGen")
FIRST_DAY = date(2026, 1, 1)


def main() -> None:
    """Makes the days, runs, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000, help="of each day (%(default)s)")
    parser.add_argument("--window", type=int, default=7, help="spans (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        days = [FIRST_DAY + timedelta(day) for day in range(30)][-options.window - 1 :]
        for day in days:
            make_day(directory / "spans", day, options.rows)
        daily = write_dataset(directory, "daily", directory / "spans", options.window)
        run(daily, directory, f"--set=window.end={days[-2]}")
        store = directory / "runs" / "daily" / "spans"
        # What the rest of day 29's run would have left.
        span_store.mark_checked(store, [entry.identifier for entry in span_store.list_entries(store)])
        spans = run(daily, directory)
        (directory / "table").mkdir()
        for day in days[1:]:
            (directory / "table" / f"{day}.csv").symlink_to(directory / "spans" / f"{day}" / "trips.csv")
        whole = run(write_dataset(directory, "whole", directory / "table", 0), directory)
        print(f"{options.window} spans of {options.rows} rows: seconds on day 30")
        for name, seconds in (("all seven days again", whole), ("only the new span", spans)):
            print(f"  {name:<22}" + "  ".join(f"{node} {seconds[node]:6.1f}" for node in NODES))
        total = [sum(seconds[node] for node in NODES) for seconds in (whole, spans)]
        print(f"  {'ratio':<22}{total[0] / total[1]:.1f}")
        sizes = [
            sum(file.stat().st_size for file in entry.rglob("*.gz")) / 1e6 for entry in store.glob("2026-*")
        ]
        print(f"  a span in the store: {min(sizes):.2f} to {max(sizes):.2f} MB, {len(sizes)} spans")


def make_day(directory: Path, day: date, rows: int) -> None:
    """Rows of the taxi table, in a draw of the day's own, with a fare that differs from row to row."""
    source = importlib.resources.files("tfx") / "examples/chicago_taxi_pipeline/data/simple/data.csv"
    header, *table = source.read_text().splitlines()
    fare = header.split(",").index("fare")
    draw = random.Random(day.toordinal())
    (directory / f"{day}").mkdir(parents=True)
    with (directory / f"{day}" / "trips.csv").open("w") as file:
        file.write(header + "\n")
        for row in draw.choices(table, k=rows):
            cells = row.split(",")
            cells[fare] = f"{float(cells[fare]) + draw.random():.2f}"
            file.write(",".join(cells) + "\n")


def write_dataset(directory: Path, name: str, data: Path, window: int) -> Path:
    """The taxi dataset over other files, with its reviewed schema."""
    text = re.sub(r"(?m)^package = .*\n", "", taxi_dataset())
    text = text.replace('name = "taxi"', f'name = "{name}"')
    source = f'path = "{data}"'
    if window:
        source += '\npattern = "{YYYY}-{MM}-{DD}/*.csv"\n[window]\nspans = ' + str(window)
    # The last key of [source], so that what follows it may begin a section.
    text = re.sub(r"(?m)^path = .*\n(schema = .*)$", rf"\1\n{source}", text)
    (directory / f"{name}.toml").write_text(text)
    return directory / f"{name}.toml"


def run(dataset: Path, directory: Path, *arguments: str) -> dict[str, float]:
    """Seconds of each node."""
    command = [
        sys.executable,
        "local_runner.py",
        "--dataset",
        str(dataset),
        "--workdir",
        str(directory / "runs"),
    ]
    subprocess.run([*command, "--to=DataGate", *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((directory / "runs" / dataset.stem / "run_summary.json").read_text())
    assert all(node["state"] == "executed" for node in summary["nodes"] if node["id"] in NODES)
    return {node["id"]: node["seconds"] for node in summary["nodes"]}


if __name__ == "__main__":
    main()
